// Documents in people's files, one after the other: what `siamese ingest` makes of them, without its rarer forms.

import { isObject } from "./element.js";
import { tableRows } from "./table.js";

// What is read as a whole has to fit the memory of a tab.
const MAX_WHOLE_MIB = 64;
const MAX_LINE_CHARS = 4 * 1024 * 1024;
const NAMES = { id: ["id", "_id"], title: ["title"], text: ["text", "body", "content", "question"] };

const READERS = {
  jsonl: jsonLines, ndjson: jsonLines, json: jsonList, csv: table, tsv: table, txt: wholeText, md: wholeText,
};

export const ENDINGS = Object.keys(READERS);

/** `{ line, document, bytes }` or `{ line, error, bytes }` for each; `bytes` is how far in the file it ends. */
export async function* documentsOf(file) {
  const reader = READERS[file.name.split(".").pop().toLowerCase()];
  if (!reader) return yield { line: 1, error: `Files of this kind are not read here, only ${ENDINGS.map((ending) => `.${ending}`).join(" ")}.`, bytes: file.size };
  try {
    yield* reader(file);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    yield { line: 1, error: "The file is not UTF-8; siamese ingest reads other encodings.", bytes: file.size };
  }
}

async function* jsonLines(file) {
  let [line, bytes] = [0, 0];
  for await (const text of linesOf(file)) {
    line += 1;
    bytes += text.length + 1;
    if (!text.trim()) continue;
    yield { line, bytes, ...(text.length > MAX_LINE_CHARS ? { error: `The line has more than ${MAX_LINE_CHARS} characters.` } : fromJson(text, file)) };
  }
}

async function* linesOf(file) {
  const reader = file.stream().pipeThrough(new TextDecoderStream("utf-8", { fatal: true })).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop();
    yield* lines;
  }
  if (rest) yield rest;
}

function fromJson(text, file) {
  let row;
  try { row = JSON.parse(text); } catch (error) { return { error: error.message }; }
  return isObject(row) ? fromRow(row, file) : { error: "It is not a JSON object." };
}

async function* jsonList(file) {
  const text = await wholeFile(file);
  if (text.error) return yield { line: 1, error: text.error, bytes: file.size };
  let rows;
  try { rows = JSON.parse(text.text); } catch (error) { return yield { line: 1, error: error.message, bytes: file.size }; }
  rows = Array.isArray(rows) ? rows : rows?.documents ?? [rows];
  if (!Array.isArray(rows)) return yield { line: 1, error: "It is neither a list of objects nor an object.", bytes: file.size };
  for (const [place, row] of rows.entries()) {
    const made = isObject(row) ? fromRow(row, file) : { error: "It is not a JSON object." };
    yield { line: place + 1, bytes: (file.size * (place + 1)) / rows.length, ...made };
  }
}

async function* table(file) {
  const text = await wholeFile(file);
  if (text.error) return yield { line: 1, error: text.error, bytes: file.size };
  const rows = tableRows(text.text);
  for (const [place, { line, fields, error }] of rows.entries()) {
    yield { line, bytes: (file.size * (place + 1)) / rows.length, ...(error ? { error } : fromRow(fields, file)) };
  }
}

async function* wholeText(file) {
  const { text, error } = await wholeFile(file);
  if (error) return yield { line: 1, error, bytes: file.size };
  const heading = file.name.toLowerCase().endsWith(".md") ? text.match(/^#\s+(.+?)\s*#*$/m)?.[1] : undefined;
  const document = { id: file.name, ...(heading ? { title: heading } : {}), text, metadata: { path: file.name } };
  yield { line: 1, bytes: file.size, document };
}

async function wholeFile(file) {
  if (file.size > MAX_WHOLE_MIB * 1024 * 1024) return { error: `The file has more than ${MAX_WHOLE_MIB} MiB; siamese ingest reads any size.` };
  return { text: new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()) };
}

/** The document of a row: known names are its fields, and everything else its metadata. */
function fromRow(row, file) {
  const unsafe = unsafeNumber(row);
  if (unsafe) return { error: `The number at ${unsafe} is too large for a browser to read without loss; siamese ingest does.` };
  const rest = new Map(Object.entries(row).filter(([, value]) => value !== null && value !== undefined));
  const take = (names) => {
    const name = names.flatMap((wanted) => [...rest.keys()].filter((key) => key.toLowerCase() === wanted))[0];
    const value = rest.get(name);
    rest.delete(name);
    return value;
  };
  const [id, title, text] = [take(NAMES.id), take(NAMES.title), take(NAMES.text)];
  const inner = rest.get("metadata");
  if (isObject(inner)) rest.delete("metadata");
  const metadata = { ...Object.fromEntries(rest), ...(isObject(inner) ? inner : {}) };
  const document = { text: text ?? title };
  if (typeof document.text !== "string" || !document.text.trim()) return { error: `There is no text: none of ${NAMES.text.join(", ")}.` };
  document.id = id === undefined ? `${file.name}#${fingerprint(JSON.stringify(row))}` : String(id);
  if (title !== undefined) document.title = String(title);
  if (Object.keys(metadata).length) document.metadata = metadata;
  return { document };
}

function unsafeNumber(value, path = "") {
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return path;
  if (value === null || typeof value !== "object") return "";
  return Object.entries(value).map(([key, inner]) => unsafeNumber(inner, `${path}/${key}`)).find(Boolean) ?? "";
}

/** 64 bits of a text, the same each time, so that a row without an id replaces itself. */
function fingerprint(text) {
  // cyrb53 by bryc (public domain), with all bits of both halves: crypto.subtle is not there without TLS.
  let [high, low] = [0xdeadbeef, 0x41c6ce57];
  for (let place = 0; place < text.length; place += 1) {
    const unit = text.charCodeAt(place);
    high = Math.imul(high ^ unit, 2654435761);
    low = Math.imul(low ^ unit, 1597334677);
  }
  const mix = (a, b) => Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  return [mix(high, low), mix(low, high)].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
}
