// The viewer: puts stream, picture and page together.

import { copyAddress, download, isFull, toggleFullScreen } from "./actions.js";
import { startCamera } from "./camera.js";
import { HEIGHT, MODES, availableModes } from "./colours.js";
import { attachKeys, attachPointer } from "./controls.js";
import { NoWebGL, Renderer } from "./gl.js";
import { Orbit } from "./orbit.js";
import { buildChips, byId, setText, showCameraWord, showFigures, showModes, showState, showStatus, showStereo, showTriad } from "./panel.js";
import { encodePly } from "./ply.js";
import { Puller } from "./pull.js";
import { Bounds } from "./scene.js";
import { Rate, asSentence, describe, isFresh } from "./state.js";
import { STEREO, aspectOf, stereoOf } from "./stereo.js";
import { Tilt } from "./tilt.js";
import { authHeaders, keepToken, takeToken } from "./token.js";
import { decode } from "./wire.js";

const SPIN = 0.00022;
const STATUS_EVERY = 1000;
const THEME_KEY = "carcloud-theme";
const STEREO_KEY = "carcloud-stereo";
/** Milliseconds for which a note stands where the state has its sentence. */
const NOTE_FOR = 8000;
/** Milliseconds for which the buttons stay over a picture for a phone viewer. */
const BUTTONS_FOR = 3000;

const orbit = new Orbit();
const bounds = new Bounds();
const rate = new Rate();
const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const light = matchMedia("(prefers-color-scheme: light)");
const page = {
  theme: "dark", mode: HEIGHT, chosen: false, stereo: "flat", size: 1, ground: true, spin: !stillness.matches, frozen: false,
  packet: null, frameAt: null, ageMs: null, skipped: 0, trouble: null, tried: false, server: null,
  note: "", noteIsEvent: false, noteUntil: 0, dirty: true, lastDraw: 0,
};
let renderer = null;
let clouds = null;
let camera = null;

// ---- stream ----

function onCloud(body, facts) {
  let packet;
  try {
    packet = decode(body);
  } catch (error) {
    page.trouble = { kind: "error", sentence: error.message };
    return;
  }
  const now = performance.now();
  rate.tick(now);
  Object.assign(page, { packet, frameAt: now, ageMs: facts.ageMs, skipped: facts.skipped, trouble: null, dirty: true });
  bounds.add(packet);
  renderer?.setPacket(packet);
  byId("save").disabled = false;
  offerModes();
}

function onTrouble(kind, sentence, status) {
  page.trouble = { kind, sentence, status };
  page.tried = "Authorization" in authHeaders();
  if (kind === "token") askForToken();
  refreshWords();
}

async function pollStatus() {
  if (!document.hidden && page.trouble?.kind !== "token") {
    try {
      const answer = await fetch("/api/v1/status", { headers: authHeaders(), cache: "no-store", credentials: "omit" });
      if (answer.ok) {
        page.server = await answer.json();
        note(showStatus(page.server), true);
      }
    } catch {
      // The server is away; the cloud puller says so, and goes on trying.
    }
  }
  setTimeout(pollStatus, STATUS_EVERY);
}

function startStream() {
  page.trouble = null;
  if (!page.frozen) clouds.start();
  if (camera) camera.start();
  else camera = startCamera(authHeaders, follow, () => page.packet);
}

/** Ask the server to follow another car. */
async function follow(number) {
  const headers = { ...authHeaders(), "Content-Type": "application/json" };
  const body = JSON.stringify({ car: number });
  try {
    const answer = await fetch("/api/v1/target", { method: "POST", headers, body, credentials: "omit" });
    if (!answer.ok) note((await answer.json()).error);
  } catch {
    // The server is away; the cloud puller says so. A car that left in the meantime has no frame in the next picture.
  }
}

function stopStream() {
  clouds.stop();
  camera?.stop();
}

// ---- words and numbers ----

function refreshWords() {
  const sinceFrame = page.frameAt === null ? null : performance.now() - page.frameAt;
  const state = describe({ ...page, sinceFrame });
  // What happened to the camera says the state itself, and better, as long as the camera is away.
  const noted = performance.now() < page.noteUntil && !(page.noteIsEvent && state.sentence);
  showState(noted ? { ...state, sentence: page.note, hint: "" } : state, page.packet || !renderer ? "top" : "centre");
  showFigures({
    rate: page.frozen ? 0 : rate.value(performance.now()),
    ageMs: sinceFrame === null ? null : page.ageMs + sinceFrame,
    points: page.packet?.count ?? null, skipped: page.skipped,
  });
  const asking = page.trouble?.kind === "token";
  if (asking) byId("strip").hidden = true;
  showAsked(asking, state);
  showNothing(asking);
  const picture = page.frozen ? "held still" : "the last picture";
  showCameraWord(isFresh(state.word), camera?.picture ? picture : asking ? "it needs the token, too" : "waiting for the camera");
}

