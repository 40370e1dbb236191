import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { bareAddress } from "../../edge/server/static/actions.js";
import { carsOf } from "../../edge/server/static/camera.js";
import { MODES, availableModes, markColours, markFloats, rampFloats, rgb } from "../../edge/server/static/colours.js";
import { keyMoves } from "../../edge/server/static/controls.js";
import { Orbit } from "../../edge/server/static/orbit.js";
import { Bounds, measure } from "../../edge/server/static/scene.js";
import { Rate, asSentence, carWords, describe, duration, isFresh, machineWords, newEvents, sourceWords } from "../../edge/server/static/state.js";
import { tokenFromFragment } from "../../edge/server/static/token.js";
import { decode } from "../../edge/server/static/wire.js";
import { golden } from "./fixtures.mjs";

const facts = (more) => ({ trouble: null, server: { state: "live", message: "" }, sinceFrame: 10, frozen: false, ...more });
const close = (a, b) => a.forEach((value, index) => assert.ok(Math.abs(value - b[index]) < 1e-6, `${a} is not ${b}`));

for (const [word, given] of Object.entries({
  live: {},
  connecting: { server: null, sinceFrame: null },
  stalled: { sinceFrame: 5000 },
  "source ended": { server: { state: "source ended", message: "clip ended" } },
  opening: { server: { state: "opening", message: "" }, sinceFrame: null },
  reopening: { server: { state: "reopening", message: "" }, sinceFrame: 60000 },
  "no car in view": { server: { state: "no car in view", message: "the cloud is of 9 s ago" }, sinceFrame: 9000 },
  starting: { server: { state: "starting", message: "" }, sinceFrame: null },
  failed: { server: { state: "failed", message: "box outside the picture" } },
  "token needed": { trouble: { kind: "token", sentence: "" } },
  "wrong token": { trouble: { kind: "token", sentence: "send Authorization", status: 401 }, tried: true },
  stopped: { server: { state: "stopped", message: "" } },
  "server away": { trouble: { kind: "away", sentence: "" } },
  "server busy": { trouble: { kind: "busy", sentence: "32 clients" } },
  frozen: { frozen: true },
})) {
  test(`state in words: ${word}`, () => {
    const state = describe(facts(given));
    assert.equal(state.word, word);
    assert.ok(["good", "busy", "warn", "bad"].includes(state.tone));
    assert.ok(state.sentence || word === "live");
    assert.equal(isFresh(word), ["live", "no car in view"].includes(word));
  });
}

test("cars in a header, and what is none", () => {
  const car = { number: 3, box: [1, 2, 30, 40], followed: true };
  assert.deepEqual(carsOf(JSON.stringify([car, { number: "x", box: [1, 2, 3, 4] }, { number: 4 }])), [car]);
  for (const text of [null, "", "{", "3", "{}", "null"]) assert.deepEqual(carsOf(text), []);
});

test("the server's sentence is shown", () => {
  for (const [state, tone] of [["stalled", "warn"], ["reopening", "warn"], ["opening", "busy"], ["failed", "bad"]]) {
    const words = describe(facts({ server: { state, message: "unplugged. Trying again in 2 s" }, sinceFrame: 60000 }));
    assert.deepEqual([words.word, words.tone, words.sentence], [state, tone, "unplugged. Trying again in 2 s."]);
    assert.ok(words.hint, "and what to do");
  }
  assert.equal(describe(facts({ trouble: { kind: "away" }, server: null, sinceFrame: null })).word, "connecting");
});

test("sentences of the server begin and end as sentences do, and names stay as they are", () => {
  const shown = ["no new frame for 4 s", "file:///a.mp4 ended after 3 frames", "v4l2:///dev/video0 is back", "Wait!", ""].map(asSentence);
  assert.deepEqual(shown, ["No new frame for 4 s.", "file:///a.mp4 ended after 3 frames.", "v4l2:///dev/video0 is back.", "Wait!", ""]);
});

test("what a wrong token, too many of them and a full server mean", () => {
  const said = (trouble) => describe(facts({ trouble, tried: true }));
  assert.equal(said({ kind: "token", sentence: "send Authorization: Bearer", status: 401 }).sentence, "That is not the token of this server.");
  assert.equal(said({ kind: "token", sentence: "too many wrong tokens", status: 429 }).sentence, "Too many wrong tokens.");
  assert.match(said({ kind: "busy", sentence: "32 clients wait already", status: 503 }).hint, /--max-clients/);
  assert.doesNotMatch(said({ kind: "busy", sentence: "too many requests", status: 429 }).hint, /--max-clients/);
});

