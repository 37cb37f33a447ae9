"use strict";

const TYPING_PAUSE_MS = 140;
const RETRY_MS = 1500;
const MAX_CHIPS = 14;
const LONG_TEXT_CHARS = 330;
const MATCHING_WORDS = 6;
const MAX_MATRIX_CELLS = 10000;
const SAMPLE_PAGE_DOCUMENTS = 100;
const SAMPLE_DOCUMENTS = 5;
const DEFAULT_COLLECTION = "default";
const EXAMPLES = [
  ["The picture is foggy after dark", "Hazy video at night"],
  ["Bulbs flicker when dimmed", "Lamps tremble at low brightness"],
  ["The cat set off the siren", "Our pet triggered an alarm"],
  ["The motor wakes our baby", "How do I change my password?"],
];

const at = (id) => document.getElementById(id);

// What is looked at. The address after # holds it too, so reloading and going back work.
const view = { tab: "search", collection: DEFAULT_COLLECTION, query: "", like: "", filter: "", topK: 10, mode: "semantic", beside: "" };
let collections = [];

/** An element with text (never HTML), attributes and children. */
function make(tag, { text, children = [], on = {}, ...attributes } = {}) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children);
  return element;
}

// --- The API -----------------------------------------------------------------------------------

class Problem extends Error {
  constructor(fields) {
    super(fields.title);
    Object.assign(this, fields);
  }
}

function collectionPath(rest) {
  if (view.collection === DEFAULT_COLLECTION) return rest;
  return `collections/${encodeURIComponent(view.collection)}/${rest}`;
}

async function call(path, body, signal) {
  const post = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await reach(path, { ...(body === undefined ? {} : post), signal });
  if (response.ok) return response.json();
  throw await problemOf(response);
}

async function reach(path, options) {
  try {
    return await fetchWithKey(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "The server does not answer", detail: "Is it still running?", code: "unreachable" });
  }
}

async function problemOf(response) {
  const body = await response.json().catch(() => null);
  const fallback = { title: `The server answered ${response.status} ${response.statusText}`.trim() };
  return new Problem({ ...fallback, ...(body && typeof body === "object" ? body : {}), status: response.status });
}

function showProblem(place, error) {
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
  place.replaceChildren(make("div", { class: "box problem", children: lines }));
}

