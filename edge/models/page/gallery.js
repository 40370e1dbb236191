// The list of models, and what is told of the one that is chosen.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const models = new Map(data.models.map((model) => [model.id, model]));
const faces = data.faces ? new Uint16Array(bytes(data.faces).buffer) : new Uint16Array(0);
let viewer = null, chosen = null;

function bytes(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

function make(tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

const percent = (value) => `${Math.round(value * 100)} %`;
const jpeg = (text) => `data:image/jpeg;base64,${text}`;
const address = (path) => path.split("/").map(encodeURIComponent).join("/");

/** Rows of what is known of a model. */
function facts(model) {
  const rows = [];
  if (model.size) rows.push(["size", `${model.size.map((v) => v.toFixed(2)).join(" × ")} m` + (model.plus_minus ? ` (length ± ${model.plus_minus.toFixed(2)})` : "")]);
  if (model.confidence !== null) rows.push(["confidence", `${percent(model.confidence)} of its points are expected within 2 % of the car's length of the truth`]);
  if (model.body) rows.push(["kind", `${model.body.name} (${percent(model.body.probability)})`]);
  if (model.kind === "group") rows.push(["made of", `${model.used} photo${model.used === 1 ? "" : "s"}, from ${model.directions} of 24 directions` + (model.odd ? `; ${model.odd} left out, they look different` : "")]);
  if (model.colours_from) rows.push(["colours of", model.colours_from]);
  if (model.pose) rows.push(["seen from", direction(model.pose)]);
  if (model.group && model.kind === "photo") rows.push(["class", model.group]);
  if (model.source) rows.push(["photo", model.source]);
  return rows;
}

function direction({ azimuth, elevation }) {
  const names = ["the front", "the front left", "the left", "the rear left", "the rear", "the rear right", "the right", "the front right"];
  return `${names[Math.round((((azimuth % 360) + 360) % 360) / 45) % 8]}, ${Math.round(elevation)}° above the horizon`;
}

function choose(id) {
  const model = models.get(id);
  if (!model) return;
  chosen = id;
  $("name").textContent = model.title;
  $("facts").replaceChildren(...facts(model).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  $("files").replaceChildren(...Object.entries(model.files).flatMap(([name, path]) => [make("a", { href: address(path), download: "" }, name), document.createTextNode("  ")]));
  $("members").replaceChildren(...pictures(model));
  const solid = Boolean(viewer && model.xyz);
  $("canvas").hidden = !solid;
  $("hint").hidden = !solid;
  $("strip").hidden = solid || !model.files["turntable"];
  if (!solid && model.files["turntable"]) { $("strip").src = address(model.files["turntable"]); $("strip").alt = `${model.title} from eight sides`; }
  if (solid) {
    const whole = new Int16Array(bytes(model.xyz).buffer), position = new Float32Array(whole.length);
    for (let i = 0; i < whole.length; i++) position[i] = whole[i] / 32767;
    viewer.show(position, bytes(model.rgb), faces, model.azimuth);
  }
  for (const card of document.querySelectorAll(".card")) card.setAttribute("aria-current", String(card.dataset.id === id));
}

function pictures(model) {
  if (model.kind === "photo") return model.photo ? [make("img", { src: jpeg(model.photo), alt: `the photo ${model.source}` })] : [];
  return model.members.map((id) => models.get(id)).filter(Boolean).map((one) => {
    const button = make("button", { title: `${one.title}` });
    if (model.odd_ids.includes(one.id)) button.className = "odd";
    button.append(make("img", { src: jpeg(one.photo || one.poster), alt: one.title }));
    button.addEventListener("click", () => choose(one.id));
    return button;
  });
}

function card(model) {
  const button = make("button", { class: "card", "data-id": model.id, "aria-current": String(model.id === chosen) });
  const note = model.kind === "group" ? `${model.used} photo${model.used === 1 ? "" : "s"}` : model.group || "";
  button.append(make("img", { src: jpeg(model.poster), alt: "", loading: "lazy" }), make("span", { class: "title" }, model.title),
    make("span", { class: "note" }, [note, model.confidence === null ? "" : percent(model.confidence)].filter(Boolean).join(" · ")));
  button.addEventListener("click", () => { choose(model.id); $("stage").scrollIntoView({ block: "nearest" }); });
  return button;
}

const orders = {
  class: (a, b) => (a.group || "").localeCompare(b.group || "", undefined, { numeric: true }) || (a.kind === b.kind ? 0 : a.kind === "group" ? -1 : 1) || orders.name(a, b),
  confidence: (a, b) => (b.confidence ?? -1) - (a.confidence ?? -1) || orders.name(a, b),
  name: (a, b) => a.title.localeCompare(b.title, undefined, { numeric: true }),
};

function list() {
  const which = $("which").value;
  const wanted = { "all models": () => true, "one model a class": (m) => m.kind === "group", "one model a photo": (m) => m.kind === "photo" }[which] || ((m) => `class ${m.group}` === which);
  const shown = data.models.filter(wanted).sort(orders[$("sort").value]);
  $("cards").replaceChildren(...shown.map(card));
  if (shown.length && !shown.some((model) => model.id === chosen)) choose(shown[0].id);
}

function begin() {
  $("counts").textContent = data.counts;
  const groups = [...new Set(data.models.filter((m) => m.kind === "group").map((m) => m.group))];
  const choices = groups.length ? ["all models", "one model a class", "one model a photo", ...groups.map((name) => `class ${name}`)] : ["all models"];
  $("which").replaceChildren(...choices.map((name) => make("option", { value: name }, name)));
  try { viewer = new Viewer($("canvas")); } catch (error) {
    $("buttons").hidden = true; // turntable pictures stand in for what cannot be turned
  }
  if (viewer) {
    const toggle = (id, set) => $(id).addEventListener("click", () => { const on = $(id).getAttribute("aria-pressed") !== "true"; $(id).setAttribute("aria-pressed", String(on)); set(on); viewer.ask(); });
    toggle("turn", (on) => { viewer.turning = on; viewer.last = 0; });
    toggle("points", (on) => { viewer.asPoints = on; });
    if (!data.faces) $("points").hidden = true;
    $("stereo").addEventListener("change", () => { viewer.mode = $("stereo").value; viewer.ask(); });
    $("full").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : $("view").requestFullscreen()));
  }
  $("which").addEventListener("change", list);
  $("sort").addEventListener("change", list);
  if (data.skipped.length) {
    $("skipped").hidden = false;
    $("skipped").querySelector("summary").textContent = `${data.skipped.length} photo${data.skipped.length === 1 ? "" : "s"} without a model`;
    $("skipped").querySelector("ul").replaceChildren(...data.skipped.map((text) => make("li", {}, text)));
  }
  list();
  if (!data.models.length) $("name").textContent = "No photo gave a model.";
}

begin();
