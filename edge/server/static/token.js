// The token: taken from the address's fragment (which no browser sends), kept for this tab, sent as a header.

const KEY = "carcloud-token";

/** `#token=...` of a location, or null. */
export function tokenFromFragment(hash) {
  return new URLSearchParams(hash.replace(/^#/, "")).get("token") || null;
}

/** Move a token from the address bar into this tab's storage, so that it is not copied along with the address. */
export function takeToken() {
  const token = tokenFromFragment(location.hash);
  if (!token) return;
  keepToken(token);
  history.replaceState(null, "", location.pathname + location.search);
}

export function keepToken(token) {
  sessionStorage.setItem(KEY, token.trim());
}

/** Headers of every data request. */
export function authHeaders() {
  const token = sessionStorage.getItem(KEY);
  return token ? { Authorization: `Bearer ${token}` } : {};
}
