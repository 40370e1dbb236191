// The page around the picture: words, numbers, chips, bars. Only text and CSSOM styles, never HTML from the server.

import { markColours, rampGradient } from "./colours.js";
import { QUALITY, asSentence, carWords, duration, machineWords, newEvents, sourceWords } from "./state.js";

export const byId = (id) => document.getElementById(id);

const grouped = new Intl.NumberFormat("en").format;
/** What is waiting rather than work is drawn paler and left out of the sum. */
const WAITING = { capture: "waiting", handover: "hand over" };
const ORDER = ["capture", "find", "crop", "network", "fusion", "silhouette", "handover", "average", "colour", "encode", "jpeg"];

export function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** The badge, and the strip with what happened and what to do; `place`: "centre" where there is no cloud yet, or "top". */
export function showState({ word, tone, sentence, hint }, place) {
  byId("state").dataset.tone = tone;
  setText("word", word);
  Object.assign(byId("strip").dataset, { tone, place });
  byId("strip").hidden = !sentence;
  setText("sentence", sentence);
  setText("hint", hint);
  document.title = word === "live" ? "carcloud" : `${word} · carcloud`;
}

/** Whether the camera picture is of now; `word`: what is written over it. */
export function showCameraWord(fresh, word) {
  byId("frame").classList.toggle("stale", !fresh);
  setText("camera-word", word);
}

export function showFigures({ rate, ageMs, points, skipped }) {
  setText("rate", rate ? `${rate < 9.95 ? rate.toFixed(1) : Math.round(rate)} /s` : "–");
  setText("age", duration(ageMs));
  setText("points", points === null ? "–" : grouped(points));
  setText("skipped", grouped(skipped));
}

/** Facts of /api/v1/status. Returns an event that is news, or null. */
export function showStatus(status) {
  setText("source", sourceWords(status));
  setText("bundle", status.bundle || "–");
  setText("version", status.version);
  setText("fps", `${status.fps.toFixed(1)} clouds a second, for ${duration(1000 * status.uptime_s)}`);
  setText("machine", machineWords(status));
  byId("machine-row").hidden = !machineWords(status);
  setText("quality", status.quality);
  byId("quality").title = QUALITY[status.quality] ?? "";
  const car = carWords(status);
  byId("car-row").hidden = !car;
  setText("car", car);
  byId("camera-card").hidden = !status.camera_preview;
  showList("warnings", status.warnings);
  const fresh = showEvents(status.errors);
  showTimings(status.timings_ms);
  return fresh;
}

let eventsBefore = null;

/**
 * The card of what happened, newest first, with the time of this device's clock at which this page heard of it. Returns the
 * newest sentence if it is news, else null.
 */
function showEvents(events) {
  const first = eventsBefore === null;
  const count = newEvents(eventsBefore ?? [], events);
  eventsBefore = events;
  const list = byId("errors");
  for (const text of events.slice(events.length - count)) {
    const row = document.createElement("li");
    const when = first ? "before" : new Date().toLocaleTimeString("en-GB");
    row.append(Object.assign(document.createElement("time"), { textContent: when }), asSentence(text));
    list.prepend(row);
  }
  while (list.children.length > events.length) list.lastChild.remove();
  byId("events-card").hidden = events.length === 0;
  return count && !first ? events[events.length - 1] : null;
}

function showList(id, sentences) {
  const list = byId(id);
  list.hidden = sentences.length === 0;
  if (list.dataset.shown === sentences.join("\n")) return;
  list.dataset.shown = sentences.join("\n");
  list.replaceChildren(...sentences.map((sentence) => Object.assign(document.createElement("li"), { textContent: sentence })));
}

