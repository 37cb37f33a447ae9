// One hit of a search: its passage with the words that matched marked, and what can be done with it.

import { showDocument, moreLike } from "./document.js";
import { byBytes, counted, make, metadataChips, percent, plainButton } from "./element.js";
import { explainButton } from "./explanation.js";
import { view } from "./view.js";

const LONG_TEXT_CHARS = 330;

/** A cosine as it is; other scores as a share of the best one. */
export function shareOf(hit, best) {
  return isCosine() ? hit.score : hit.score / best;
}

const isCosine = () => Boolean(view.like) || view.mode === "semantic";

export function scoreTitle({ scores }) {
  if (scores) return `Both sides fused; cosine ${scores.semantic.toFixed(3)}, words ${scores.lexical.toFixed(2)}`;
  return isCosine() ? "Cosine similarity, -1 to 1" : "BM25 score of the words";
}

export function hitElement(hit, best) {
  const name = hit.title || hit.id;
  return make("li", {
    class: "hit",
    tabindex: "-1",
    children: [
      make("div", { class: "top", children: [make("h2", { text: name }), scoreElement(hit.score, scoreTitle(hit))] }),
      barElement(shareOf(hit, best)),
      ...passageElements(hit.passage, hit.highlights),
      ...otherPassages(hit),
      metadataChips(hit.metadata ?? {}),
      footElement(hit, name),
    ],
  });
}

export function scoreElement(score, title) {
  return make("span", { class: "score", text: score.toFixed(3), title, "aria-label": `score ${score.toFixed(3)}` });
}

export function barElement(score) {
  const fill = make("i");
  fill.style.width = percent(score);
  return make("div", { class: "bar", "aria-hidden": "true", children: [fill] });
}

/** The text of a passage, cut when it is long. */
export function passageElements(passage, highlights = []) {
  const paragraph = make("p", { class: "text", children: marked(passage, highlights) });
  if (passage.text.length <= LONG_TEXT_CHARS) return [paragraph];
  paragraph.classList.add("cut");
  const button = plainButton("Show all", () => {
    const cut = paragraph.classList.toggle("cut");
    button.textContent = cut ? "Show all" : "Show less";
    button.setAttribute("aria-expanded", String(!cut));
  }, { class: "plain small", "aria-expanded": "false" });
  return [paragraph, button];
}

/** Highlights are bytes of the whole text of the document. */
function marked({ text, start: base }, highlights) {
  const part = byBytes(text);
  const pieces = [];
  let end = 0;
  for (const word of highlights) {
    pieces.push(part(end, word.start - base), make("mark", { text: part(word.start - base, word.end - base) }));
    end = word.end - base;
  }
  return [...pieces, part(end)];
}

function otherPassages({ passages = [] }) {
  const others = passages.slice(1);
  if (others.length === 0) return [];
  const items = others.map((passage) => make("li", {
    children: [scoreElement(passage.score, "Score of this passage"), ...passageElements(passage)],
  }));
  const summary = make("summary", { text: `${counted(others.length, "more passage")} of this document` });
  return [make("details", { class: "passages", children: [summary, make("ul", { children: items })] })];
}

function footElement({ id, passage }, name) {
  const asked = view.like ? { id: view.like } : { query: view.q };
  const span = passage && { start: passage.start, end: passage.end };
  return make("div", {
    class: "foot",
    children: [
      plainButton("More like this", () => moreLike(id), { "aria-label": `More like this: ${name}` }),
      ...(isCosine() || view.mode === "hybrid" ? [explainButton(asked, { id, passage: span }, name, ".hit")] : []),
      plainButton(id, () => showDocument(id), { class: "plain id", title: "Show the stored document", "aria-label": `Show the document ${id}` }),
    ],
  });
}
