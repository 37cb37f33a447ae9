// What stands there before the first question.

import { chosenCollection, sampleDocuments } from "./collections.js";
import { moreLike } from "./document.js";
import { documentsIn, make, plainButton } from "./element.js";
import { visit } from "./view.js";

const SAMPLES = 5;

/** The status line, and what stands below it. */
export async function startElement(signal) {
  const collection = chosenCollection();
  if (!collection) return { status: "", children: [] };
  const status = documentsIn(collection.documents);
  if (collection.documents === 0) return { status, children: [howToFill()] };
  const invitation = make("p", { text: "Words need not match: what counts is the meaning. Results appear while you type." });
  const children = [make("h2", { text: "Ask anything" }), invitation, ...samples(await sampleDocuments(signal))];
  return { status, children: [make("div", { class: "hint", children })] };
}

function samples(documents) {
  const step = Math.max(1, Math.floor(documents.length / SAMPLES));
  const chosen = documents.filter((_, place) => place % step === 0).slice(0, SAMPLES);
  if (chosen.length === 0) return [];
  const items = chosen.map(({ id, title }) => make("li", { children: [plainButton(title || id, () => moreLike(id))] }));
  return [make("p", { class: "next", text: "Or start from a document:" }), make("ul", { children: items })];
}

function howToFill() {
  const ways = [
    ["siamese demo", "starts a server with a few hundred documents to try it on"],
    ["siamese ingest FILE", "sends your own JSONL, CSV, Markdown, PDF or plain text files to this server"],
  ];
  const list = ways.flatMap(([command, what]) => [
    make("dt", { children: [make("code", { text: command })] }), make("dd", { text: what }),
  ]);
  const add = plainButton("Add documents here", () => visit({ tab: "add" }));
  return make("div", {
    class: "hint",
    children: [
      make("h2", { text: "This collection is empty" }),
      make("p", { text: "Fill it from a terminal:" }),
      make("dl", { children: list }),
      make("p", { class: "next", children: [add] }),
    ],
  });
}
