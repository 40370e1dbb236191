import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { Orbit } from "../../edge/server/static/orbit.js";
import { EYES, FROM_LEFT, FROM_RIGHT, STEREO, aspectOf, eyeCamera, eyesOf, stereoOf } from "../../edge/server/static/stereo.js";
import { Tilt, lookOf, shortest } from "../../edge/server/static/tilt.js";

const near = (a, b, words) => assert.ok(Math.abs(a - b) < 1e-6, `${words}: ${a} is not ${b}`);

/** Where a camera sees a point: x and y from -1 to 1. */
function seen({ view, projection }, point) {
  const times = (matrix, vector) => [0, 1, 2, 3].map((row) => vector.reduce((sum, value, at) => sum + matrix[4 * at + row] * value, 0));
  const [x, y, , w] = times(projection, times(view, [...point, 1]));
  return [x / w, y / w];
}

/** An orbit that somebody turned, and a point so much nearer to it (in distances) than its target, a little aside. */
function scene(part = 1, aside = [0, 0]) {
  const orbit = new Orbit();
  orbit.rotate(1.1, -0.5);
  orbit.pan(0.1, 0.05);
  const { x, y, z } = orbit.axes();
  const eye = orbit.eye();
  const point = eye.map((value, axis) => value - z[axis] * orbit.distance * part + aside[0] * x[axis] + aside[1] * y[axis]);
  return { orbit, point };
}

const both = (orbit, aspect, point) => [-1, 1].map((side) => seen(eyeCamera(orbit, side, aspect), point));

test("one eye is the orbit's own camera", () => {
  const { orbit } = scene();
  const { view, projection, distance } = eyeCamera(orbit, 0, 1.7);
  view.forEach((value, at) => near(value, orbit.viewMatrix()[at], `view ${at}`));
  projection.forEach((value, at) => near(value, orbit.projection(1.7)[at], `projection ${at}`));
  assert.equal(distance, orbit.distance);
});

test("what is in the car's middle falls onto the same place for both eyes", () => {
  for (const aside of [[0, 0], [0.4, 0], [-0.3, 0.2]]) {
    const { orbit, point } = scene(1, aside);
    const [left, right] = both(orbit, 1.4, point);
    near(left[0], right[0], "x");
    near(left[1], right[1], "y");
    near(left[0], seen(eyeCamera(orbit, 0, 1.4), point)[0], "x of one eye");
  }
});

test("what is nearer is crossed, what is farther is not, by as much as the formula says", () => {
  for (const [part, aspect] of [[0.6, 1.4], [0.9, 0.8], [1.3, 1.4], [3, 2.2]]) {
    const { orbit, point } = scene(part, [0.1, -0.05]);
    const [left, right] = both(orbit, aspect, point);
    assert.equal(left[0] > right[0], part < 1, "the left eye sees what is nearer farther to the right");
    near(left[0] - right[0], EYES * (1 / part - 1) * orbit.projection(aspect)[0], `disparity at ${part}`);
    near(left[1], right[1], "nothing moves up or down");
  }
});

test("the eyes stand a thirtieth of the distance apart, whatever the zoom", () => {
  for (const zoom of [0.3, 1, 4]) {
    const orbit = new Orbit();
    orbit.zoom(zoom);
    const [left, right] = [-1, 1].map((side) => eyeCamera(orbit, side, 1).view);
    near(left[12] - right[12], orbit.distance / 30, "apart");
    for (const at of [0, 1, 2, 4, 5, 6, 8, 9, 10, 13, 14]) near(left[at], right[at], "and look in parallel");
  }
});

test("each eye has its half, with a gap between that grows with the screen's density", () => {
  for (const [width, height, ratio] of [[844, 390, 1], [1688, 780, 2], [1281, 720, 1]]) {
    const [left, right] = eyesOf("sides", width, height, ratio);
    assert.deepEqual([left.side, right.side], [-1, 1]);
    assert.deepEqual(left.box.slice(2), right.box.slice(2), "the same size");
    assert.equal(left.box[0], 0);
    assert.equal(right.box[0] + right.box[2], width);
    const gap = right.box[0] - left.box[2];
    assert.ok(gap >= 10 * ratio && gap <= 10 * ratio + 1, `gap ${gap}`);
    near(aspectOf("sides", width, height), eyesOf("sides", width, height)[0].box[2] / height, "aspect of a half");
  }
  assert.ok(eyesOf("sides", 1, 1)[0].box[2] >= 1, "a canvas that is not laid out yet");
});

