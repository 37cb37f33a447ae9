// The collections that may be looked at, and the fields of the chosen one's metadata.

import { call, collectionPath } from "./api.js";
import { at, count, isObject, make } from "./element.js";
import { DEFAULT_COLLECTION, amend, view, visit } from "./view.js";

const SAMPLE_DOCUMENTS = 100;
const MAX_FIELDS = 8;
const MAX_VALUES = 30;

let collections = [];
// Why they are not known: a key that may write need not be one that may read.
let refusal = null;
let fields = { collection: null, known: [] };

/** The collection that is looked at; nothing where the address names one that is not there. */
export function chosenCollection() {
  if (refusal) throw refusal;
  return collections.find(({ name }) => name === view.collection);
}

export async function loadCollections() {
  try {
    ({ collections } = await call("collections"));
  } catch (error) {
    if (error.status !== 403) throw error;
    refusal = error;
    return;
  }
  refusal = null;
  const options = collections.map(({ name, documents }) => make("option", { value: name, text: `${name} (${count(documents)})` }));
  at("collection").replaceChildren(...options);
  const names = collections.map(({ name }) => name);
  // A key may be for other collections than the default one.
  if (!names.includes(view.collection)) amend({ collection: names.includes(DEFAULT_COLLECTION) ? DEFAULT_COLLECTION : names[0] ?? DEFAULT_COLLECTION });
  showCollection();
  fields = { collection: null, known: [] };
}

export function showCollection() {
  at("collection").value = view.collection;
  at("collection").hidden = collections.length < 2;
}

/** The first documents of the collection, or none where they may not be read. */
export async function sampleDocuments(signal) {
  const page = await call(collectionPath(`documents?limit=${SAMPLE_DOCUMENTS}`), undefined, signal)
    .catch((error) => { if (error.name === "AbortError") throw error; return { documents: [] }; });
  return page.documents;
}

async function foundDocuments(signal) {
  const answer = await call(collectionPath("search"), { vector: someVector(), top_k: SAMPLE_DOCUMENTS }, signal)
    .catch((error) => { if (error.name === "AbortError") throw error; return { hits: [] }; });
  return answer.hits;
}

/** What finds all documents in some order: nobody has typed it, so nothing is encoded, and no query is remembered. */
export function someVector() {
  const { dimensions } = chosenCollection().encoder;
  return Array.from({ length: dimensions }, (_, place) => (place === 0 ? 1 : 0));
}

/** Paths of the fields that have few values, and those more than once: by them one can filter. */
export async function filterFields(signal) {
  if (!chosenCollection()) return [];
  if (fields.collection !== view.collection) {
    const collection = view.collection;
    // The first ids are often of one kind, and so are the hits of one query.
    const samples = await Promise.all([sampleDocuments(signal), foundDocuments(signal)]);
    fields = { collection, known: fieldsOf(new Map(samples.flat().map((document) => [document.id, document])).values()) };
  }
  return fields.known;
}

function fieldsOf(documents) {
  const values = new Map();
  for (const { metadata } of documents) {
    for (const [path, value] of leaves(metadata)) {
      if (!values.has(path)) values.set(path, { seen: 0, different: new Set() });
      values.get(path).seen += 1;
      values.get(path).different.add(value);
    }
  }
  const repeating = ([, { seen, different }]) => different.size < seen && different.size <= MAX_VALUES;
  return [...values].filter(repeating).slice(0, MAX_FIELDS).map(([path]) => path);
}

function* leaves(value, path = "") {
  if (Array.isArray(value)) for (const item of value) yield* leaves(item, path);
  else if (!isObject(value)) yield [path, value];
  else for (const [key, inner] of Object.entries(value)) yield* leaves(inner, path ? `${path}.${escaped(key)}` : escaped(key));
}

/** A key as it stands in a filter's path. */
const escaped = (key) => key.replace(/[\\.]/g, "\\$&").replace(/^\$/, "\\$");

export function listenForCollection() {
  at("collection").addEventListener("change", () => visit({ collection: at("collection").value, like: "", beside: "", job: "" }));
}
