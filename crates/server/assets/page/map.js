// The documents of a collection in two dimensions.

import { call, collectionPath, latestOnly, showProblem } from "./api.js";
import { filterFields } from "./collections.js";
import { showDocument } from "./document.js";
import { at, count, documentsIn, make, onSubmit, percent, plainText } from "./element.js";
import { typedFilter } from "./facets.js";
import { Scatter } from "./scatter.js";
import { amend, view } from "./view.js";

// As many as page.css has colours for; the last one is for everything else.
const COLOURS = 8;

let scatter = null;
let shown = { points: [], places: new Map() };

const runMap = latestOnly(async (signal) => {
  at("map-problem").replaceChildren();
  at("map-canvas").setAttribute("aria-busy", "true");
  try {
    await offerFields(signal);
    const filter = typedFilter();
    const wish = { ...(filter ? { filter } : {}), ...(view.colour ? { field: view.colour } : {}) };
    showPoints(await call(collectionPath("map"), wish, signal));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    showPoints({ points: [], documents: 0, shares: [0, 0] });
    at("map-status").textContent = "";
    showProblem(at("map-problem"), error);
  }
  at("map-canvas").removeAttribute("aria-busy");
});

async function offerFields(signal) {
  const fields = await filterFields(signal);
  // The address may name a field that is not among those that are offered.
  const all = view.colour && !fields.includes(view.colour) ? [view.colour, ...fields] : fields;
  const options = all.map((path) => make("option", { value: path, text: path.replace(/\\(.)/g, "$1") }));
  at("colour").replaceChildren(make("option", { value: "", text: "nothing" }), ...options);
  at("colour").value = view.colour;
}

function showPoints({ points, documents, shares }) {
  const places = placesOf(points);
  shown = { points, places };
  colourPoints();
  scatter.show(points);
  const drawn = points.length < documents ? `${count(points.length)} of ${documentsIn(documents)}` : documentsIn(documents);
  at("map-status").textContent = `${drawn} · the two directions show ${percent(shares[0] + shares[1])} of how they differ`;
  at("map-canvas").setAttribute("aria-label", `Map of ${drawn}. Arrow keys go from one to the next, Enter opens it, plus and minus zoom.`);
}

/** Which colour each value has: the most frequent ones first, and the last colour for all others. */
function placesOf(points) {
  const counts = new Map();
  for (const { value } of points) {
    const key = JSON.stringify(value);
    if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const frequent = [...counts].sort(([, a], [, b]) => b - a);
  const places = new Map(frequent.slice(0, COLOURS - 1).map(([key, number], place) => [key, { place, number }]));
  showLegend(frequent.slice(0, COLOURS - 1), points.length - [...places.values()].reduce((sum, { number }) => sum + number, 0));
  return places;
}

function showLegend(frequent, others) {
  const item = (text, number, place) => {
    const dot = make("i", { "aria-hidden": "true" });
    dot.style.background = `var(--map-${place})`;
    return make("li", { children: [dot, document.createTextNode(` ${text} `), make("b", { text: count(number) })] });
  };
  const items = frequent.map(([key, number], place) => item(plainText(JSON.parse(key)), number, place));
  if (frequent.length && others) items.push(item("others", others, COLOURS - 1));
  at("map-legend").replaceChildren(...items);
}

function colourPoints() {
  const style = getComputedStyle(document.documentElement);
  const colours = Array.from({ length: COLOURS }, (_, place) => style.getPropertyValue(`--map-${place}`).trim());
  const usual = view.colour ? COLOURS - 1 : 0;
  for (const point of shown.points) point.colour = colours[shown.places.get(JSON.stringify(point.value))?.place ?? usual];
}

function showTip(point, place) {
  at("map-tip").hidden = !point;
  at("map-chosen").textContent = point ? nameOf(point) : "";
  if (!point) return;
  at("map-tip").textContent = nameOf(point);
  const isRight = place.x > at("map-canvas").clientWidth / 2;
  Object.assign(at("map-tip").style, {
    left: isRight ? "auto" : `${place.x + 12}px`,
    right: isRight ? `${at("map-canvas").clientWidth - place.x + 12}px` : "auto",
    top: `${place.y + 8}px`,
  });
}

function nameOf({ id, title, value }) {
  return value === undefined ? title || id : `${title || id} (${plainText(value)})`;
}

export function showMap() {
  at("map-filter").value = view.filter;
  return runMap();
}

export function listenForMap() {
  scatter = new Scatter(at("map-canvas"), { choose: showTip, open: ({ id }) => showDocument(id) });
  at("colour").addEventListener("change", () => { amend({ colour: at("colour").value }, "pushState"); runMap(); });
  onSubmit("map-form", () => { amend({ filter: at("map-filter").value }, "pushState"); runMap(); });
  at("map-in").addEventListener("click", () => scatter.zoomBy(1.4));
  at("map-out").addEventListener("click", () => scatter.zoomBy(1 / 1.4));
  at("map-reset").addEventListener("click", () => scatter.reset());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { colourPoints(); scatter.draw(); });
}
