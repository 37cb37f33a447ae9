// How often values of the metadata occur among what was found, each a switch of the filter.

import { parsedObject, showProblem } from "./api.js";
import { at, count, isObject, make, plainButton, plainText } from "./element.js";
import { view, visit } from "./view.js";

const SHOWN_VALUES = 8;
const WIDE_ENOUGH = "(min-width: 44rem)";

export const EXAMPLE_FILTER = "{\"status\": \"open\"}";

/** The filter as an object; undefined when there is none. */
export function typedFilter() {
  return view.filter.trim() ? parsedObject("filter", view.filter, EXAMPLE_FILTER) : undefined;
}

export function showFacets(facets = {}) {
  const filter = knownFilter();
  const rows = Object.entries(facets)
    .map(([path, values]) => [path, withChosen(path, values, filter)])
    .filter(([, values]) => values.length > 0)
    .map(([path, values]) => rowElement(path, values, filter));
  const focused = document.activeElement?.dataset?.facet;
  at("facets").replaceChildren(...rows);
  at("facets-box").hidden = rows.length === 0;
  if (focused) [...at("facets").querySelectorAll("button")].find((button) => button.dataset.facet === focused)?.focus();
}

function knownFilter() {
  try { return typedFilter() ?? {}; } catch { return {}; }
}

const isChosen = (filter, path, value) => Object.hasOwn(filter, path) && filter[path] === value;

/** What the filter asks for stays, so that it can be switched off, though nothing has it. */
function withChosen(path, values, filter) {
  const chosen = filter[path];
  const there = chosen === undefined || isObject(chosen) || values.some(({ value }) => value === chosen);
  return there ? values : [{ value: chosen, count: 0 }, ...values];
}

function rowElement(path, values, filter) {
  const list = make("ul", { class: "chips", "aria-label": path });
  const show = (some) => list.replaceChildren(...some.map((value) => make("li", { children: [valueButton(path, value, filter)] })));
  show(values.slice(0, SHOWN_VALUES));
  const row = make("div", { class: "facet", children: [make("span", { class: "small", text: path.replace(/\\(.)/g, "$1") }), list] });
  const rest = values.length - SHOWN_VALUES;
  if (rest > 0) row.append(plainButton(`${rest} more`, (event) => { show(values); event.target.remove(); }, { class: "plain small" }));
  return row;
}

function valueButton(path, { value, count: documents }, filter) {
  const pressed = isChosen(filter, path, value);
  const button = make("button", {
    class: "chip",
    type: "button",
    "aria-pressed": String(pressed),
    children: [document.createTextNode(`${plainText(value)} `), make("b", { text: count(documents) })],
    on: { click: () => switchValue(path, value) },
  });
  button.dataset.facet = JSON.stringify([path, value]);
  return button;
}

function switchValue(path, value) {
  let filter;
  try {
    filter = { ...typedFilter() };
  } catch (error) {
    return showProblem(at("search-problem"), error);
  }
  if (isChosen(filter, path, value)) delete filter[path];
  else filter[path] = value;
  visit({ filter: filterText(filter) });
}

export const filterText = (filter) => (Object.keys(filter).length ? JSON.stringify(filter) : "");

export function listenForFacets() {
  at("facets-box").open = matchMedia(WIDE_ENOUGH).matches;
}
