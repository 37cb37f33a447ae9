// What is looked at. The address holds all of it, so that it can be shared, reloaded, and gone back to.

export const DEFAULT_COLLECTION = "default";

const USUAL = {
  tab: "search", collection: DEFAULT_COLLECTION, q: "", like: "", mode: "semantic", filter: "", top_k: "10", beside: "",
  find: "pairs", min_score: "0.9", scope: "documents", job: "", colour: "",
};
const CHOICES = {
  tab: ["search", "compare", "duplicates", "map", "statistics", "add"],
  mode: ["semantic", "lexical", "hybrid"],
  top_k: ["10", "20", "50"],
  find: ["pairs", "components", "communities"],
  scope: ["documents", "passages"],
};
// Links of earlier versions have other names, behind a #.
const OLD_NAMES = { in: "collection", by: "mode", k: "top_k" };

export const TABS = CHOICES.tab;
export const view = { ...USUAL };
const listeners = [];

/** Calls `listener` when something else is to be looked at. */
export function onVisit(listener) {
  listeners.push(listener);
}

/** Looks at something else; going back leads to what was there before. */
export function visit(changes) {
  Object.assign(view, changes);
  remember("pushState");
  for (const listener of listeners) listener();
}

/** Takes note of what the page shows already; with `pushState`, as something to come back from. */
export function amend(changes, how = "replaceState") {
  Object.assign(view, changes);
  remember(how);
}

function remember(how) {
  const changed = Object.entries(view).filter(([name, value]) => value !== USUAL[name]);
  const query = `${new URLSearchParams(changed)}`;
  const address = query ? `?${query}` : location.pathname;
  if (query === location.search.slice(1) && !location.hash) return;
  history[how](null, "", address);
}

/** Takes over what the address says. */
export function recall() {
  const entries = location.search ? new URLSearchParams(location.search) : oldEntries();
  for (const [name, usual] of Object.entries(USUAL)) {
    const value = entries.get(name) || usual;
    view[name] = !CHOICES[name] || CHOICES[name].includes(value) ? value : usual;
  }
}

function oldEntries() {
  const entries = [...new URLSearchParams(location.hash.slice(1))];
  return new URLSearchParams(entries.map(([name, value]) => [OLD_NAMES[name] ?? name, value]));
}

addEventListener("popstate", () => {
  recall();
  for (const listener of listeners) listener();
});
