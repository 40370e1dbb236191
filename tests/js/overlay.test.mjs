import assert from "node:assert/strict";
import test from "node:test";

import { poseOf, project, rotationOf } from "../../edge/server/static/overlay.js";

const near = (a, b, what) => a.forEach((value, i) => assert.ok(Math.abs(value - b[i]) < 1e-3, `${what}: ${a} is not ${b}`));

// Made by edge.pose.project of Pose(38.0, 12.0, 5.0, 0.1, -0.2, 0.8, 0.3), crop (40, 10, 200).
const POSE = poseOf("38,12,5,0.1,-0.2,0.8,0.3");
const GOLDEN = [
  [[0.5, 0.2, 0.1], [135.7007, 89.6745, -0.52663]],
  [[-0.5, 0.21, -0.15], [184.1127, 99.7577, 0.29012]],
  [[0, 0, 0], [150.0000, 90.0000, 0.00000]],
];

test("points lie where edge.pose.project says", () => {
  const rotation = rotationOf(POSE);
  for (const [point, wanted] of GOLDEN) near(project(point, POSE, rotation, [40, 10, 200]), wanted, point);
});

test("a rotation is one", () => {
  const [x, y, z] = rotationOf(POSE);
  const dot = (a, b) => a.reduce((sum, value, axis) => sum + value * b[axis], 0);
  near([dot(x, x), dot(y, y), dot(z, z), dot(x, y), dot(y, z), dot(x, z)], [1, 1, 1, 0, 0, 0], "rows");
});

test("what is no pose", () => {
  for (const text of [null, "", "1,2,3", "1,2,3,4,5,6,x", "1,2,3,4,5,6,7,8"]) assert.equal(poseOf(text), null);
});
