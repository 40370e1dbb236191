// The camera picture beside the cloud, pulled like the clouds, at most ten a second.

import { drawOver, poseOf, showDirection } from "./overlay.js";
import { byId } from "./panel.js";
import { Puller } from "./pull.js";

/**
 * Start pulling camera pictures. choose(number): somebody picked that car. packet(): the newest cloud. Returns the
 * puller; its `picture` is the newest one: {body, seq}, or null.
 */
export function startCamera(headers, choose, packet) {
  let shown = null;
  const image = byId("camera");
  const show = (body, facts) => {
    const address = URL.createObjectURL(new Blob([body], { type: "image/jpeg" }));
    image.onload = () => {
      if (shown) URL.revokeObjectURL(shown);
      shown = address;
      puller.picture = { body, seq: facts.seq };
      byId("save-picture").disabled = false;
      image.hidden = false;
      showCrop(facts.headers);
      showCars(facts.headers, choose);
      showCloud(facts.headers, packet());
    };
    image.src = address;
  };
  const puller = new Puller("/camera.jpg", { headers, prefetch: false, minInterval: 100, onFrame: show, onTrouble() {} });
  puller.picture = null;
  puller.start();
  return puller;
}

/** Outline what the network looks at, unless that is the whole picture. */
function showCrop(headers) {
  const [width, height] = (headers.get("X-Image-Size") ?? "").split(",").map(Number);
  const [left, top, side] = (headers.get("X-Crop") ?? "").split(",").map(Number);
  const crop = byId("crop");
  const whole = !(side > 0) || (left <= 0 && top <= 0 && left + side >= width && top + side >= height);
  crop.hidden = whole;
  if (!whole) placeOver(crop, [left, top, side, side], width, height);
}

/** The cloud over the picture, if it is wanted, and from where the camera sees the car. */
function showCloud(headers, packet) {
  const numbers = (name) => (headers.get(name) ?? "").split(",").map(Number);
  const pose = poseOf(headers.get("X-Pose"));
  showDirection(byId("compass"), pose);
  const [canvas, wanted] = [byId("overlay"), byId("over").checked];
  byId("over-row").hidden = !pose && canvas.hidden;
  canvas.hidden = !wanted;
  if (!wanted) return;
  const [width, height] = numbers("X-Image-Size");
  drawOver(canvas, packet, pose, headers.has("X-Crop") ? numbers("X-Crop") : null, width, height);
  placeOver(canvas, [0, 0, width, height], width, height);
}

/** Frame each car that is seen; the one that is followed stands out, the others can be picked. */
function showCars(headers, choose) {
  const [width, height] = (headers.get("X-Image-Size") ?? "").split(",").map(Number);
  const cars = carsOf(headers.get("X-Cars"));
  const there = new Map([...byId("frame").querySelectorAll(".car")].map((button) => [button.dataset.number, button]));
  for (const car of cars) {
    const button = there.get(String(car.number)) ?? newButton(car.number, choose);
    there.delete(String(car.number));
    button.setAttribute("aria-pressed", String(car.followed));
    button.title = car.followed ? `Car ${car.number}, followed` : `Follow car ${car.number}`;
    button.setAttribute("aria-label", button.title);
    placeOver(button, car.box, width, height);
  }
  for (const gone of there.values()) gone.remove();
}

/** The cars in a header, none if there is nothing in it that makes sense. */
export function carsOf(text) {
  try {
    const cars = JSON.parse(text ?? "[]");
    return Array.isArray(cars) ? cars.filter(({ number, box }) => Number.isInteger(number) && box?.length === 4) : [];
  } catch {
    return [];
  }
}

function newButton(number, choose) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "car";
  button.dataset.number = number;
  button.addEventListener("click", () => choose(number));
  byId("frame").append(button);
  return button;
}

/** Lay an element over a box of the picture: x, y, width, height in its pixels. */
function placeOver(element, [left, top, wide, high], width, height) {
  const [image, frame] = [byId("camera"), byId("frame")];
  // object-fit: contain leaves bars beside or above the picture.
  const scale = Math.min(image.clientWidth / width, image.clientHeight / height);
  const [x0, y0] = [(frame.clientWidth - width * scale) / 2, (frame.clientHeight - height * scale) / 2];
  const clip = (value, limit) => Math.min(limit, Math.max(0, value));
  const [x1, x2] = [clip(left, width), clip(left + wide, width)];
  const [y1, y2] = [clip(top, height), clip(top + high, height)];
  const place = { left: x0 + x1 * scale, top: y0 + y1 * scale, width: (x2 - x1) * scale, height: (y2 - y1) * scale };
  for (const [name, value] of Object.entries(place)) element.style[name] = `${value.toFixed(1)}px`;
}
