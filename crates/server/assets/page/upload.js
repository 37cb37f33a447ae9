// Files of people's documents, sent in batches of lines so that progress and failures are known as they happen.

import { Problem, collectionPath, problemOf, reach, showProblem } from "./api.js";
import { loadCollections } from "./collections.js";
import { at, bytesIn, count, counted, documentsIn, make, plainButton, small } from "./element.js";
import { ENDINGS, documentsOf } from "./rows.js";
import { visit } from "./view.js";

const BATCH_DOCUMENTS = 100;
const BATCH_CHARS = 512 * 1024;
const RETRIES = 8;
const LONGEST_WAIT_S = 60;
const SHOWN_FAILURES = 50;
const OUTCOMES = ["created", "updated", "unchanged", "rejected", "failed"];

let current = null;

async function upload(files) {
  current?.abort();
  const mine = (current = new AbortController());
  const signal = mine.signal;
  const tally = { counts: new Map(), failures: [], bytes: 0, total: files.reduce((sum, { size }) => sum + size, 0) };
  at("upload-problem").replaceChildren();
  at("upload-result").replaceChildren();
  at("upload-progress").hidden = false;
  try {
    for (const file of files) await sendFile(file, tally, signal);
    showResult(tally, `${files.length === 1 ? files[0].name : counted(files.length, "file")}: ${outcomeLine(tally)}`);
  } catch (error) {
    showResult(tally, `Stopped: ${outcomeLine(tally)}`);
    if (error.name !== "AbortError") showProblem(at("upload-problem"), error);
  }
  // A newer one goes on showing how far it is.
  if (current === mine) at("upload-progress").hidden = true;
  await loadCollections().catch(() => {});
}

async function sendFile(file, tally, signal) {
  const before = tally.bytes;
  let [batch, chars] = [[], 0];
  const flush = async () => {
    if (batch.length) await sendBatch(file, batch, tally, signal);
    [batch, chars] = [[], 0];
  };
  for await (const { line, document, error, bytes } of documentsOf(file)) {
    signal.throwIfAborted();
    if (error) note(tally, file, line, error);
    else {
      const text = JSON.stringify(document);
      batch.push({ line, text });
      chars += text.length;
    }
    if (batch.length >= BATCH_DOCUMENTS || chars >= BATCH_CHARS) {
      await flush();
      tally.bytes = before + bytes;
      showProgress(tally);
    }
  }
  await flush();
  tally.bytes = before + file.size;
  showProgress(tally);
}

async function sendBatch(file, batch, tally, signal) {
  const body = `${batch.map(({ text }) => text).join("\n")}\n`;
  const answers = await postLines(body, signal);
  for (const answer of answers.trim().split("\n").map((line) => JSON.parse(line))) {
    if (answer.summary) continue;
    if (!answer.line) throw new Problem(answer.error ?? { title: "The answer was cut short" });
    if (answer.error) note(tally, file, batch[answer.line - 1].line, answer.error.detail ?? answer.error.title);
    else tally.counts.set(answer.status, (tally.counts.get(answer.status) ?? 0) + 1);
  }
}

/** Sends lines again, after the time that is asked for, while the service has no room for them. */
async function postLines(body, signal) {
  for (let attempt = 0; ; attempt += 1) {
    const options = { method: "POST", headers: { "content-type": "application/x-ndjson" }, body, signal };
    const response = await reach(collectionPath("documents"), options);
    if (response.ok) return response.text();
    const problem = await problemOf(response);
    if (![429, 503].includes(problem.status) || attempt === RETRIES) throw problem;
    const wait = Math.min(problem.retryAfter ?? 2 ** attempt, LONGEST_WAIT_S);
    at("upload-line").textContent = `The service is busy; trying again in ${wait} s`;
    await new Promise((wake) => setTimeout(wake, wait * 1000));
    signal.throwIfAborted();
  }
}

function note(tally, file, line, reason) {
  tally.counts.set("failed", (tally.counts.get("failed") ?? 0) + 1);
  if (tally.failures.length < SHOWN_FAILURES) tally.failures.push(`${file.name}:${line}: ${reason}`);
}

function outcomeLine({ counts }) {
  const line = OUTCOMES.filter((outcome) => counts.has(outcome)).map((outcome) => `${count(counts.get(outcome))} ${outcome}`).join(", ");
  return line || "no documents";
}

function showProgress(tally) {
  at("upload-bar").max = Math.max(1, tally.total);
  at("upload-bar").value = tally.bytes;
  at("upload-line").textContent = `${bytesIn(tally.bytes)} of ${bytesIn(tally.total)} · ${outcomeLine(tally)}`;
}

function showResult(tally, line) {
  const failed = tally.counts.get("failed") ?? 0;
  const more = failed - tally.failures.length;
  const items = tally.failures.map((text) => make("li", { text }));
  const stored = [...tally.counts].filter(([outcome]) => outcome !== "failed" && outcome !== "rejected").reduce((sum, [, value]) => sum + value, 0);
  at("upload-result").replaceChildren(make("div", {
    class: `box ${failed ? "problem" : "done"}`,
    children: [
      make("p", { children: [make("strong", { text: line })] }),
      ...(items.length ? [make("ul", { class: "failures", "aria-label": "What failed", children: items })] : []),
      ...(more > 0 ? [small(`and ${documentsIn(more)} more that failed`)] : []),
      ...(stored ? [make("p", { children: [plainButton("Search in them", () => visit({ tab: "search", q: "", like: "" }))] })] : []),
    ],
  }));
}

function dropped(event) {
  event.preventDefault();
  at("drop").classList.remove("over");
  start(event.dataTransfer.files);
}

function start(files) {
  if (files.length === 0) return;
  at("upload-bar").removeAttribute("value");
  at("upload-line").textContent = "Reading …";
  upload([...files]);
}

export function listenForUpload() {
  at("files").accept = ENDINGS.map((ending) => `.${ending}`).join(",");
  at("files").addEventListener("change", () => { start(at("files").files); at("files").value = ""; });
  at("drop").addEventListener("dragover", (event) => { event.preventDefault(); at("drop").classList.add("over"); });
  at("drop").addEventListener("dragleave", () => at("drop").classList.remove("over"));
  at("drop").addEventListener("drop", dropped);
  at("upload-stop").addEventListener("click", () => current?.abort());
}