test("glasses and a single eye have the whole canvas", () => {
  assert.deepEqual(eyesOf("flat", 640, 480), [{ side: 0, box: [0, 0, 640, 480] }]);
  assert.deepEqual(eyesOf("glasses", 640, 480).map(({ side, box }) => [side, ...box]), [[-1, 0, 0, 640, 480], [1, 0, 0, 640, 480]]);
  near(aspectOf("glasses", 640, 480), 4 / 3, "aspect");
});

test("a choice that is remembered is one of three, and no other", () => {
  assert.deepEqual(STEREO.map(({ id }) => id), ["flat", "glasses", "sides"]);
  assert.equal(stereoOf("sides").label, "Side by side");
  for (const id of [null, "", "nonsense"]) assert.equal(stereoOf(id).id, "flat");
});

/** Light of a linear colour that comes through the red and through the cyan glass, against that of white (Dubois 2001). */
function through([r, g, b]) {
  const glass = ([x, y, z]) => (x * r + y * g + z * b) / (x + y + z);
  return [glass([2.70972, 0.50201, 0.0250529]), glass([0.448214, 6.31551, 1.35757])];
}

const mixed = (left, right) => [0, 1, 2].map((row) => [0, 1, 2].reduce(
  (sum, at) => sum + FROM_LEFT[3 * at + row] * left[at] + FROM_RIGHT[3 * at + row] * right[at], 0));

test("what both eyes see of a coloured car, mixed and with a plain mask: the figures of docs/page.md", () => {
  const light = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  for (const [name, shown, plain, better] of [["red", [200, 20, 25], 12.4, 1.5], ["blue", [20, 60, 200], 0.13, 0.73]]) {
    const car = shown.map((value) => light(value / 255));
    // With a plain mask both pictures hold the car, and so does the sum of their channels.
    for (const [given, ratio] of [[car, plain], [mixed(car, car).map((value) => Math.min(1, Math.max(0, value))), better]]) {
      const [left, right] = through(given);
      assert.ok(Math.abs(left / right / ratio - 1) < 0.03, `${name}: ${left / right} is not ${ratio}`);
    }
  }
});

test("glasses keep grey grey, and mix as the pictures of `models` do", () => {
  for (const value of mixed([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])) assert.ok(Math.abs(value - 0.5) < 2e-3, `${value}`);
  const source = readFileSync(new URL("../../edge/models/stereo.py", import.meta.url), "utf8");
  const viewer = readFileSync(new URL("../../edge/models/page/viewer.js", import.meta.url), "utf8");
  for (const [python, glsl, columns] of [["LEFT_TO_RGB", "fromLeft", FROM_LEFT], ["RIGHT_TO_RGB", "fromRight", FROM_RIGHT]]) {
    const numbers = (text, from, to) => text.slice(text.indexOf(from) + from.length).split(to)[0].match(/-?\d+\.\d+/g).map(Number);
    const rows = numbers(source, `${python} = np.array(`, ", np.float32");
    const shader = numbers(viewer, `${glsl} = mat3(`, ");");
    assert.equal(rows.length, 9);
    columns.forEach((value, at) => near(value, rows[3 * (at % 3) + Math.floor(at / 3)], `${python} ${at}`));
    columns.forEach((value, at) => near(value, shader[at], `${glsl} ${at}`));
  }
});

test("where a phone looks, upright and on its side", () => {
  const degrees = ({ heading, pitch }) => [heading, pitch].map((angle) => (angle * 180) / Math.PI);
  for (const [alpha, beta, gamma, heading, pitch] of [
    [0, 90, 0, 0, 0], // upright, to the north
    [30, 90, 0, 30, 0], // turned to the left
    [0, 60, 0, 0, -30], // its back tipped down
    [0, 0, -90, -90, 0], // on its side, its left edge down: its back to the east
    [0, 0, 90, 90, 0],
    [90, 0, -60, 0, -30],
  ]) {
    degrees(lookOf({ alpha, beta, gamma })).forEach((value, at) => near(value, [heading, pitch][at], `${alpha} ${beta} ${gamma}`));
  }
  near(shortest(6.2), 6.2 - 2 * Math.PI, "the short way round");
  near(shortest(-0.3), -0.3, "as it is");
});

test("a phone that is turned turns the view by as much, and past north there is no jump", () => {
  const orbit = new Orbit();
  const before = orbit.yaw;
  const tilt = new Tilt((yaw, pitch) => orbit.rotate(yaw, pitch), assert.fail);
  for (const alpha of [350, 358, 4, 10]) tilt.take({ alpha, beta: 90, gamma: 0 });
  near(orbit.yaw - before, (-20 * Math.PI) / 180, "20 degrees");
  tilt.take({ alpha: 10, beta: 100, gamma: 0 });
  near(orbit.pitch, 0.36 - (10 * Math.PI) / 180, "looking up is from below");
});
