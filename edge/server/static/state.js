// What is going on, in words. Pure functions: facts in, words out.

/** Milliseconds without a new cloud after which "live" becomes "stalled". */
export const STALLED_AFTER = 3000;

/** States that the server knows better than the age of the cloud: tone, the sentence where it gives none, what to do. */
const TOLD = {
  starting: ["busy", "Waiting for the first cloud.", "It comes with the first picture that has a car in it."],
  opening: ["busy", "The camera is being opened.", "This page goes on by itself as soon as the camera gives a picture."],
  "no car in view": ["busy", "No car is seen.", "Point the camera at a car, so that all of it is in the picture."],
  reopening: ["warn", "The camera is being opened again.", "This page goes on by itself when the camera is back; the last cloud stays."],
  "source ended": ["busy", "The source has ended.", "A clip goes round and round with ?loop=1 at the end of --source."],
  failed: ["bad", "The stream has failed.", "Nothing more will come: mend what it says, and start the server again."],
  stopped: ["warn", "The server was told to stop.", ""],
};
const LOOK_AT_CAMERA = "If that lasts, look at the camera's cable and at the server's console. The last cloud stays.";
const LOOK_FOR_SERVER = "Is carcloud serve running there, and is this device on the same network? This page goes on by itself.";

/** A sentence of the server as one begins and ends a sentence. An address or a name at its start stays as it is. */
export function asSentence(text) {
  const begun = /^[a-z]+[ ,]/.test(text) ? text[0].toUpperCase() + text.slice(1) : text;
  return !begun || /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/**
 * The one word (or two) for the badge, its tone (good, busy, warn, bad), a sentence, and a hint at what to do.
 * facts: {trouble: null | {kind, sentence, status}, server: null | {state, message}, sinceFrame: ms or null, frozen,
 * tried: whether a token was shown}
 */
export function describe(facts) {
  const { trouble, server, sinceFrame, frozen } = facts;
  if (trouble) return ofTrouble(facts);
  if (frozen) return words("frozen", "busy", "The cloud holds still.", "Freeze, or the key F, lets it go on.");
  if (!server) return words("connecting", "busy", "Waiting for the server.");
  if (server.state in TOLD) {
    const [tone, fallback, hint] = TOLD[server.state];
    return words(server.state, tone, asSentence(server.message) || fallback, hint);
  }
  if (server.state === "stalled" || (sinceFrame !== null && sinceFrame > STALLED_AFTER)) {
    return words("stalled", "warn", asSentence(server.message) || "No new cloud for a while.", LOOK_AT_CAMERA);
  }
  if (sinceFrame === null) return words("connecting", "busy", "Waiting for the first cloud.");
  return words("live", "good", "");
}

function words(word, tone, sentence, hint = "") {
  return { word, tone, sentence, hint };
}

function ofTrouble({ trouble, server, sinceFrame, tried }) {
  const sentence = asSentence(trouble.sentence ?? "");
  if (trouble.kind === "token") {
    if (!tried) return words("token needed", "warn", "This server shows its camera only to those who have its token.");
    // What the server says to a wrong token is meant for programs; how long to wait is meant for people.
    return words("wrong token", "warn", trouble.status === 429 ? sentence : "That is not the token of this server.");
  }
  if (trouble.kind === "away") {
    return sinceFrame === null && !server
      ? words("connecting", "busy", "The server does not answer yet.", LOOK_FOR_SERVER)
      : words("server away", "bad", "The server does not answer any more. The last cloud stays.", LOOK_FOR_SERVER);
  }
  if (trouble.kind === "busy") {
    const more = sentence.includes("clients") ? " carcloud serve --max-clients\u00a0N lets in more." : "";
    return words("server busy", "warn", sentence, `This page tries again by itself.${more}`);
  }
  return words("failed", "bad", sentence);
}

/** Whether in this state the picture of the camera is of now, by the badge's word. */
export function isFresh(word) {
  return word === "live" || word === "no car in view";
}

/** How many at the end of the list `now` are new since it was `before`; both hold only the last few of all. */
export function newEvents(before, now) {
  let count = 0;
  const kept = () => now.slice(0, now.length - count);
  while (kept().some((text, index) => text !== before[before.length - kept().length + index])) count += 1;
  return count;
}

/** The machine in words: "51 °C, MAXN"; "" if it tells nothing. */
export function machineWords({ temperature, power_mode: mode }) {
  return [temperature ? `${Math.round(temperature.celsius)} °C (${temperature.zone})` : "", mode ?? ""].filter(Boolean).join(", ");
}

/** What each quality word means, as docs/server.md has it. */
export const QUALITY = {
  off: "No pictures come", idle: "Pictures come, and no car is in them", hot: "The device is so hot that it slows down",
  late: "The newest cloud is older than half a second", slow: "Fewer than 5 clouds a second", good: "Fast, fresh and cool",
};

/** What the network tells of the car besides its points: class, length, where it is seen from; "" if nothing. */
export function carWords({ pose, length, body_class: body }) {
  const words = [];
  if (body) words.push(`${body.name} (${Math.round(100 * body.probability)} %)`);
  if (length) words.push(`${length.metres.toFixed(2)} ± ${length.plus_minus.toFixed(2)} m long`);
  if (pose) words.push(`seen from ${Math.round(Math.abs(pose.azimuth))}° ${pose.azimuth < 0 ? "right" : "left"} of the front`);
  return words.join(", ");
}

/** Where the pictures come from, and how often a camera has come back. */
export function sourceWords({ source, reconnects }) {
  if (!source) return "–";
  if (!reconnects) return source;
  return `${source} (came back ${reconnects === 1 ? "once" : `${reconnects} times`})`;
}

/** A duration for people: 12 ms, 3.4 s, 5 min. */
export function duration(milliseconds) {
  if (milliseconds === null || !Number.isFinite(milliseconds)) return "–";
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 9950) return `${(milliseconds / 1000).toFixed(1)} s`;
  if (milliseconds < 119500) return `${Math.round(milliseconds / 1000)} s`;
  if (milliseconds < 7170000) return `${Math.round(milliseconds / 60000)} min`;
  return `${Math.round(milliseconds / 3600000)} h`;
}

/** Events a second over a sliding window. */
export class Rate {
  constructor(windowMs = 3000) {
    this.windowMs = windowMs;
    this.times = [];
  }

  tick(now) {
    this.times.push(now);
    this.value(now);
  }

  value(now) {
    while (this.times.length && now - this.times[0] > this.windowMs) this.times.shift();
    if (this.times.length < 2) return 0;
    const span = this.times[this.times.length - 1] - this.times[0];
    const mean = span / (this.times.length - 1);
    const silence = Math.max(0, now - this.times[this.times.length - 1] - mean);
    return (1000 * (this.times.length - 1)) / (span + silence);
  }
}
