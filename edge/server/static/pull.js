// Pulls the newest frame, again and again. One request waits at the server; a second one starts as soon as the first
// answer's headers are here, but only while answers arrive fast: on a slow link it would steal from the first.

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 8000;
/** Milliseconds an answer's body may take for the next request to start before it is through. */
const FAST_BODY = 40;
/** Seconds a request waits at the server, and milliseconds after which it is given up here. */
const WAIT_S = 10;
const GIVE_UP = 20000;

const pauseFor = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The pause before attempt number `failures` (1, 2, ...): doubling, bounded. */
export function backoff(failures) {
  return Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1));
}

/**
 * options.onFrame(body: ArrayBuffer, facts: {seq, ageMs, skipped, headers}): a new frame.
 * options.onTrouble(kind: "token" | "busy" | "away" | "error", sentence, status): what went wrong, and the answer's
 * status if there was one; it goes on by itself, except after "token" (call start() again with a token in hand).
 * options.onAnswer(): the server answered, new frame or not.
 * options.headers(): headers of each request. options.prefetch: allow the second request.
 * options.fetch, options.sleep, options.now: replaced in tests.
 */
export class Puller {
  constructor(path, options) {
    this.path = path;
    this.options = { headers: () => ({}), prefetch: true, onAnswer() {}, minInterval: 0, sleep: pauseFor,
      now: () => performance.now(), fetch: (...given) => fetch(...given), ...options };
    this.after = 0;
    this.skipped = 0;
    this.inFlight = 0;
    this.bodyMs = Infinity;
    this.life = null;
  }

  get running() {
    return this.life !== null;
  }

  /** Begin, or go on after stop(). */
  start() {
    if (this.life) return;
    this.counting = false; // what was published while nobody pulled was not skipped
    this.life = new AbortController();
    this.run(this.life.signal);
  }

  /** Give up what is in flight; no frame is reported after this. */
  stop() {
    this.life?.abort();
    this.life = null;
  }

  async run(life) {
    let failures = 0;
    let pending = null;
    while (!life.aborted) {
      try {
        const started = this.options.now();
        pending = await this.step(pending ?? this.request(this.after, life), life);
        failures = 0;
        if (!pending) await this.options.sleep(Math.max(0, this.options.minInterval - (this.options.now() - started)));
      } catch (trouble) {
        pending = null;
        if (life.aborted) return;
        failures += 1;
        this.options.onTrouble(trouble.kind ?? "away", trouble.message, trouble.status);
        if (trouble.kind === "token") return this.stop();
        await this.options.sleep(Math.max(trouble.pause ?? 0, backoff(failures)));
      }
    }
  }

  /** Take one answer; returns the promise of the next one if it was already asked for. */
  async step(asked, life) {
    const { answer, finish } = await asked;
    try {
      return await this.take(answer, life);
    } finally {
      finish();
    }
  }

  async take(answer, life) {
    if (answer.status === 204) {
      this.options.onAnswer();
      return null;
    }
    if (answer.status !== 200) throw await refusal(answer);
    const seq = Number(answer.headers.get("X-Seq"));
    const headersAt = this.options.now();
    const fast = this.options.prefetch && this.bodyMs < FAST_BODY;
    const next = fast ? this.request(seq, life) : null;
    next?.catch(() => {}); // it is awaited, and its error seen, in the next step
    const body = await answer.arrayBuffer().catch((trouble) => {
      giveUp(next);
      throw trouble;
    });
    this.bodyMs = this.options.now() - headersAt;
    if (life.aborted) {
      giveUp(next);
      return null;
    }
    if (this.counting && seq > this.after) this.skipped += seq - this.after - 1;
    this.counting = true;
    this.after = seq;
    const ageMs = Number(answer.headers.get("X-Age-Ms")) + this.bodyMs;
    this.options.onAnswer();
    this.options.onFrame(body, { seq, ageMs, skipped: this.skipped, headers: answer.headers });
    return next;
  }

  /** One request; `finish` must be called when its body is read or given up. */
  async request(after, life) {
    const patience = new AbortController();
    const end = () => patience.abort();
    const timer = setTimeout(end, GIVE_UP);
    life.addEventListener("abort", end);
    this.inFlight += 1;
    const finish = () => {
      this.inFlight -= 1;
      clearTimeout(timer);
      life.removeEventListener("abort", end);
    };
    try {
      const answer = await this.options.fetch(`${this.path}?after=${after}&timeout=${WAIT_S}`, {
        headers: this.options.headers(), signal: patience.signal, cache: "no-store", credentials: "omit",
      });
      return { answer, finish };
    } catch (trouble) {
      finish();
      throw trouble;
    }
  }
}

/** Let go of a request that was made too early. */
function giveUp(next) {
  next?.then(({ finish }) => finish(), () => {});
}

/** An error answer as an Error with a kind, the server's sentence, and the pause it asks for. */
async function refusal(answer) {
  // 429 is for too many wrong tokens, and then names the header that is wanted, or for too many requests.
  const kinds = { 401: "token", 429: answer.headers.get("WWW-Authenticate") ? "token" : "busy", 503: "busy" };
  const body = await answer.json().catch(() => ({}));
  const error = new Error(body.error ?? `the server answers ${answer.status}`);
  error.kind = kinds[answer.status] ?? "error";
  error.status = answer.status;
  error.pause = 1000 * Number(answer.headers.get("Retry-After") ?? 0);
  return error;
}