/** A sentence that is news, for a while; null: none. event: it tells of the stream, not of what somebody did here. */
function note(sentence, event = false) {
  if (!sentence) return;
  Object.assign(page, { note: asSentence(sentence), noteIsEvent: event, noteUntil: performance.now() + NOTE_FOR });
  refreshWords();
}

/** What stands in the place of a cloud that cannot be drawn. */
function showNothing(asking) {
  let words = "";
  if (!renderer) {
    words = "This browser has no WebGL 2, so it cannot draw the cloud in space. It draws it over the camera picture instead, "
      + "and “Save PLY” gives you the cloud for another program. To have it here, switch hardware acceleration on in the "
      + "browser's settings, or take another browser.";
  } else if (page.packet?.count === 0) words = "The network sees no car in this picture.";
  byId("nothing").hidden = !words || asking;
  setText("nothing-text", words);
}

/** The form for the token; after a wrong one it says so. */
function showAsked(asking, state) {
  byId("token-form").hidden = !asking;
  byId("token-trouble").hidden = !page.tried;
  setText("token-trouble", page.tried ? state.sentence : "");
}

function askForToken() {
  stopStream();
  byId("token-form").hidden = false;
  byId("token").focus({ preventScroll: true });
}

// ---- look ----

function offerModes() {
  const available = availableModes(page.packet);
  // The picture's own colours are what one wants to see; until somebody wants something else.
  if (!page.chosen) page.mode = available.find(({ id }) => id === "camera") ?? HEIGHT;
  const mode = available.includes(page.mode) ? page.mode : HEIGHT;
  const key = [mode.id, page.theme, ...available.map(({ id }) => id)].join();
  if (key === page.modesKey) return;
  page.modesKey = key;
  page.mode = mode;
  showModes(mode, available, page.theme);
}

function chooseMode(id) {
  page.mode = MODES.find((mode) => mode.id === id);
  page.chosen = true;
  page.dirty = true;
  offerModes();
}

function nextMode() {
  const available = availableModes(page.packet);
  chooseMode(available[(available.indexOf(page.mode) + 1) % available.length].id);
}

function setTheme(theme) {
  page.theme = theme;
  page.dirty = true;
  document.documentElement.dataset.theme = theme;
  offerModes();
}

function toggleTheme() {
  setTheme(page.theme === "dark" ? "light" : "dark");
  sessionStorage.setItem(THEME_KEY, page.theme);
}

function setStereo(id) {
  page.stereo = stereoOf(id).id;
  page.dirty = true;
  showStereo(stereoOf(id));
  showButtons(true);
}

function chooseStereo(id) {
  setStereo(id);
  sessionStorage.setItem(STEREO_KEY, page.stereo);
}

function nextStereo() {
  if (renderer) chooseStereo(STEREO[(STEREO.findIndex(({ id }) => id === page.stereo) + 1) % STEREO.length].id);
}

let buttonsUntil = null;

/** Over a whole screen for a phone viewer (see style.css) the buttons show for a while, or not. */
function showButtons(shown) {
  clearTimeout(buttonsUntil);
  byId("stage").classList.toggle("bare", !shown);
  if (shown) buttonsUntil = setTimeout(showButtons, BUTTONS_FOR, false);
}

function setSize(size) {
  page.size = Math.min(2.5, Math.max(0.4, size));
  page.dirty = true;
  byId("size").value = String(page.size);
  setText("size-value", page.size.toFixed(1));
}

function setGround(shown) {
  page.ground = shown;
  page.dirty = true;
  byId("ground").checked = shown;
}

function toggleOver() {
  byId("over").checked = !byId("over").checked;
}

function setSpin(on) {
  page.spin = on;
  page.dirty = true;
  byId("spin").setAttribute("aria-pressed", String(on));
}

// ---- actions ----

function resetView() {
  orbit.reset();
  page.dirty = true;
}

function toggleFreeze() {
  page.frozen = !page.frozen;
  byId("freeze").setAttribute("aria-pressed", String(page.frozen));
  if (page.frozen) stopStream();
  else startStream();
  refreshWords();
}