function showTimings(timings) {
  const rank = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  const names = Object.keys(timings).sort((a, b) => rank(a) - rank(b));
  const list = byId("bars");
  if (list.dataset.names !== names.join()) {
    list.dataset.names = names.join();
    list.replaceChildren(...names.map(bar));
  }
  const longest = Math.max(1e-6, ...names.map((name) => timings[name]));
  names.forEach((name, index) => {
    const row = list.children[index];
    row.querySelector("i").style.width = `${(100 * timings[name]) / longest}%`;
    row.querySelector(".value").textContent = `${timings[name].toFixed(timings[name] < 9.95 ? 1 : 0)} ms`;
  });
  const work = names.filter((name) => !(name in WAITING)).reduce((sum, name) => sum + timings[name], 0);
  setText("total", names.length ? `${work.toFixed(work < 9.95 ? 1 : 0)} ms` : "–");
}

function bar(name) {
  const row = document.createElement("li");
  const track = Object.assign(document.createElement("span"), { className: name in WAITING ? "track wait" : "track" });
  track.append(document.createElement("i"));
  const label = Object.assign(document.createElement("span"), { textContent: WAITING[name] ?? name });
  row.append(label, track, Object.assign(document.createElement("span"), { className: "value" }));
  return row;
}

/** Chips to choose from: one radio group, arrow keys move in it. `choose(id)` is called with the chosen one. */
export function buildChips(id, choices, choose) {
  const group = byId(id);
  for (const { id: mode, label } of choices) {
    const chip = Object.assign(document.createElement("button"), { type: "button", textContent: label });
    chip.setAttribute("role", "radio");
    chip.dataset.mode = mode;
    chip.addEventListener("click", () => choose(mode));
    group.append(chip);
  }
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const chips = [...group.children].filter((chip) => !chip.disabled);
    const next = chips[(chips.indexOf(document.activeElement) + step + chips.length) % chips.length];
    next.focus();
    choose(next.dataset.mode);
  });
}

function checkChip(group, id) {
  for (const chip of byId(group).children) {
    const checked = chip.dataset.mode === id;
    chip.setAttribute("aria-checked", String(checked));
    chip.tabIndex = checked ? 0 : -1;
  }
}

/** Mark whether one eye or two look, and say what that takes. */
export function showStereo({ id, words }) {
  checkChip("stereo", id);
  byId("stage").dataset.stereo = id;
  byId("stereo-words").hidden = !words;
  setText("stereo-words", words);
}

/** Mark the chosen chip, disable what this packet cannot show, and set the legend. */
export function showModes(chosen, available, theme) {
  checkChip("modes", chosen.id);
  for (const chip of byId("modes").children) chip.disabled = !available.some((mode) => mode.id === chip.dataset.mode);
  byId("legend").hidden = !chosen.low;
  setText("legend-low", chosen.low ?? "");
  setText("legend-high", chosen.high ?? "");
  byId("legend-ramp").style.background = rampGradient(theme);
  byId("legend-words").hidden = !chosen.words;
  setText("legend-words", chosen.words ?? "");
  byId("marks").hidden = !chosen.marks;
  byId("marks").replaceChildren(...(chosen.marks ?? []).map((name, mark) => swatch(name, markColours(theme)[mark])));
}

function swatch(name, colour) {
  const row = document.createElement("li");
  const dot = document.createElement("i");
  dot.style.background = colour;
  row.append(dot, name);
  return row;
}

/** Turn the triad with the camera. */
export function showTriad(orbit) {
  const { x, y } = orbit.axes();
  for (const group of byId("triad").children) {
    const axis = Number(group.dataset.axis);
    const [right, down] = [x[axis], -y[axis]];
    const [line, text] = group.children;
    line.setAttribute("x2", (22 * right).toFixed(2));
    line.setAttribute("y2", (22 * down).toFixed(2));
    // Beside the line's end, not over it.
    text.style.textAnchor = right > 0.35 ? "start" : right < -0.35 ? "end" : "middle";
    text.setAttribute("x", (26 * right).toFixed(2));
    text.setAttribute("y", (30 * down).toFixed(2));
    // An axis that points at the eye has no room for its name.
    group.style.opacity = Math.hypot(right, down) < 0.25 ? 0.25 : 1;
  }
}
