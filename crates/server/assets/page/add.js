// One document that is typed in.

import { call, collectionPath, parsedObject, showProblem } from "./api.js";
import { loadCollections } from "./collections.js";
import { moreLike } from "./document.js";
import { at, counted, make, milliseconds, onSubmit, plainButton, plainText, small } from "./element.js";

async function addDocument() {
  at("add-problem").replaceChildren();
  at("added").replaceChildren();
  at("add-button").disabled = true;
  try {
    const { results, took_ms } = await call(collectionPath("documents"), { documents: [draftDocument()] });
    showAdded(results[0], took_ms);
    // A key that may write need not be one that may read.
    await loadCollections().catch(() => {});
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

function showAdded(result, took_ms) {
  const lines = [
    make("p", { children: [make("strong", { text: result.id }), document.createTextNode(` ${result.status}`)] }),
    small(`${counted(result.passages, "passage")} · ${milliseconds(took_ms)}`),
    ...(result.warnings ?? []).map((warning) => make("p", { text: `Warning: ${warning.detail ?? plainText(warning)}` })),
    make("p", { children: [plainButton("Find what is like it", () => moreLike(result.id))] }),
  ];
  at("added").replaceChildren(make("div", { class: "box done", children: lines }));
}

export function listenForAdd() {
  onSubmit("add-form", addDocument);
}