function savePly() {
  if (!page.packet) return;
  download(encodePly(page.packet), "application/octet-stream", `carcloud-${page.packet.seq}.ply`);
}

function savePicture() {
  if (camera?.picture) download(camera.picture.body, "image/jpeg", `carcloud-${camera.picture.seq}.jpg`);
}

function fullScreen() {
  if (renderer) toggleFullScreen(byId("stage"));
}

function screenChanged() {
  const full = isFull(byId("stage"));
  byId("stage").classList.toggle("full", full);
  byId("full").setAttribute("aria-pressed", String(full));
  showButtons(true);
}

/** Looking from another side as the phone is held, until it is switched off or cannot be. */
const tilt = new Tilt((yaw, pitch) => {
  orbit.rotate(yaw, pitch);
  touched();
}, (sentence) => {
  byId("tilt").checked = false;
  note(sentence);
});

function touched() {
  if (page.spin) setSpin(false);
  page.dirty = true;
}

// ---- picture ----

function draw(now) {
  requestAnimationFrame(draw);
  const elapsed = Math.min(100, now - page.lastDraw);
  page.lastDraw = now;
  if (page.spin && page.packet) {
    orbit.rotate(-SPIN * elapsed, 0);
    page.dirty = true;
  }
  if (!renderer || !page.dirty) return;
  page.dirty = false;
  orbit.setAspect(aspectOf(page.stereo, byId("cloud").clientWidth, byId("cloud").clientHeight));
  const { theme, mode, size, ground, stereo } = page;
  renderer.draw(orbit, { theme, mode: mode.shader, size, ground, bounds: bounds.now, stereo });
  showTriad(orbit);
}

function startPicture() {
  const canvas = byId("cloud");
  try {
    renderer = new Renderer(canvas);
  } catch (error) {
    if (!(error instanceof NoWebGL)) throw error;
    console.warn(error.message);
    document.body.classList.add("flat");
    byId("over").checked = true;
    return;
  }
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => {
    renderer.build();
    page.dirty = true;
  });
  new ResizeObserver(() => { page.dirty = true; }).observe(canvas);
  attachPointer(canvas, orbit, touched, () => showButtons(byId("stage").classList.contains("bare")));
}

// ---- start ----

function wire() {
  const click = (id, action) => byId(id).addEventListener("click", action);
  click("reset", resetView);
  click("spin", () => setSpin(!page.spin));
  click("freeze", toggleFreeze);
  click("save", savePly);
  click("save-picture", savePicture);
  click("link", async () => note(await copyAddress()));
  click("full", fullScreen);
  document.addEventListener("fullscreenchange", screenChanged);
  click("theme", toggleTheme);
  byId("size").addEventListener("input", (event) => setSize(Number(event.target.value)));
  byId("ground").addEventListener("change", (event) => setGround(event.target.checked));
  byId("tilt-row").hidden = !matchMedia("(any-pointer: coarse)").matches;
  byId("tilt").addEventListener("change", (event) => (event.target.checked ? tilt.start() : tilt.stop()));
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keepToken(byId("token").value);
    byId("token").value = "";
    startStream();
    refreshWords();
  });
  attachKeys({
    r: resetView, a: () => setSpin(!page.spin), f: toggleFreeze, s: savePly, p: savePicture, x: fullScreen, c: nextMode,
    e: nextStereo, t: toggleTheme, g: () => setGround(!page.ground), o: toggleOver, "[": () => setSize(page.size - 0.1), "]": () => setSize(page.size + 0.1),
  }, orbit, touched);
  light.addEventListener("change", () => {
    if (!sessionStorage.getItem(THEME_KEY)) setTheme(light.matches ? "light" : "dark");
  });
  // A page nobody sees asks for nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stopStream();
    else if (!page.frozen && page.trouble?.kind !== "token") startStream();
  });
}

takeToken();
clouds = new Puller("/api/v1/cloud", {
  headers: authHeaders, onFrame: onCloud, onTrouble,
  onAnswer() { if (page.trouble?.kind !== "error") page.trouble = null; },
});
buildChips("modes", MODES, chooseMode);
buildChips("stereo", STEREO, chooseStereo);
setTheme(sessionStorage.getItem(THEME_KEY) ?? (light.matches ? "light" : "dark"));
setSpin(page.spin);
startPicture();
setStereo(sessionStorage.getItem(STEREO_KEY));
wire();
startStream();
pollStatus();
setInterval(refreshWords, 200);
requestAnimationFrame(draw);
