// What is going on, in words. Pure functions: facts in, words out.

/** Milliseconds without a new cloud after which "live" becomes "stalled". */
export const STALLED_AFTER = 3000;

/** States that the server knows better than the age of the cloud: their tone, and a sentence where it gives none. */
const TOLD = {
  starting: ["busy", "Waiting for the first cloud."],
  opening: ["busy", "The camera is being opened."],
  "no car in view": ["busy", ""],
  reopening: ["warn", "The camera is being opened again; the last cloud stays."],
  "source ended": ["busy", ""],
  failed: ["bad", ""],
  stopped: ["warn", ""],
};

/**
 * The one word (or two) for the badge, its tone (good, busy, warn, bad) and a sentence.
 * facts: {webgl, trouble: null | {kind, sentence}, server: null | {state, message}, sinceFrame: ms or null, frozen}
 */
export function describe(facts) {
  const { trouble, server, sinceFrame, frozen } = facts;
  if (trouble?.kind === "token") {
    return { word: "token needed", tone: "warn", sentence: "This server shows its camera only to those with the token." };
  }
  if (trouble?.kind === "away") {
    return sinceFrame === null && !server
      ? { word: "connecting", tone: "busy", sentence: "The server does not answer yet. Trying again." }
      : { word: "server away", tone: "bad", sentence: "The server does not answer. Trying again; the last cloud stays." };
  }
  if (trouble?.kind === "busy") return { word: "server busy", tone: "warn", sentence: trouble.sentence };
  if (trouble) return { word: "failed", tone: "bad", sentence: trouble.sentence };
  if (frozen) return { word: "frozen", tone: "busy", sentence: "The picture holds still. Press F to go on." };
  return ofServer(server, sinceFrame);
}

function ofServer(server, sinceFrame) {
  if (!server) return { word: "connecting", tone: "busy", sentence: "Waiting for the server." };
  if (server.state in TOLD) {
    const [tone, fallback] = TOLD[server.state];
    return { word: server.state, tone, sentence: server.message || fallback };
  }
  if (server.state === "stalled" || (sinceFrame !== null && sinceFrame > STALLED_AFTER)) {
    return { word: "stalled", tone: "warn", sentence: server.message || "No new cloud for a while." };
  }
  if (sinceFrame === null) return { word: "connecting", tone: "busy", sentence: "Waiting for the first cloud." };
  return { word: "live", tone: "good", sentence: "" };
}

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
