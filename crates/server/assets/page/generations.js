// Two generations of a collection side by side, and what moves between them.

import { call, collectionPath } from "./api.js";
import { at, make } from "./element.js";
import { barElement, passageElements, scoreElement, scoreTitle, shareOf } from "./hit.js";
import { amend, view, visit } from "./view.js";

let generations = [];

/** Offers the generations beside the active one; without any there is nothing to choose. */
export async function loadGenerations() {
  const path = `collections/${encodeURIComponent(view.collection)}/generations`;
  ({ generations } = await call(path).catch(() => ({ generations: [] })));
  const others = generations.filter(({ state }) => state !== "active");
  const options = others.map((other) => make("option", { value: String(other.generation), text: generationName(other) }));
  at("beside").replaceChildren(make("option", { value: "", text: "nothing" }), ...options);
  if (!others.some(({ generation }) => String(generation) === view.beside)) amend({ beside: "" });
  at("beside").value = view.beside;
  at("beside-label").hidden = others.length === 0;
}

function generationName({ generation, encoder, chunking, state }) {
  const passages = chunking.mode === "off" ? "whole texts" : `${chunking.mode} ${chunking.max_tokens}`;
  return `${generation}: ${encoder.model}, ${passages}, ${state}`;
}

export function listenForBeside() {
  at("beside").addEventListener("change", () => visit({ beside: at("beside").value }));
}

/** The same search in the active generation and in the one beside it. */
export async function searchBoth(question, signal) {
  const searches = [{ ...question }, { ...question, generation: Number(view.beside) }];
  const { results } = await call(collectionPath("search/batch"), { searches }, signal);
  return results;
}

/** Shows both lists, and returns what has moved between them in a line. */
export function showBoth([active, other]) {
  const ranks = [active, other].map(({ hits }) => new Map(hits.map(({ id }, place) => [id, place + 1])));
  const named = (wanted) => generations.find(wanted);
  const columns = [
    columnElement(named(({ state }) => state === "active"), active.hits, (id) => leaving(id, ranks)),
    columnElement(named(({ generation }) => String(generation) === view.beside), other.hits, (id) => coming(id, ranks)),
  ];
  at("columns").replaceChildren(...columns);
  at("columns").hidden = false;
  document.body.classList.add("wide");
  return movesLine(other.hits, ranks);
}

export function hideColumns() {
  at("columns").hidden = true;
  at("columns").replaceChildren();
  document.body.classList.remove("wide");
}

/** What becomes of a hit of the active generation. */
function leaving(id, [here, there]) {
  if (!there.has(id)) return { kind: "gone", text: "gone" };
  const to = there.get(id);
  return to === here.get(id) ? { kind: "same", text: "" } : { kind: "same", text: `now ${to}` };
}

/** Where a hit of the other generation comes from. */
function coming(id, [there, here]) {
  if (!there.has(id)) return { kind: "new", text: "new" };
  const up = there.get(id) - here.get(id);
  if (up === 0) return { kind: "same", text: "=" };
  return up > 0 ? { kind: "up", text: `▲ ${up}` } : { kind: "down", text: `▼ ${-up}` };
}

const SPOKEN = {
  gone: () => "not among the hits of the other",
  new: () => "new",
  up: (text) => `up by ${text.slice(2)}`,
  down: (text) => `down by ${text.slice(2)}`,
  same: (text) => (text.startsWith("now") ? `number ${text.slice(4)} in the other` : "unchanged"),
};

function movesLine(hits, ranks) {
  const kinds = hits.map(({ id }) => coming(id, ranks).kind);
  const counts = ["same", "up", "down", "new"].map((kind) => [kind, kinds.filter((other) => other === kind).length]);
  const gone = [...ranks[0].keys()].filter((id) => !ranks[1].has(id)).length;
  const words = { same: "unmoved", up: "up", down: "down", new: "new", gone: "gone" };
  return [...counts, ["gone", gone]].filter(([, number]) => number).map(([kind, number]) => `${number} ${words[kind]}`).join(" · ");
}

function columnElement(generation, hits, moved) {
  const name = generation ? generationName(generation) : "";
  const list = hits.map((hit, place) => besideElement(hit, place + 1, moved(hit.id), hits[0].score));
  return make("section", {
    class: "column",
    "aria-label": `Generation ${name}`,
    children: [make("h2", { class: "head", text: name }), make("ol", { class: "hits", children: list })],
  });
}

function besideElement(hit, rank, { kind, text }, best) {
  const name = hit.title || hit.id;
  const mark = make("span", { class: `move ${kind}`, text, "aria-label": SPOKEN[kind](text) });
  return make("li", {
    class: `hit ${kind}`,
    children: [
      make("div", {
        class: "top",
        children: [make("span", { class: "rank", text: `${rank}` }), make("h2", { text: name }), mark, scoreElement(hit.score, scoreTitle(hit))],
      }),
      barElement(shareOf(hit, best)),
      ...passageElements(hit.passage, hit.highlights),
    ],
  });
}
