// Requests to the service, and what becomes of those that fail.

import { at, make, plainButton } from "./element.js";
import { fetchWithKey, hasKey, changeKey } from "./key.js";
import { DEFAULT_COLLECTION, view } from "./view.js";

const TYPING_PAUSE_MS = 140;

export class Problem extends Error {
  constructor(fields) {
    super(fields.title);
    Object.assign(this, fields);
  }
}

export function collectionPath(rest) {
  if (view.collection === DEFAULT_COLLECTION) return rest;
  return `collections/${encodeURIComponent(view.collection)}/${rest}`;
}

/** A document's address: as a parameter, since a path cannot carry every id. */
export const documentPath = (id) => collectionPath(`documents?id=${encodeURIComponent(id)}`);

export async function call(path, body, signal, method = body === undefined ? "GET" : "POST") {
  const content = { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await reach(path, { method, ...(body === undefined ? {} : content), signal });
  if (!response.ok) throw await problemOf(response);
  return response.status === 204 ? null : response.json();
}

export async function reach(path, options) {
  try {
    return await fetchWithKey(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "The server does not answer", detail: "Is it still running?", code: "unreachable" });
  }
}

export async function problemOf(response) {
  const body = await response.json().catch(() => null);
  const fallback = { title: `The server answered ${response.status} ${response.statusText}`.trim() };
  const wait = Number(response.headers.get("retry-after")) || undefined;
  return new Problem({ ...fallback, ...(body && typeof body === "object" ? body : {}), status: response.status, retryAfter: wait });
}

export function showProblem(place, error) {
  if (!(error instanceof Problem)) console.error(error);
  const known = error instanceof Problem ? error : { title: "The page failed", detail: String(error) };
  const lines = [make("p", { children: [make("strong", { text: known.title })] })];
  if (known.detail) lines.push(make("p", { text: known.detail }));
  const facts = [
    known.code && `code ${known.code}`,
    known.pointer && `at ${known.pointer}`,
    known.request_id && `request ${known.request_id}`,
  ].filter(Boolean);
  if (facts.length) lines.push(make("p", { class: "small", text: facts.join(" · ") }));
  if (known.status === 403 && hasKey()) lines.push(make("p", { children: [plainButton("Use another key", changeKey)] }));
  place.replaceChildren(make("div", { class: "box problem", children: lines }));
}

/** Runs a task whose failure is shown at `place`. */
export async function showingProblems(place, task) {
  at(place).replaceChildren();
  try {
    return await task();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    showProblem(at(place), error);
    return undefined;
  }
}

/** Runs one task at a time: a newer one cancels the one under way. */
export function latestOnly(task) {
  let current = null;
  return async (...values) => {
    current?.abort();
    const mine = (current = new AbortController());
    try {
      await task(mine.signal, ...values);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };
}

export function afterPause(task) {
  let timer = 0;
  return {
    later() { clearTimeout(timer); timer = setTimeout(task, TYPING_PAUSE_MS); },
    now() { clearTimeout(timer); return task(); },
    cancel() { clearTimeout(timer); },
  };
}

/** The object that a person has typed as JSON. */
export function parsedObject(what, text, example) {
  let detail = `It has to be an object, such as ${example}.`;
  try {
    const value = JSON.parse(text);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return value;
  } catch (error) {
    detail = error.message;
  }
  throw new Problem({ title: `The ${what} is not a JSON object`, detail });
}