test("new events are found although old ones fall out of the list", () => {
  const count = (before, now) => newEvents(before, now);
  assert.equal(count([], []), 0);
  assert.equal(count(["a", "b"], ["a", "b"]), 0);
  assert.equal(count([], ["a", "b"]), 2);
  assert.equal(count(["a", "b"], ["a", "b", "c"]), 1);
  assert.equal(count(["a", "b", "c"], ["b", "c", "d"]), 1);
  assert.equal(count(["a", "b"], ["b", "a"]), 1, "the same again");
  assert.equal(count(["a", "b"], ["x", "y"]), 2, "another server");
  assert.equal(count(["a", "b"], []), 0);
});

test("the device in words", () => {
  assert.equal(machineWords({ temperature: { zone: "GPU-therm", celsius: 51.5 }, power_mode: "MAXN" }), "52 °C (GPU-therm), MAXN");
  assert.equal(machineWords({ temperature: null, power_mode: "" }), "");
});

test("an address that is passed on carries no token", () => {
  const location = { origin: "http://nano:8000", pathname: "/", search: "?a=1", hash: "#token=secret" };
  assert.equal(bareAddress(location), "http://nano:8000/");
});

test("text and what lies behind it differ enough in both themes (WCAG AA)", () => {
  const style = readFileSync(new URL("../../edge/server/static/style.css", import.meta.url), "utf8");
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (colour) => colour.map(channel).reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const mixed = (ink, share, ground) => ink.map((value, at) => share * value + (1 - share) * ground[at]);
  for (const theme of ["dark", "light"]) {
    const block = style.slice(style.indexOf(`[data-theme="${theme}"] {`)).split("}")[0];
    const colour = (name) => rgb(block.match(new RegExp(`--${name}: (#[0-9a-f]{6})`))[1]);
    const pairs = [];
    for (const ground of ["back", "bar", "card", "raised"]) {
      for (const ink of ["text", "soft"]) pairs.push([ink, ground, colour(ink), colour(ground)]);
    }
    for (const tone of ["good", "busy", "warn", "bad"]) pairs.push([tone, "badge", colour(tone), mixed(colour(tone), 0.14, colour("bar"))]);
    pairs.push(["accent", "chip", colour("accent"), mixed(colour("accent"), 0.18, colour("card"))]);
    pairs.push(["warn", "warnings", colour("warn"), mixed(colour("warn"), 0.15, colour("back"))]);
    pairs.push(["on-accent", "button", colour("on-accent"), colour("accent")]);
    for (const [ink, ground, one, other] of pairs) {
      const found = contrast(one, other);
      assert.ok(found >= 4.5, `${theme}: ${ink} on ${ground} has ${found.toFixed(2)}`);
    }
  }
});

test("a camera that came back says how often", () => {
  const words = [undefined, null, 0, 1, 12].map((reconnects) => sourceWords({ source: "csi://0", reconnects }));
  assert.deepEqual(words, ["csi://0", "csi://0", "csi://0", "csi://0 (came back once)", "csi://0 (came back 12 times)"]);
  assert.equal(sourceWords({ source: "", reconnects: 3 }), "–");
});

test("durations for people", () => {
  const shown = [null, 0, 12.4, 999.6, 3440, 42000, 240000, 7200000].map(duration);
  assert.deepEqual(shown, ["–", "0 ms", "12 ms", "1.0 s", "3.4 s", "42 s", "4 min", "2 h"]);
});

test("rate of events falls off when they stop", () => {
  const rate = new Rate();
  for (let at = 0; at <= 2000; at += 100) rate.tick(at);
  assert.ok(Math.abs(rate.value(2050) - 10) < 0.01);
  assert.ok(rate.value(4000) < 7);
  assert.equal(rate.value(9000), 0);
});

test("the orbit looks at its target, z up, right-handed", () => {
  const orbit = new Orbit();
  const { x, y, z } = orbit.axes();
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  close(cross(x, y), z);
  assert.ok(y[2] > 0);
  const view = orbit.viewMatrix();
  const eyeOfTarget = [0, 1, 2].map((row) => orbit.target.reduce((sum, value, axis) => sum + view[4 * axis + row] * value, view[12 + row]));
  close(eyeOfTarget, [0, 0, -orbit.distance]);
  assert.ok(orbit.eye()[0] > 0 && orbit.eye()[1] > 0 && orbit.eye()[2] > 0, "from the front left, above");
});

test("projection puts near and far on the ends of the depth range", () => {
  const orbit = new Orbit();
  const projection = orbit.projection(1.5);
  const depth = (at) => (projection[10] * -at + projection[14]) / at;
  const [near, far] = orbit.range();
  close([depth(near), depth(far)], [-1, 1]);
});

