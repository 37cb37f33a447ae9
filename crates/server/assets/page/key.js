// The key for a service that asks for one. It is kept for this tab only, and sent in a header.

import { at } from "./element.js";

const KEY_ENTRY = "siamese-key";
let asked = null;
let declined = false;

const keptKey = () => sessionStorage.getItem(KEY_ENTRY);
export const hasKey = () => Boolean(keptKey());

/** As fetch, with the key. When another one is needed, it asks for it and tries again. */
export async function fetchWithKey(path, options = {}) {
  for (;;) {
    const key = keptKey();
    const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
    const response = await fetch(path, { ...options, headers });
    if (response.status !== 401) return response;
    // Meanwhile, another call may have been given one.
    if (keptKey() === key && !(await askForKey(response.clone()))) return response;
  }
}

/** Whether a key was given. Several calls that need one ask once. */
function askForKey(response) {
  if (declined) return Promise.resolve(false);
  asked ??= keyFromDialog(response).finally(() => { asked = null; });
  return asked;
}

async function keyFromDialog(response) {
  const problem = await response.json().catch(() => ({}));
  at("key-detail").textContent = keptKey() ? problem.detail ?? "" : "";
  at("key-input").value = "";
  at("key-dialog").showModal();
  await new Promise((closed) => at("key-dialog").addEventListener("close", closed, { once: true }));
  const key = at("key-input").value.trim();
  at("key-input").value = "";
  declined = !key;
  if (key) sessionStorage.setItem(KEY_ENTRY, key);
  showKeyButton();
  return Boolean(key);
}

function showKeyButton() {
  at("key-button").hidden = !keptKey() && !declined;
  at("key-button").textContent = keptKey() ? "Forget the key" : "Give a key";
}

/** Forgets the key, or asks for one; either way the page begins again. */
export function changeKey() {
  sessionStorage.removeItem(KEY_ENTRY);
  location.reload();
}

/** Shows what an address has that needs a key, which a link does not send. */
export async function openWithKey(event) {
  if (!keptKey()) return;
  event.preventDefault();
  const response = await fetchWithKey(event.currentTarget.href);
  const address = URL.createObjectURL(await response.blob());
  open(address, "_blank");
}

export function listenForKey() {
  at("key-form").addEventListener("submit", (event) => { event.preventDefault(); at("key-dialog").close(); });
  at("key-cancel").addEventListener("click", () => { at("key-input").value = ""; at("key-dialog").close(); });
  at("key-dialog").addEventListener("cancel", () => { at("key-input").value = ""; });
  at("key-button").addEventListener("click", changeKey);
  showKeyButton();
}
