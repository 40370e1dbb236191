// The camera picture beside the cloud, pulled like the clouds, at most ten a second.

import { byId } from "./panel.js";
import { Puller } from "./pull.js";

/** Start pulling camera pictures; returns the puller. */
export function startCamera(headers) {
  let shown = null;
  const image = byId("camera");
  const show = (body, facts) => {
    const address = URL.createObjectURL(new Blob([body], { type: "image/jpeg" }));
    image.onload = () => {
      if (shown) URL.revokeObjectURL(shown);
      shown = address;
      image.hidden = false;
      showCrop(facts.headers);
    };
    image.src = address;
  };
  const puller = new Puller("/camera.jpg", { headers, prefetch: false, minInterval: 100, onFrame: show, onTrouble() {} });
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
  if (whole) return;
  const [image, frame] = [byId("camera"), byId("frame")];
  // object-fit: contain leaves bars beside or above the picture.
  const scale = Math.min(image.clientWidth / width, image.clientHeight / height);
  const [x0, y0] = [(frame.clientWidth - width * scale) / 2, (frame.clientHeight - height * scale) / 2];
  const clip = (value, limit) => Math.min(limit, Math.max(0, value));
  const [x1, x2] = [clip(left, width), clip(left + side, width)];
  const [y1, y2] = [clip(top, height), clip(top + side, height)];
  const place = { left: x0 + x1 * scale, top: y0 + y1 * scale, width: (x2 - x1) * scale, height: (y2 - y1) * scale };
  for (const [name, value] of Object.entries(place)) crop.style[name] = `${value.toFixed(1)}px`;
}
