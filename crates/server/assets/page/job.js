// Work that goes on without a request: how far it is, and what it has found.

import { Problem, call } from "./api.js";
import { count, make, plainButton } from "./element.js";

const POLL_MS = 500;
const RESULT_PAGE = 20;

/** Waits for the end of a job, showing at `place` how far it is; returns its description. */
export async function jobEnd(id, place, signal) {
  const bar = make("progress", { "aria-label": "Progress" });
  const line = make("span", { class: "small" });
  const cancel = plainButton("Cancel", () => call(jobPath(id), undefined, undefined, "DELETE").catch(() => {}));
  place.replaceChildren(make("div", { class: "job", children: [bar, line, cancel] }));
  for (;;) {
    const job = await call(jobPath(id), undefined, signal);
    if (job.state === "done") return place.replaceChildren(), job;
    if (!["queued", "running"].includes(job.state)) throw endedOtherwise(job);
    showProgress(job, bar, line);
    await new Promise((wake) => setTimeout(wake, POLL_MS));
    signal.throwIfAborted();
  }
}

const jobPath = (id) => `jobs/${encodeURIComponent(id)}`;

function endedOtherwise({ state, error, kind }) {
  const title = `The job (${kind}) ${{ failed: "failed", cancelled: "was cancelled", interrupted: "was interrupted by a restart" }[state] ?? `is ${state}`}`;
  return new Problem({ title, detail: error?.detail ?? "Start it again.", code: error?.code });
}

function showProgress({ state, progress, eta_s }, bar, line) {
  if (progress.total) { bar.max = progress.total; bar.value = progress.done; }
  const of = progress.total ? ` of ${count(progress.total)}` : "";
  const rest = eta_s === undefined || eta_s === null ? "" : ` · about ${count(eta_s)} s left`;
  line.textContent = state === "queued" ? "Waiting for its turn" : `${count(progress.done)}${of} ${progress.unit}${rest}`;
}

/** The pages of what a job has found: each call returns the next one's items, and whether there are more. */
export function resultPages(id) {
  let cursor = "";
  return async () => {
    const page = await call(`${jobPath(id)}/result?limit=${RESULT_PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    cursor = page.next_cursor ?? "";
    return { items: page.items, more: Boolean(cursor) };
  };
}

/** The same of what was answered at once. */
export function listPages(items) {
  let start = 0;
  return async () => {
    const page = items.slice(start, (start += RESULT_PAGE));
    return { items: page, more: start < items.length };
  };
}
