// The search: what is asked, and the list of hits.

import { afterPause, call, collectionPath, latestOnly, showProblem } from "./api.js";
import { filterFields } from "./collections.js";
import { readDocument } from "./document.js";
import { at, count, documentsIn, make, milliseconds } from "./element.js";
import { showFacets, typedFilter } from "./facets.js";
import { hideColumns, searchBoth, showBoth } from "./generations.js";
import { hitElement } from "./hit.js";
import { startElement } from "./hint.js";
import { amend, view, visit } from "./view.js";

// What is typed after so long is another question, to which going back leads.
const NEXT_QUESTION_MS = 2000;

const runSearch = latestOnly(async (signal) => {
  at("like").hidden = !view.like;
  at("search-problem").replaceChildren();
  at("hits").setAttribute("aria-busy", "true");
  try {
    if (!view.like && !view.q.trim()) return await showStart(signal);
    const question = await questionOf(signal);
    if (view.beside) showSides(await searchBoth(question, signal));
    else showAnswer(await call(collectionPath("search"), question, signal));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    clearAnswer();
    showProblem(at("search-problem"), error);
  } finally {
    if (!signal.aborted) at("hits").removeAttribute("aria-busy");
  }
});

const search = afterPause(() => runSearch());

async function questionOf(signal) {
  const filter = typedFilter();
  const asked = view.like ? { id: view.like } : { query: view.q, mode: view.mode };
  const include = view.like ? ["metadata", "passages"] : ["metadata", "passages", "highlights"];
  return { ...asked, ...(filter ? { filter } : {}), facets: await filterFields(signal), include, top_k: Number(view.top_k) };
}

function clearAnswer() {
  at("hits").replaceChildren();
  at("hits").removeAttribute("aria-busy");
  at("start").replaceChildren();
  at("status").textContent = "";
  hideColumns();
}

function showAnswer(answer) {
  clearAnswer();
  showFacets(answer.facets);
  const best = answer.hits[0]?.score;
  at("hits").append(...answer.hits.map((hit) => hitElement(hit, best)));
  at("status").textContent = statusLine(answer);
  if (answer.hits.length === 0) showNothingFound();
}

function showSides(sides) {
  clearAnswer();
  showFacets(sides[0].facets);
  at("status").textContent = showBoth(sides);
  if (sides.every(({ hits }) => hits.length === 0)) showNothingFound();
}

async function showStart(signal) {
  clearAnswer();
  showFacets();
  const start = await startElement(signal);
  at("status").textContent = start.status;
  at("start").replaceChildren(...start.children);
}

function statusLine({ hits, total, took_ms, timings }) {
  const atLeast = total.relation === "exact" ? "" : "at least ";
  const shown = `${count(hits.length)} of ${atLeast}${documentsIn(total.value)}`;
  const parts = [["encode", timings?.encode_ms], ["search", timings?.search_ms]]
    .filter(([, value]) => typeof value === "number" && (value > 0 || !view.like))
    .map(([name, value]) => `${name} ${milliseconds(value)}`);
  return [shown, milliseconds(took_ms), parts.join(", ")].filter(Boolean).join(" · ");
}

function showNothingFound() {
  const filter = view.filter.trim();
  const byWords = view.mode === "lexical" && !view.like;
  const unfiltered = view.like ? "No other document is stored." : "Nothing is stored that could match.";
  const semantic = filter ? "No document passes the filter." : unfiltered;
  const lexical = `No document${filter ? " that passes the filter" : ""} has one of these words.`;
  at("start").replaceChildren(make("div", { class: "hint", children: [make("p", { text: byWords ? lexical : semantic })] }));
}

/** Shows what the address asks for. */
export function showSearch() {
  at("query").value = view.q;
  at("filter").value = view.filter;
  at("top-k").value = view.top_k;
  at("mode").value = view.mode;
  if (view.like) showLike();
  const isInHits = document.activeElement.closest(".hit");
  search.now();
  // The hit that was chosen goes away with the others.
  if (view.like && isInHits) {
    at("like-clear").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

async function showLike() {
  const id = view.like;
  at("like-text").textContent = `More like: ${id}`;
  const { title } = await readDocument(id).catch(() => ({}));
  if (title && view.like === id) at("like-text").textContent = `More like: ${title}`;
}

// --- What people do ----------------------------------------------------------------------------

let typedAt = 0;

function queryTyped() {
  const isNext = view.q && performance.now() - typedAt > NEXT_QUESTION_MS;
  typedAt = performance.now();
  amend({ q: at("query").value, like: "" }, isNext ? "pushState" : "replaceState");
  search.later();
}

function filterTyped() {
  amend({ filter: at("filter").value });
  search.later();
}

function clearQuery() {
  visit({ q: "", like: "" });
  at("query").focus();
}

function keyPressed(event) {
  if (event.isComposing || event.target.matches("select")) return;
  if (event.key === "Escape" && event.target === at("query") && (view.q || view.like)) clearQuery();
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && (event.target === at("query") || event.target.closest(".hit"))) moveInHits(event, step);
}

function moveInHits(event, step) {
  const hits = [...at("hits").children];
  const place = hits.indexOf(event.target.closest(".hit")) + step;
  if (place >= hits.length || place < -1) return;
  event.preventDefault();
  if (place < 0) return at("query").focus();
  hits[place].focus();
}

export function listenForSearch() {
  at("query").addEventListener("input", queryTyped);
  at("filter").addEventListener("input", filterTyped);
  at("top-k").addEventListener("change", () => visit({ top_k: at("top-k").value }));
  at("mode").addEventListener("change", () => visit({ mode: at("mode").value }));
  at("like-clear").addEventListener("click", clearQuery);
  at("search").addEventListener("keydown", keyPressed);
  at("search-form").addEventListener("submit", (event) => { event.preventDefault(); search.now(); });
}
