// The golden wire frames, the same bytes the Python tests read.

import { readFileSync, readdirSync } from "node:fs";

const folder = new URL("../fixtures/wire/", import.meta.url);

export const names = readdirSync(folder).filter((name) => name.endsWith(".json")).map((name) => name.slice(0, -5)).sort();

/** { buffer: ArrayBuffer, facts: object } of one fixture. */
export function golden(name) {
  const bytes = readFileSync(new URL(`${name}.bin`, folder));
  // Node hands out slices of a pool; the page always gets a buffer of its own.
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  return { buffer, facts: JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")) };
}
