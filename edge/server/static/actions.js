// What leaves the page: files, its address, the whole screen.

/** Let the browser save bytes as a file. */
export function download(bytes, type, name) {
  const address = URL.createObjectURL(new Blob([bytes], { type }));
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** The page's address, without what could follow it: a token has no place in what is passed on. */
export function bareAddress({ origin, pathname }) {
  return origin + pathname;
}

/** Copy the address; returns a sentence that says so. */
export async function copyAddress() {
  const address = bareAddress(location);
  const copied = await copy(address);
  return copied ? `Copied: ${address} (without a token).` : `The browser does not let this page copy. The address is ${address}`;
}

async function copy(text) {
  // Over plain http from another machine there is no clipboard but the old one.
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const field = Object.assign(document.createElement("textarea"), { value: text, className: "away" });
  const before = document.activeElement;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  before?.focus({ preventScroll: true });
  return copied;
}

/** Give an element the whole screen, or where the browser has none for it (iPhone) the whole window; or take it back. */
export function toggleFullScreen(element) {
  if (!document.fullscreenEnabled) {
    element.classList.toggle("whole");
    element.dispatchEvent(new Event("fullscreenchange", { bubbles: true }));
    return;
  }
  const change = document.fullscreenElement ? document.exitFullscreen() : element.requestFullscreen();
  change.catch((refused) => console.warn(`full screen: ${refused.message}`)); // the browser's or its user's choice
}

/** Whether it has the whole screen or window. */
export function isFull(element) {
  return document.fullscreenElement === element || element.classList.contains("whole");
}