test("limits and reset of the orbit", () => {
  const orbit = new Orbit();
  orbit.rotate(0, 10);
  assert.ok(orbit.pitch < Math.PI / 2);
  orbit.zoom(1e9);
  assert.ok(orbit.distance <= 12);
  orbit.pan(100, 100);
  assert.ok(orbit.target.every((value) => Math.abs(value) <= 1.5));
  orbit.reset();
  close(orbit.target, [0, 0, -0.06]);
  const wide = orbit.distance;
  orbit.setAspect(0.5);
  assert.ok(orbit.distance > 1.4 * wide, "a narrow picture stands back");
  orbit.setAspect(1.6);
  close([orbit.distance], [wide]);
});

test("dragging to the right brings the car's near side along to the right", () => {
  const orbit = new Orbit();
  const near = orbit.eye().map((value, axis) => orbit.target[axis] + (value - orbit.target[axis]) * 0.2);
  const right = () => orbit.axes().x.reduce((sum, value, axis) => sum + value * (near[axis] - orbit.target[axis]), 0);
  const before = right();
  orbit.rotate(0.2, 0);
  assert.ok(right() > before);
});

test("keys move the camera, others are left alone", () => {
  const orbit = new Orbit();
  const home = { ...orbit };
  assert.equal(keyMoves({ key: "ArrowLeft" }, orbit), true);
  assert.notEqual(orbit.yaw, home.yaw);
  assert.equal(keyMoves({ key: "+" }, orbit), true);
  assert.ok(orbit.distance < home.distance);
  assert.equal(keyMoves({ key: "ArrowUp", shiftKey: true }, orbit), true);
  assert.equal(keyMoves({ key: "x" }, orbit), false);
});

test("colour modes are offered only where the packet has the plane", () => {
  const ids = (name) => availableModes(name && decode(golden(name).buffer)).map((mode) => mode.id);
  assert.deepEqual(ids("plain"), ["height", "distance", "direction", "plain"]);
  assert.deepEqual(ids("full"), MODES.map((mode) => mode.id).filter((id) => id !== "seen"));
  assert.deepEqual(ids("marked"), MODES.map((mode) => mode.id));
  assert.deepEqual(ids(null), ["height", "distance", "direction", "plain"]);
});

test("each mark has a word and a colour of its own", () => {
  assert.deepEqual(MODES.find((mode) => mode.id === "seen").marks, ["seen", "mirrored", "filled"]);
  for (const theme of ["dark", "light"]) {
    assert.equal(new Set(markColours(theme)).size, 3);
    assert.equal(markFloats(theme).length, 9);
  }
});

test("what is known of the car, in words", () => {
  const pose = { azimuth: -41.6, elevation: 8, certainty: 0.9 };
  const status = { pose, length: { metres: 4.2, plus_minus: 0.21 }, body_class: { name: "suv", probability: 0.843 } };
  assert.equal(carWords(status), "suv (84 %), 4.20 ± 0.21 m long, seen from 42° right of the front");
  assert.equal(carWords({ pose: { ...pose, azimuth: 90 }, length: null, body_class: null }), "seen from 90° left of the front");
  assert.equal(carWords({ pose: null, length: null, body_class: null }), "");
});

test("ramps rise in lightness, so that they survive a grey print", () => {
  for (const theme of ["dark", "light"]) {
    const ramp = rampFloats(theme);
    assert.equal(ramp.length, 15);
    const grey = [0, 1, 2, 3, 4].map((at) => 0.2126 * ramp[3 * at] + 0.7152 * ramp[3 * at + 1] + 0.0722 * ramp[3 * at + 2]);
    for (let at = 1; at < 5; at++) assert.ok(grey[at] > grey[at - 1], `${theme} stop ${at}`);
  }
});

test("bounds follow the packets, and an empty one changes nothing", () => {
  const bounds = new Bounds();
  const before = structuredClone(bounds.now);
  bounds.add(decode(golden("empty").buffer));
  assert.deepEqual(bounds.now, before);
  const packet = decode(golden("full").buffer);
  bounds.add(packet);
  assert.deepEqual(bounds.now, measure(packet));
  assert.ok(bounds.now.low < bounds.now.high && bounds.now.floor < bounds.now.low);
});

test("the token comes out of the fragment", () => {
  assert.equal(tokenFromFragment("#token=abc-_1"), "abc-_1");
  assert.equal(tokenFromFragment("#token="), null);
  assert.equal(tokenFromFragment("#x=1"), null);
  assert.equal(tokenFromFragment(""), null);
});
