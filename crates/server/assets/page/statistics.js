// What a collection holds, and what is being done to it.

import { call, collectionPath, latestOnly, showProblem } from "./api.js";
import { filterFields, someVector } from "./collections.js";
import { moment } from "./document.js";
import { at, bytesIn, count, counted, documentsIn, make, plainButton, plainText } from "./element.js";
import { filterText } from "./facets.js";
import { hasKey } from "./key.js";
import { view, visit } from "./view.js";

const SHOWN_VALUES = 6;
const SHOWN_JOBS = 10;

const runStatistics = latestOnly(async (signal) => {
  at("statistics-problem").replaceChildren();
  try {
    const collection = await call(`collections/${encodeURIComponent(view.collection)}`, undefined, signal);
    const [values, jobs] = await Promise.all([valuesOf(collection, signal), call("jobs", undefined, signal)]);
    at("statistics-body").replaceChildren(
      section("Contents", factsElement(contents(collection))),
      ...(values.length ? [section("Metadata", make("div", { class: "fields", children: values }))] : []),
      section("Index", factsElement(index(collection))),
      section("Jobs", jobsElement(jobs.jobs)),
    );
  } catch (error) {
    if (error.name === "AbortError") throw error;
    at("statistics-body").replaceChildren();
    showProblem(at("statistics-problem"), error);
  }
});

const section = (title, body) => make("section", { children: [make("h2", { text: title }), body] });

function factsElement(facts) {
  const rows = facts.map(([name, value]) => make("tr", { children: [make("th", { scope: "row", text: name }), make("td", { text: value })] }));
  return make("table", { class: "facts", children: [make("tbody", { children: rows })] });
}

function contents({ documents, passages, created_at, encoder, chunking, language, lexical, on_duplicate, keep_queries }) {
  const each = documents ? `, ${(passages / documents).toFixed(1)} of a document` : "";
  return [
    ["Documents", count(documents)],
    ["Passages", `${count(passages)}${each}`],
    ["Created", moment(created_at)],
    ["Encoder", `${encoder.model}, ${encoder.dimensions} dimensions`],
    ["Passages are", chunking.mode === "off" ? "whole texts" : `${chunking.mode}, up to ${chunking.max_tokens} tokens`],
    ["Words", lexical ? language ? `indexed, stemmed as ${language}` : "indexed as they are" : "not indexed"],
    ["Near-duplicates", on_duplicate.mode === "allow" ? "are stored" : `${on_duplicate.mode}, from ${on_duplicate.min_score}`],
    ["Queries kept", count(keep_queries)],
  ];
}

function index({ index: it, lexical }) {
  const side = (state, segments, bytes, head) => `${state}: ${counted(segments, "part")} on disk (${bytesIn(bytes)}), ${counted(head, "passage")} in memory`;
  return [
    ["Vectors", side(it.state, it.segments, it.segment_bytes, it.head_passages)],
    ...(lexical ? [["Words", side(it.lexical_state, it.lexical_segments, it.lexical_bytes, it.lexical_head_passages)]] : []),
    ["Deleted, not yet merged", count(it.dead_passages)],
    ["Graph", `m ${it.m}, ef_construction ${it.ef_construction}, ef_search ${it.ef_search}, ${it.precision} precision`],
  ];
}

/** How often values of the fields occur in all documents: a search by meaning counts every one. */
async function valuesOf({ documents }, signal) {
  const fields = documents ? await filterFields(signal) : [];
  if (fields.length === 0) return [];
  const answer = await call(collectionPath("search"), { vector: someVector(), top_k: 1, facets: fields, include: [] }, signal);
  return fields.map((path) => fieldElement(path, answer.facets[path], answer.facets_other[path], documents));
}

function fieldElement(path, values, other, documents) {
  const rows = values.slice(0, SHOWN_VALUES).map(({ value, count: having }) => {
    const search = () => visit({ tab: "search", filter: filterText({ [path]: value }) });
    const bar = make("i");
    bar.style.width = `${((having / documents) * 100).toFixed(1)}%`;
    return make("li", {
      children: [
        plainButton(plainText(value), search, { title: `Search where ${path} is this` }),
        make("span", { class: "score", text: count(having) }),
        make("div", { class: "bar", "aria-hidden": "true", children: [bar] }),
      ],
    });
  });
  const hidden = values.length - rows.length;
  const rest = [hidden && `${count(hidden)} other values`, other && `${documentsIn(other)} with values that are not listed`].filter(Boolean).join(", ");
  return make("div", {
    class: "field-values",
    children: [make("h3", { text: path.replace(/\\(.)/g, "$1") }), make("ul", { children: rows }), ...(rest ? [make("p", { class: "small", text: rest })] : [])],
  });
}

function jobsElement(jobs) {
  const own = jobs.filter(({ collection }) => !collection || collection === view.collection).slice(0, SHOWN_JOBS);
  if (own.length === 0) return make("p", { class: "small", text: hasKey() ? "None that this key may see." : "None." });
  const head = make("tr", { children: ["Kind", "State", "Done", "Created"].map((text) => make("th", { scope: "col", text })) });
  const rows = own.map((job) => make("tr", {
    children: [make("td", { children: [jobName(job)] }), make("td", { text: job.state }), make("td", { text: progressOf(job) }), make("td", { text: moment(job.created_at) })],
  }));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Jobs", children: [make("table", { class: "jobs", children: [make("thead", { children: [head] }), make("tbody", { children: rows })] })] });
}

/** What duplicates and clusters have found can be looked at. */
function jobName({ kind, id }) {
  const find = { duplicates: "pairs", clusters: "components" }[kind];
  return find ? plainButton(kind, () => visit({ tab: "duplicates", find, job: id })) : document.createTextNode(kind);
}

function progressOf({ progress }) {
  return `${count(progress.done)}${progress.total ? ` of ${count(progress.total)}` : ""} ${progress.unit}`;
}

export function showStatistics() {
  return runStatistics();
}