/** Runs one task at a time: a newer one cancels the one under way. */
function latestOnly(task) {
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

function afterPause(task) {
  let timer = 0;
  return {
    later() { clearTimeout(timer); timer = setTimeout(task, TYPING_PAUSE_MS); },
    now() { clearTimeout(timer); return task(); },
    cancel() { clearTimeout(timer); },
  };
}

// --- Search ------------------------------------------------------------------------------------

const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
const count = (value) => value.toLocaleString("en");
const documentsIn = (value) => `${count(value)} ${value === 1 ? "document" : "documents"}`;

const runSearch = latestOnly(async (signal) => {
  const question = view.like ? { id: view.like } : { query: view.query };
  if (!view.like) question.mode = view.mode;
  const asked = view.like || view.query.trim();
  at("like").hidden = !view.like;
  at("search-problem").replaceChildren();
  if (!asked) return showStart(signal);
  at("hits").setAttribute("aria-busy", "true");
  try {
    if (view.filter.trim()) question.filter = parsedObject("filter", view.filter, "{\"status\": \"open\"}");
    question.top_k = view.topK;
    if (view.beside) showBoth(await searchBoth(question, signal));
    else showAnswer(await call(collectionPath("search"), question, signal));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    clearAnswer();
    showProblem(at("search-problem"), error);
  }
  at("hits").removeAttribute("aria-busy");
});

const search = afterPause(() => runSearch());

function clearAnswer() {
  at("hits").replaceChildren();
  at("hits").removeAttribute("aria-busy");
  at("start").replaceChildren();
  at("status").textContent = "";
  hideColumns();
}

function showAnswer(answer) {
  clearAnswer();
  const best = answer.hits[0]?.score;
  at("hits").append(...answer.hits.map((hit) => hitElement(hit, best)));
  at("status").textContent = statusLine(answer);
  if (answer.hits.length === 0) showNothingFound();
}

function statusLine({ hits, total, took_ms, timings }) {
  const atLeast = total.relation === "exact" ? "" : "at least ";
  const shown = `${count(hits.length)} of ${atLeast}${documentsIn(total.value)}`;
  const parts = [["encode", timings?.encode_ms], ["search", timings?.search_ms]]
    .filter(([, value]) => typeof value === "number" && (value > 0 || !view.like))
    .map(([name, value]) => `${name} ${milliseconds(value)}`);
  return [shown, milliseconds(took_ms), parts.join(", ")].filter(Boolean).join(" · ");
}

/** A cosine as it is; other scores as a share of the best one. */
function shareOf(hit, best) {
  const isCosine = view.like || view.mode === "semantic";
  return isCosine ? hit.score : hit.score / best;
}

function scoreTitle({ scores }) {
  if (scores) return `Both sides fused; cosine ${scores.semantic.toFixed(3)}, words ${scores.lexical.toFixed(2)}`;
  return view.mode === "lexical" && !view.like ? "BM25 score of the words" : "Cosine similarity, -1 to 1";
}

function hitElement(hit, best) {
  const name = hit.title || hit.id;
  return make("li", {
    class: "hit",
    tabindex: "-1",
    children: [
      make("div", { class: "top", children: [make("h2", { text: name }), scoreElement(hit.score, scoreTitle(hit))] }),
      barElement(shareOf(hit, best)),
      ...textElements(hit.passage?.text ?? ""),
      chipsElement(hit.metadata ?? {}),
      footElement(hit, name),
    ],
  });
}

function scoreElement(score, title) {
  return make("span", { class: "score", text: score.toFixed(3), title, "aria-label": `score ${score.toFixed(3)}` });
}

function barElement(score) {
  const fill = make("i");
  fill.style.width = percent(score);
  return make("div", { class: "bar", "aria-hidden": "true", children: [fill] });
}

function percent(score) {
  return `${(Math.min(1, Math.max(0, score)) * 100).toFixed(1)}%`;
}

function textElements(text) {
  const paragraph = make("p", { class: "text", text });
  if (text.length <= LONG_TEXT_CHARS) return [paragraph];
  paragraph.classList.add("cut");
  const button = make("button", { class: "plain small", type: "button", text: "Show all", "aria-expanded": "false" });
  button.addEventListener("click", () => {
    const cut = paragraph.classList.toggle("cut");
    button.textContent = cut ? "Show all" : "Show less";
    button.setAttribute("aria-expanded", String(!cut));
  });
  return [paragraph, button];
}

function chipsElement(metadata) {
  const pairs = [...flattened(metadata)];
  const items = pairs.slice(0, MAX_CHIPS).map(([key, value]) =>
    make("li", { children: [make("b", { text: `${key} ` }), document.createTextNode(value)] }));
  if (pairs.length > MAX_CHIPS) items.push(make("li", { text: `${pairs.length - MAX_CHIPS} more` }));
  return make("ul", { class: "chips", "aria-label": "Metadata", children: items });
}

/** Metadata as [key, text]: nested keys with dots, lists with commas. */
function* flattened(object, prefix = "") {
  for (const [key, value] of Object.entries(object)) {
    if (isObject(value)) yield* flattened(value, `${prefix}${key}.`);
    else yield [prefix + key, Array.isArray(value) ? value.map(plainText).join(", ") : plainText(value)];
  }
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const plainText = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function footElement({ id, passage }, name) {
  const like = () => moreLike(id, name);
  return make("div", {
    class: "foot",
    children: [
      make("button", { class: "plain", type: "button", text: "More like this", "aria-label": `More like ${name}`, on: { click: like } }),
      ...explainButton(id, passage, name),
      make("a", { href: collectionPath(`documents/${encodeURIComponent(id)}`), text: id, title: "The stored document, as JSON", on: { click: openWithKey } }),
    ],
  });
}

function moreLike(id, name) {
  search.cancel();
  view.like = id;
  view.query = "";
  at("query").value = "";
  showLike(name);
  remember("push");
  search.now();
  at("like-clear").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function showLike(name) {
  at("like-text").textContent = `More like: ${name}`;
}

// --- Why a score is what it is -----------------------------------------------------------------

/** A button that explains a hit below itself; none where the score is no cosine. */
function explainButton(id, passage, name) {
  if (!passage || (view.mode === "lexical" && !view.like)) return [];
  const asked = view.like ? { id: view.like } : { query: view.query };
  const pair = { a: asked, b: { id, passage: { start: passage.start, end: passage.end } }, top_k: MATCHING_WORDS };
  const place = make("div", { class: "why", hidden: "" });
  const button = make("button", { class: "plain", type: "button", text: "Explain", "aria-label": `Explain the score of ${name}`, "aria-expanded": "false" });
  button.addEventListener("click", () => {
    place.hidden = !place.hidden;
    button.setAttribute("aria-expanded", String(!place.hidden));
    if (place.hidden) return;
    button.closest(".hit").append(place);
    explainInto(place, pair);
  });
  return [button];
}

async function explainInto(place, pair) {
  place.replaceChildren(make("p", { class: "small", text: "Explaining …" }));
  try {
    showExplanation(place, pair, await call(collectionPath("similarity/explain"), pair));
  } catch (error) {
    showProblem(place, error);
  }
}

function showExplanation(place, pair, answer) {
  const shares = [answer.a, answer.b].flatMap(({ words }) => words).map(({ contribution }) => Math.abs(contribution));
  const largest = Math.max(...shares, Number.MIN_VALUE);
  const pairs = answer.pairs.map(({ a, b, contribution }) => make("li", { text: `${a.text} – ${b.text}`, title: contribution.toFixed(4) }));
  const matrix = make("div");
  const button = make("button", { class: "plain small", type: "button", text: "Show token by token" });
  button.addEventListener("click", () => { button.hidden = true; showMatrix(matrix, pair); });
  place.replaceChildren(
    make("p", { class: "small", text: `Words are shaded by what they give to the cosine of ${answer.score.toFixed(3)}; red takes from it.` }),
    shadedText(answer.a, largest),
    shadedText(answer.b, largest),
    ...(pairs.length ? [make("p", { class: "small", text: "Words that match:" }), make("ul", { class: "chips", children: pairs })] : []),
    ...answer.not_explained.map((text) => make("p", { class: "small", text: `${text}.` })),
    button,
    matrix,
  );
}

/** A text whose words have the colour of what they give. The service counts bytes of UTF-8. */
function shadedText({ text, words }, largest) {
  const bytes = new TextEncoder().encode(text);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const part = (start, end) => decoder.decode(bytes.subarray(start, end));
  const paragraph = make("p", { class: "text shaded" });
  let end = 0;
  for (const word of words) {
    paragraph.append(part(end, word.start), shaded("span", part(word.start, word.end), word.contribution, largest));
    end = word.end;
  }
  paragraph.append(part(end));
  return paragraph;
}

function shaded(tag, text, contribution, largest, where = "") {
  const element = make(tag, { text, title: `${where}${contribution.toFixed(4)}` });
  element.style.setProperty("--share", percent(Math.abs(contribution) / largest));
  if (contribution < 0) element.classList.add("loss");
  return element;
}

async function showMatrix(place, pair) {
  place.replaceChildren(make("p", { class: "small", text: "Explaining …" }));
  try {
    const { a, b, matrix } = await call(collectionPath("similarity/explain"), { ...pair, matrix: true });
    place.replaceChildren(matrixElement(a.tokens, b.tokens, matrix));
  } catch (error) {
    showProblem(place, error);
  }
}

function matrixElement(rows, columns, matrix) {
  if (rows.length * columns.length > MAX_MATRIX_CELLS) {
    const size = `${count(rows.length)} by ${count(columns.length)} tokens`;
    return make("p", { class: "small", text: `${size} are too many to show here; POST similarity/explain with "matrix": true returns them.` });
  }
  const largest = Math.max(...matrix.flat().map(Math.abs), Number.MIN_VALUE);
  const name = ({ text, kind }) => text || kind;
  const head = make("tr", { children: [make("td"), ...columns.map((token) => make("th", { scope: "col", children: [make("span", { text: name(token) })] }))] });
  const lines = matrix.map((values, row) => make("tr", {
    children: [
      make("th", { scope: "row", text: name(rows[row]) }),
      ...values.map((value, column) => shaded("td", "", value, largest, `${name(rows[row])} – ${name(columns[column])}: `)),
    ],
  }));
  return make("div", { class: "matrix", tabindex: "0", children: [make("table", { children: [head, ...lines] })] });
}

// --- Before the first question -----------------------------------------------------------------

async function showStart(signal) {
  const known = collections.find(({ name }) => name === view.collection);
  clearAnswer();
  if (!known) return;
  at("status").textContent = documentsIn(known.documents);
  if (known.documents === 0) return showHowToFill();
  const samples = await sampleDocuments(signal);
  const invitation = make("p", { text: "Words need not match: what counts is the meaning. Results appear while you type." });
  at("start").replaceChildren(make("div", { class: "hint", children: [make("h2", { text: "Ask anything" }), invitation, ...samples] }));
}

async function sampleDocuments(signal) {
  const page = await call(collectionPath(`documents?limit=${SAMPLE_PAGE_DOCUMENTS}`), undefined, signal)
    .catch((error) => { if (error.name === "AbortError") throw error; return { documents: [] }; });
  const step = Math.max(1, Math.floor(page.documents.length / SAMPLE_DOCUMENTS));
  const chosen = page.documents.filter((_, place) => place % step === 0).slice(0, SAMPLE_DOCUMENTS);
  if (chosen.length === 0) return [];
  const items = chosen.map(({ id, title }) => make("li", {
    children: [make("button", { class: "plain", type: "button", text: title || id, on: { click: () => moreLike(id, title || id) } })],
  }));
  return [make("p", { class: "next", text: "Or start from a document:" }), make("ul", { children: items })];
}

function showHowToFill() {
  const ways = [
    ["siamese demo", "starts a server with a few hundred documents to try it on"],
    ["siamese ingest FILE", "sends your own JSONL, CSV, Markdown or plain text files to this server"],
  ];
  const list = ways.flatMap(([command, what]) => [
    make("dt", { children: [make("code", { text: command })] }), make("dd", { text: what }),
  ]);
  const add = make("button", { class: "plain", type: "button", text: "Add a document here", on: { click: () => openTab("add") } });
  at("start").replaceChildren(make("div", {
    class: "hint",
    children: [
      make("h2", { text: "This collection is empty" }),
      make("p", { text: "Fill it from a terminal:" }),
      make("dl", { children: list }),
      make("p", { class: "next", children: [add] }),
    ],
  }));
}

function showNothingFound() {
  const filter = view.filter.trim();
  const byWords = view.mode === "lexical" && !view.like;
  const unfiltered = view.like ? "No other document is stored." : "Nothing is stored that could match.";
  const semantic = filter ? "No document passes the filter." : unfiltered;
  const lexical = `No document${filter ? " that passes the filter" : ""} has one of these words.`;
  const text = byWords ? lexical : semantic;
  at("start").replaceChildren(make("div", { class: "hint", children: [make("p", { text })] }));
}

// --- Compare -----------------------------------------------------------------------------------

const runCompare = latestOnly(async (signal) => {
  const [left, right] = [at("left").value, at("right").value];
  at("compare-problem").replaceChildren();
  if (!left.trim() || !right.trim()) return void (at("verdict").hidden = true);
  try {
    at("why").replaceChildren();
    const started = performance.now();
    const { scores } = await call(collectionPath("similarity"), { pairs: [[left, right]] }, signal);
    showSimilarity(scores[0], performance.now() - started);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    at("verdict").hidden = true;
    showProblem(at("compare-problem"), error);
  }
});

const compare = afterPause(() => runCompare());

function showSimilarity(score, elapsed) {
  at("similarity").textContent = score.toFixed(3);
  at("similarity-bar").style.width = percent(score);
  at("similarity-time").textContent = `Answered in ${milliseconds(elapsed)}.`;
  at("verdict").hidden = false;
}

let nextExample = 0;

function showExample() {
  [at("left").value, at("right").value] = EXAMPLES[nextExample];
  nextExample = (nextExample + 1) % EXAMPLES.length;
  at("example").textContent = "Try another";
  compare.now();
}

// --- Add ---------------------------------------------------------------------------------------

async function addDocument() {
  at("add-problem").replaceChildren();
  at("added").replaceChildren();
  at("add-button").disabled = true;
  try {
    const draft = draftDocument();
    const { results, took_ms } = await call(collectionPath("documents"), { documents: [draft] });
    showAdded(results[0], draft.title, took_ms);
    await loadCollections();
  } catch (error) {
    showProblem(at("add-problem"), error);
  }
  at("add-button").disabled = false;
}

function draftDocument() {
  const draft = { text: at("doc-text").value };
  for (const field of ["id", "title"]) {
    const value = at(`doc-${field}`).value.trim();
    if (value) draft[field] = value;
  }
  const metadata = at("doc-metadata").value.trim();
  if (metadata) draft.metadata = parsedObject("metadata", metadata, "{\"product\": \"lamp\"}");
  return draft;
}

function parsedObject(what, text, example) {
  let detail = `It has to be an object, such as ${example}.`;
  try {
    const value = JSON.parse(text);
    if (isObject(value)) return value;
  } catch (error) {
    detail = error.message;
  }
  throw new Problem({ title: `The ${what} is not a JSON object`, detail });
}

function showAdded(result, title, took_ms) {
  const passages = `${result.passages} ${result.passages === 1 ? "passage" : "passages"}`;
  const find = make("button", { class: "plain", type: "button", text: "Find what is like it", on: { click: () => findAdded(result.id, title) } });
  const lines = [
    make("p", { children: [make("strong", { text: result.id }), document.createTextNode(` ${result.status}`)] }),
    make("p", { class: "small", text: `${passages} · ${milliseconds(took_ms)}` }),
    ...(result.warnings ?? []).map((warning) => make("p", { text: `Warning: ${warning.detail ?? plainText(warning)}` })),
    make("p", { children: [find] }),
  ];
  at("added").replaceChildren(make("div", { class: "box done", children: lines }));
}

function findAdded(id, title) {
  moreLike(id, title || id);
  openTab("search");
}

// --- Tabs, collections and the address ---------------------------------------------------------

const TABS = ["search", "compare", "add"];
const FIRST_FIELD = { search: "query", compare: "left", add: "doc-text" };

function showTab() {
  for (const name of TABS) {
    const chosen = name === view.tab;
    at(name).hidden = !chosen;
    at(`tab-${name}`).setAttribute("aria-selected", String(chosen));
    at(`tab-${name}`).tabIndex = chosen ? 0 : -1;
  }
}

function openTab(name, focus = at(FIRST_FIELD[name])) {
  view.tab = name;
  showTab();
  focus.focus();
  remember("push");
}

function tabByArrow(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const name = TABS[(TABS.indexOf(view.tab) + step + TABS.length) % TABS.length];
  openTab(name, at(`tab-${name}`));
}

async function loadCollections() {
  ({ collections } = await call("collections"));
  const select = at("collection");
  const options = collections.map(({ name, documents }) => make("option", { value: name, text: `${name} (${count(documents)})` }));
  select.replaceChildren(...options);
  const names = collections.map(({ name }) => name);
  // A key may be for other collections than the default one.
  if (!names.includes(view.collection)) view.collection = names.includes(DEFAULT_COLLECTION) ? DEFAULT_COLLECTION : names[0] ?? DEFAULT_COLLECTION;
  select.value = view.collection;
  select.hidden = collections.length < 2;
  await loadGenerations();
}

async function chooseCollection() {
  view.collection = at("collection").value;
  view.like = view.beside = "";
  await loadGenerations();
  remember("push");
  search.now();
}

function remember(how) {
  const entries = [["tab", view.tab, "search"], ["in", view.collection, DEFAULT_COLLECTION], ["q", view.query, ""], ["like", view.like, ""], ["k", String(view.topK), "10"], ["by", view.mode, "semantic"], ["beside", view.beside, ""], ["filter", view.filter, ""]];
  const changed = entries.filter(([, value, usual]) => value !== usual).map(([key, value]) => [key, value]);
  const address = `#${new URLSearchParams(changed)}`;
  if (address === (location.hash || "#")) return;
  history[how === "push" ? "pushState" : "replaceState"](null, "", address);
}

function recall() {
  const entries = new URLSearchParams(location.hash.slice(1));
  view.tab = TABS.includes(entries.get("tab")) ? entries.get("tab") : "search";
  view.collection = entries.get("in") || DEFAULT_COLLECTION;
  view.query = entries.get("q") || "";
  view.like = entries.get("like") || "";
  const topK = [...at("top-k").options].find(({ value }) => value === entries.get("k"));
  view.topK = Number(topK?.value ?? 10);
  const mode = [...at("mode").options].find(({ value }) => value === entries.get("by"));
  view.mode = mode?.value ?? "semantic";
  view.filter = entries.get("filter") || "";
  view.beside = entries.get("beside") || "";
  at("query").value = view.query;
  at("filter").value = view.filter;
  at("top-k").value = String(view.topK);
  at("mode").value = view.mode;
  if (view.like) showLike(view.like);
}

async function reopen() {
  recall();
  showTab();
  at("collection").value = view.collection;
  await loadGenerations();
  search.now();
}

// --- Keyboard ----------------------------------------------------------------------------------

const typing = (element) => element.matches("input, textarea, select");

function pageKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "/" && !typing(event.target)) {
    event.preventDefault();
    openTab("search");
    at("query").select();
  }
}

function searchKey(event) {
  if (event.isComposing || view.tab !== "search" || event.target.matches("select")) return;
  if (event.key === "Escape" && event.target === at("query")) clearQuery();
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

function clearQuery() {
  at("query").value = "";
  view.query = view.like = "";
  remember("replace");
  search.now();
}

function queryTyped() {
  view.query = at("query").value;
  view.like = "";
  remember("replace");
  search.later();
}

function filterTyped() {
  view.filter = at("filter").value;
  remember("replace");
  search.later();
}

function submitByKeys(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form?.requestSubmit();
}

// --- Start -------------------------------------------------------------------------------------

function onSubmit(id, task) {
  at(id).addEventListener("submit", (event) => { event.preventDefault(); task(); });
}

function listen() {
  listenForKey();
  at("query").addEventListener("input", queryTyped);
  at("filter").addEventListener("input", filterTyped);
  at("top-k").addEventListener("change", () => { view.topK = Number(at("top-k").value); remember("replace"); search.now(); });
  at("mode").addEventListener("change", () => { view.mode = at("mode").value; remember("replace"); search.now(); });
  at("beside").addEventListener("change", chooseBeside);
  at("like-clear").addEventListener("click", () => { clearQuery(); at("query").focus(); });
  at("collection").addEventListener("change", chooseCollection);
  for (const side of ["left", "right"]) at(side).addEventListener("input", () => compare.later());
  at("example").addEventListener("click", showExample);
  at("explain").addEventListener("click", () => explainInto(at("why"), { a: at("left").value, b: at("right").value, top_k: MATCHING_WORDS }));
  for (const name of TABS) at(`tab-${name}`).addEventListener("click", () => openTab(name));
  document.querySelector("[role=tablist]").addEventListener("keydown", tabByArrow);
  document.addEventListener("keydown", pageKey);
  at("search").addEventListener("keydown", searchKey);
  for (const id of ["compare-form", "add-form"]) at(id).addEventListener("keydown", submitByKeys);
  onSubmit("search-form", () => search.now());
  onSubmit("compare-form", () => compare.now());
  onSubmit("add-form", addDocument);
  addEventListener("popstate", reopen);
}

/** Waits for a server that is still loading its model. */
async function untilReady() {
  for (;;) {
    try {
      await loadCollections();
      at("unready").hidden = true;
      return;
    } catch (error) {
      showProblem(at("unready"), error);
      at("unready").hidden = false;
      if (error.status !== 503 && error.code !== "unreachable") return;
      await new Promise((wake) => setTimeout(wake, RETRY_MS));
    }
  }
}

async function describeEncoder() {
  const { model, dimensions } = await call("encoder");
  at("encoder").textContent = `${model}, ${dimensions} dimensions`;
}

async function start() {
  recall();
  showTab();
  listen();
  await untilReady();
  search.now();
  describeEncoder().catch(() => {});
}

start();
