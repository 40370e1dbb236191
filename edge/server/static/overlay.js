// The cloud over the camera picture, through the pose that the network tells: one sees at once whether it fits.

import { STEPS } from "./wire.js";

/** Points that are drawn at most; more cover the picture without saying more. */
const MOST = 3000;

/** Of the header X-Pose: seven numbers as in edge.pose.Pose (degrees, crop units), or null. */
export function poseOf(text) {
  const numbers = (text ?? "").split(",").map(Number);
  if (numbers.length !== 7 || !numbers.every(Number.isFinite) || !text.trim()) return null;
  const [azimuth, elevation, roll, x, y, scale, perspective] = numbers;
  return { azimuth, elevation, roll, x, y, scale, perspective };
}

/** Canonical to camera frame: rows right, down, forward, as edge.pose.Pose.rotation. */
export function rotationOf({ azimuth, elevation, roll }) {
  const [a, e, r] = [azimuth, elevation, roll].map((degrees) => (degrees * Math.PI) / 180);
  const right = [-Math.sin(a), Math.cos(a), 0];
  const down = [Math.sin(e) * Math.cos(a), Math.sin(e) * Math.sin(a), -Math.cos(e)];
  const forward = [-Math.cos(e) * Math.cos(a), -Math.cos(e) * Math.sin(a), -Math.sin(e)];
  const mix = (p, q) => right.map((value, axis) => p * value + q * down[axis]);
  return [mix(Math.cos(r), -Math.sin(r)), mix(Math.sin(r), Math.cos(r)), forward];
}

/** A canonical point to pixels of the picture and depth along the axis; crop: left, top, side in pixels. */
export function project(point, pose, rotation, [left, top, side]) {
  const [x, y, depth] = rotation.map((row) => row[0] * point[0] + row[1] * point[1] + row[2] * point[2]);
  const scale = pose.scale / Math.max(0.05, 1 + pose.perspective * depth);
  return [left + ((x * scale + pose.x + 1) / 2) * side, top + ((y * scale + pose.y + 1) / 2) * side, depth];
}

/** Draw a packet's points on a canvas that lies over the picture (width x height pixels), near ones bright. */
export function drawOver(canvas, packet, pose, crop, width, height) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  if (!context) return; // a browser that draws nothing at all
  context.clearRect(0, 0, width, height);
  if (!packet || !pose || !crop) return;
  const rotation = rotationOf(pose);
  const stride = Math.max(1, Math.ceil(packet.count / MOST));
  const points = [];
  for (let index = 0; index < packet.count; index += stride) {
    const canonical = [packet.x, packet.y, packet.z].map(
      (plane, axis) => packet.centre[axis] + (plane[index] * packet.half[axis]) / STEPS);
    points.push(project(canonical, pose, rotation, crop));
  }
  points.sort((one, other) => other[2] - one[2]); // far ones first
  const radius = Math.max(1, width / 500);
  for (const [x, y, depth] of points) {
    const near = Math.min(1, Math.max(0, 0.5 - depth));
    context.fillStyle = `hsla(${Math.round(200 - 150 * near)}, 90%, ${Math.round(30 + 35 * near)}%, 0.75)`;
    context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
  }
}

/** Turn the little top view: the camera's place round a car that looks to the right. */
export function showDirection(element, pose) {
  element.toggleAttribute("hidden", !pose); // of SVG, `hidden` is no property
  // Azimuth grows to the car's left, which is up here; SVG turns clockwise.
  if (pose) element.querySelector("g").setAttribute("transform", `rotate(${(-pose.azimuth).toFixed(1)})`);
}
