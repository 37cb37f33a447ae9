// Documents of a collection that say the same, as pairs or in groups.

import { call, collectionPath, latestOnly, showProblem } from "./api.js";
import { readDocument, showDocument } from "./document.js";
import { at, byBytes, count, counted, documentsIn, make, onSubmit, plainButton, small } from "./element.js";
import { explainButton } from "./explanation.js";
import { typedFilter } from "./facets.js";
import { jobEnd, listPages, resultPages } from "./job.js";
import { amend, view } from "./view.js";

const SHOWN_MEMBERS = 5;
const READS_AT_ONCE = 6;

const compareAll = latestOnly(async (signal, job) => {
  at("duplicates-problem").replaceChildren();
  at("duplicates-status").textContent = "";
  at("duplicates-list").replaceChildren();
  at("duplicates-button").disabled = true;
  try {
    await showFound(await (job ? foundBy(job, signal) : askForAll(signal)), signal);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    at("duplicates-progress").replaceChildren();
    showProblem(at("duplicates-problem"), error);
  } finally {
    at("duplicates-button").disabled = false;
  }
});

const arePairs = () => view.find === "pairs";

async function askForAll(signal) {
  const filter = typedFilter();
  const wish = { min_score: Number(view.min_score), ...(filter ? { filter } : {}) };
  const answer = arePairs()
    ? await call(collectionPath("duplicates"), { ...wish, scope: view.scope }, signal)
    : await call(collectionPath("clusters"), { ...wish, form: view.find }, signal);
  if (answer.job) {
    amend({ job: answer.job });
    return foundBy(answer.job, signal);
  }
  const pages = listPages(answer.pairs ?? answer.clusters);
  return { pages, line: summary(arePairs() ? { pairs: answer.total, documents: answer.documents } : answer.total) };
}

async function foundBy(id, signal) {
  const job = await jobEnd(id, at("duplicates-progress"), signal);
  return { pages: resultPages(id), line: summary(job.kind === "clusters" ? job.result : { ...job.result, pairs: job.result.total }) };
}

function summary({ pairs, clusters, clustered, documents }) {
  const among = documents === undefined ? "" : ` among ${documentsIn(documents)}`;
  if (clusters !== undefined) return `${counted(clusters, "group")} of ${documentsIn(clustered ?? 0)}${among}`;
  return pairs === undefined ? "Done" : `${counted(pairs, "pair")}${among}`;
}

async function showFound({ pages, line }, signal) {
  at("duplicates-status").textContent = line;
  const read = documentReader(signal);
  const list = make("ol", { class: "hits", "aria-label": "What is alike" });
  const more = plainButton("Show more", () => showNext().catch((error) => showProblem(at("duplicates-problem"), error)), { hidden: "" });
  at("duplicates-list").replaceChildren(list, more);
  async function showNext() {
    more.hidden = true;
    const page = await pages();
    list.append(...(await Promise.all(page.items.map((item) => (item.members ? groupElement(item, read) : pairElement(item, read))))));
    more.hidden = !page.more;
  }
  await showNext();
  if (!list.hasChildNodes()) at("duplicates-list").replaceChildren(make("p", { class: "hint", text: "No two documents are so alike. A lower score finds more." }));
}

/** Reads each document once, a few at a time. What has gone meanwhile is there by its id alone. */
function documentReader(signal) {
  const known = new Map();
  const waiting = [];
  let running = 0;
  const next = () => { running -= 1; waiting.shift()?.(); };
  async function read(id) {
    if (running >= READS_AT_ONCE) await new Promise((go) => waiting.push(go));
    running += 1;
    return readDocument(id, signal).catch((error) => { if (error.name === "AbortError") throw error; return { id, text: "" }; }).finally(next);
  }
  return (id) => {
    if (!known.has(id)) known.set(id, read(id));
    return known.get(id);
  };
}

async function pairElement({ a, b, score, a_span, b_span }, read) {
  const [left, right] = await Promise.all([read(a), read(b)]);
  const item = (id, span) => ({ id, ...(span ? { passage: span } : {}) });
  const name = `${left.title || a} and ${right.title || b}`;
  return make("li", {
    class: "hit",
    children: [
      make("div", { class: "pair", children: [sideElement(left, a_span), sideElement(right, b_span)] }),
      make("div", {
        class: "foot",
        children: [make("span", { class: "score", text: `cosine ${score.toFixed(4)}` }), explainButton(item(a, a_span), item(b, b_span), name, ".hit")],
      }),
    ],
  });
}

function sideElement({ id, title, text }, span) {
  const shown = span ? byBytes(text)(span.start, span.end) : text;
  return make("div", {
    class: "side",
    children: [
      make("h2", { children: [plainButton(title || id, () => showDocument(id), { title: "Show the stored document" })] }),
      make("p", { class: "text cut", text: shown }),
    ],
  });
}

async function groupElement({ medoid, size, members }, read) {
  const centre = await read(medoid);
  const list = make("ul", { class: "members" });
  const show = async (some) => list.append(...(await Promise.all(some.map((member) => memberElement(member, read)))));
  const others = members.filter(({ id }) => id !== medoid);
  await show(others.slice(0, SHOWN_MEMBERS));
  const rest = others.length - SHOWN_MEMBERS;
  const more = plainButton(`Show ${count(rest)} more`, () => { more.remove(); show(others.slice(SHOWN_MEMBERS)); });
  return make("li", {
    class: "hit",
    children: [
      make("div", { class: "top", children: [...sideElement(centre).children].slice(0, 1).concat(make("span", { class: "score", text: documentsIn(size) })) }),
      make("p", { class: "text cut", text: centre.text }),
      small("and, by their likeness to it:"),
      list,
      ...(rest > 0 ? [more] : []),
    ],
  });
}

async function memberElement({ id, score }, read) {
  const { title } = await read(id);
  return make("li", { children: [make("span", { class: "score", text: score.toFixed(3) }), plainButton(title || id, () => showDocument(id))] });
}

function takeWishes() {
  amend({
    find: at("find").value, scope: at("scope").value, min_score: at("min-score").value, filter: at("duplicates-filter").value, job: "",
  });
  compareAll("");
}

/** Shows what the address asks for: the form, and what a job that was started has found. */
export function showDuplicates() {
  at("find").value = view.find;
  at("scope").value = view.scope;
  at("min-score").value = view.min_score;
  at("duplicates-filter").value = view.filter;
  showScope();
  at("duplicates-list").replaceChildren();
  at("duplicates-status").textContent = "";
  if (view.job) compareAll(view.job);
}

/** Groups are of whole documents. */
function showScope() {
  at("scope-field").hidden = at("find").value !== "pairs";
}

export function listenForDuplicates() {
  at("find").addEventListener("change", showScope);
  onSubmit("duplicates-form", takeWishes);
}
