// A stored document in a dialog.

import { call, documentPath, showProblem } from "./api.js";
import { at, count, counted, make, metadataChips, plainButton, small } from "./element.js";
import { openWithKey } from "./key.js";
import { visit } from "./view.js";

const ALL_CHIPS = 200;

export const readDocument = (id, signal) => call(documentPath(id), undefined, signal);

/** Looks for what is like a document. */
export const moreLike = (id) => visit({ tab: "search", like: id, q: "" });

export async function showDocument(id) {
  at("document-title").textContent = id;
  at("document-body").replaceChildren(small("Reading …"));
  at("document-dialog").showModal();
  try {
    fill(await readDocument(id));
  } catch (error) {
    showProblem(at("document-body"), error);
  }
}

function fill({ id, title, text, metadata, passages, created_at, updated_at }) {
  at("document-title").textContent = title || id;
  const times = created_at === updated_at ? `stored ${moment(created_at)}` : `stored ${moment(created_at)}, changed ${moment(updated_at)}`;
  const size = passages ? ` · ${counted(passages.length, "passage")}` : "";
  const like = () => { at("document-dialog").close(); moreLike(id); };
  at("document-body").replaceChildren(
    small(`${title ? `${id} · ` : ""}${count([...text].length)} characters${size} · ${times}`),
    make("p", { class: "text whole", text, tabindex: "0", role: "region", "aria-label": "Text" }),
    metadataChips(metadata, ALL_CHIPS),
    make("div", {
      class: "foot",
      children: [plainButton("More like this", like), make("a", { href: documentPath(id), text: "As JSON", on: { click: openWithKey } })],
    }),
  );
}

export const moment = (time) => new Date(time).toLocaleString();

export function listenForDocument() {
  at("document-close").addEventListener("click", () => at("document-dialog").close());
}
