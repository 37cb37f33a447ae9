// Making elements of the page, and what numbers look like in it.

const MAX_CHIPS = 14;

export const at = (id) => document.getElementById(id);

/** An element with text (never HTML), attributes and children. */
export function make(tag, { text, children = [], on = {}, ...attributes } = {}) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children);
  return element;
}

export const small = (text) => make("p", { class: "small", text });

export function plainButton(text, click, attributes = {}) {
  return make("button", { class: "plain", type: "button", text, on: { click }, ...attributes });
}

export function onSubmit(id, task) {
  at(id).addEventListener("submit", (event) => { event.preventDefault(); task(); });
}

export const count = (value) => value.toLocaleString("en");
export const documentsIn = (value) => counted(value, "document");
export const counted = (value, noun) => `${count(value)} ${value === 1 ? noun : `${noun}s`}`;
export const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
export const percent = (share) => `${(Math.min(1, Math.max(0, share)) * 100).toFixed(1)}%`;

export function bytesIn(value) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit === 0 ? count(value) : value.toFixed(1)} ${units[unit]}`;
}

export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
export const plainText = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** Metadata as [key, text]: nested keys with dots, lists with commas. */
function* flattened(object, prefix = "") {
  for (const [key, value] of Object.entries(object)) {
    if (isObject(value)) yield* flattened(value, `${prefix}${key}.`);
    else yield [prefix + key, Array.isArray(value) ? value.map(plainText).join(", ") : plainText(value)];
  }
}

export function metadataChips(metadata, limit = MAX_CHIPS) {
  const pairs = [...flattened(metadata)];
  const items = pairs.slice(0, limit).map(([key, value]) =>
    make("li", { children: [make("b", { text: `${key} ` }), document.createTextNode(value)] }));
  if (pairs.length > limit) items.push(make("li", { text: `${pairs.length - limit} more` }));
  return make("ul", { class: "chips", "aria-label": "Metadata", children: items });
}

/** Parts of a text that the service names by bytes of UTF-8. */
export function byBytes(text) {
  const bytes = new TextEncoder().encode(text);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return (start, end) => decoder.decode(bytes.subarray(start, end));
}
