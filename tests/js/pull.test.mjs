import assert from "node:assert/strict";
import test from "node:test";

import { Puller, backoff } from "../../edge/server/static/pull.js";

/** An answer as fetch gives it; `bodyMs` moves the test's clock while the body comes. */
function answer(status, { seq = 0, body = {}, headers = {}, clock, bodyMs = 0 } = {}) {
  const all = { "X-Seq": String(seq), "X-Age-Ms": "5", ...headers };
  return {
    status, headers: { get: (name) => all[name] ?? null }, json: async () => body,
    arrayBuffer: async () => {
      clock.now += bodyMs;
      return new ArrayBuffer(seq);
    },
  };
}

/** Runs a puller on scripted answers until they are used up; returns what happened. */
async function play(script, options = {}) {
  const log = { frames: [], troubles: [], urls: [], sleeps: [], most: 0, headers: [] };
  const clock = { now: 0 };
  await new Promise((done) => {
    const puller = new Puller("/api/v1/cloud", {
      onFrame: (body, facts) => log.frames.push([body.byteLength, facts.seq, facts.skipped, facts.ageMs]),
      onTrouble: (kind, sentence) => log.troubles.push([kind, sentence]),
      now: () => clock.now,
      sleep: async (milliseconds) => { if (milliseconds) log.sleeps.push(milliseconds); },
      fetch: async (url, request) => {
        log.urls.push(url);
        log.headers.push(request.headers);
        log.most = Math.max(log.most, puller.inFlight);
        const next = script.shift();
        if (next === undefined) {
          setTimeout(() => { puller.stop(); done(); }, 5);
          return new Promise((_, reject) => request.signal.addEventListener("abort", reject));
        }
        if (next instanceof Error) throw next;
        return answer(next[0], { ...next[1], clock });
      },
      ...options,
    });
    log.puller = puller;
    puller.start();
    if (options.afterStart) options.afterStart(puller, done);
  });
  return log;
}

const after = (urls) => urls.map((url) => Number(new URL(url, "http://x").searchParams.get("after")));

test("asks for what comes after the newest, counts what it missed", async () => {
  const { frames, urls, puller } = await play([[200, { seq: 3 }], [204], [200, { seq: 4 }], [200, { seq: 9 }]]);
  assert.deepEqual(frames.map(([bytes, seq, skipped]) => [bytes, seq, skipped]), [[3, 3, 0], [4, 4, 0], [9, 9, 4]]);
  assert.deepEqual(after(urls), [0, 3, 3, 4, 9]);
  assert.equal(puller.running, false);
});

test("age is what the server says plus the time the body took", async () => {
  const { frames } = await play([[200, { seq: 1, bodyMs: 120 }]]);
  assert.equal(frames[0][3], 125);
});

test("never more than two in flight", async () => {
  const { most } = await play(Array.from({ length: 8 }, (_, index) => [200, { seq: index + 1 }]));
  assert.equal(most, 2);
});

test("no second request while bodies are slow", async () => {
  const { most, urls } = await play([[200, { seq: 1, bodyMs: 500 }], [200, { seq: 2, bodyMs: 500 }], [204]]);
  assert.equal(most, 1);
  assert.deepEqual(after(urls), [0, 1, 2, 2]);
});

test("on a fast link the next request leaves before the body is read, and never asks for the same frame", async () => {
  const order = [];
  const script = [[200, { seq: 1 }], [200, { seq: 2 }], [200, { seq: 3 }]];
  const { urls, frames } = await play(script, {
    onFrame: (body, facts) => order.push(`frame ${facts.seq}`),
    headers: () => { order.push("ask"); return {}; },
  });
  assert.deepEqual(after(urls), [0, 1, 2, 3]);
  assert.equal(frames.length, 0);
  assert.deepEqual(order.slice(0, 6), ["ask", "frame 1", "ask", "ask", "frame 2", "ask"]);
});

test("failures back off exponentially and end at a frame", async () => {
  const { sleeps, troubles, frames } = await play([
    new Error("refused"), new Error("refused"), new Error("refused"), [200, { seq: 1 }], new Error("refused"),
  ]);
  assert.deepEqual(sleeps, [250, 500, 1000, 250]);
  assert.deepEqual(troubles[0], ["away", "refused"]);
  assert.equal(frames.length, 1);
});

test("the pause is bounded", () => {
  assert.equal(backoff(1), 250);
  assert.equal(backoff(50), 8000);
});

test("a busy server's Retry-After is obeyed", async () => {
  const { sleeps, troubles } = await play([[503, { headers: { "Retry-After": "3" }, body: { error: "32 clients" } }]]);
  assert.deepEqual(sleeps, [3000]);
  assert.deepEqual(troubles, [["busy", "32 clients"]]);
});

test("a missing token stops the pulling", async () => {
  const { troubles, urls, puller } = await play([[401, { body: { error: "wants its token" } }]], {
    onTrouble(kind, sentence) { this.seen = [kind, sentence]; },
    afterStart: (puller, done) => setTimeout(done, 20),
  });
  assert.deepEqual(puller.options.seen, ["token", "wants its token"]);
  assert.deepEqual([troubles.length, urls.length, puller.running], [0, 1, false]);
});

test("too many wrong tokens stop the pulling too, and too many requests make it wait", async () => {
  const wrong = await play([[429, { headers: { "WWW-Authenticate": "Bearer", "Retry-After": "6" }, body: { error: "guessing" } }]], {
    onTrouble(kind, sentence) { this.seen = [kind, sentence]; },
    afterStart: (puller, done) => setTimeout(done, 20),
  });
  assert.deepEqual([wrong.puller.options.seen, wrong.puller.running], [["token", "guessing"], false]);
  const { sleeps, troubles } = await play([[429, { headers: { "Retry-After": "1" }, body: { error: "slower" } }]]);
  assert.deepEqual([sleeps, troubles], [[1000], [["busy", "slower"]]]);
});

test("headers go along", async () => {
  const { headers } = await play([[204]], { headers: () => ({ Authorization: "Bearer x" }) });
  assert.deepEqual(headers[0], { Authorization: "Bearer x" });
});

test("what was published while stopped is not called skipped", async () => {
  const { puller } = await play([[200, { seq: 3 }]]);
  const life = new AbortController();
  puller.counting = false;
  puller.options.prefetch = false;
  await puller.take(answer(200, { seq: 50, clock: { now: 0 } }), life.signal);
  assert.equal(puller.skipped, 0);
  await puller.take(answer(200, { seq: 53, clock: { now: 0 } }), life.signal);
  assert.equal(puller.skipped, 2);
});
