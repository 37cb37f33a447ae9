// Rows of a CSV file, as `siamese ingest` reads them: the delimiter is recognised, quotes may hold line breaks, and a row
// that is wrong fails alone.

const DELIMITERS = [",", ";", "\t", "|"];
// Digits that a number of JavaScript holds without loss.
const EXACT_DIGITS = 15;

/** The rows below the header, each `{ line, fields }` or `{ line, error }`; blank ones are left out. */
export function tableRows(text) {
  const delimiter = delimiterOf(text);
  const records = [...recordsOf(text, delimiter)].filter(({ values, error }) => error || values.some((value) => value.trim()));
  const [header, ...rows] = records;
  if (!header || header.error) return [{ line: 1, error: header?.error ?? "There is no header." }];
  const names = columnNames(header.values);
  const whole = rows.map((row) => checked(row, names.length));
  const types = names.map((_, column) => typeOf(whole.filter(({ error }) => !error).map(({ values }) => values[column])));
  return whole.map(({ line, values, error }) => (error ? { line, error } : { line, fields: fieldsOf(names, types, values) }));
}

function delimiterOf(text) {
  const header = text.slice(0, text.search(/\r|\n|$/)).replace(/"[^"]*"/g, "");
  const counts = DELIMITERS.map((delimiter) => header.split(delimiter).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))];
}

/** Splits a table into records; `line` is where each begins, from 1. */
function* recordsOf(text, delimiter) {
  let [values, value, quoted, line, begun] = [[], "", false, 1, 1];
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (quoted) {
      if (char === "\n") line += 1;
      if (char !== "\"") value += char;
      else if (text[at + 1] === "\"") { value += "\""; at += 1; }
      else quoted = false;
    } else if (char === "\"" && value === "") quoted = true;
    else if (char === delimiter) { values.push(value); value = ""; }
    else if (char === "\n" || char === "\r") {
      if (char === "\r" && text[at + 1] === "\n") at += 1;
      line += 1;
      yield { line: begun, values: [...values, value] };
      [values, value, begun] = [[], "", line];
    } else value += char;
  }
  if (quoted) yield { line: begun, error: "A quote is not closed." };
  else if (values.length || value) yield { line: begun, values: [...values, value] };
}

function columnNames(values) {
  const seen = new Map();
  return values.map((value, place) => {
    const name = value.trim() || `column_${place + 1}`;
    seen.set(name, (seen.get(name) ?? 0) + 1);
    return seen.get(name) === 1 ? name : `${name}_${seen.get(name)}`;
  });
}

function checked({ line, values, error }, width) {
  if (error) return { line, error };
  while (values.length > width && !values.at(-1).trim()) values.pop();
  return values.length === width ? { line, values } : { line, error: `${values.length} values, where the header has ${width}.` };
}

/** What all values of a column are; empty ones say nothing. */
function typeOf(values) {
  const some = values.filter((value) => value.trim());
  if (some.length === 0) return "text";
  if (some.every((value) => /^(true|false)$/i.test(value.trim()))) return "boolean";
  return some.every((value) => isExact(value.trim())) ? "number" : "text";
}

const isExact = (value) => /^-?(0|[1-9]\d*)(\.\d+)?$/.test(value) && value.replace(/\D/g, "").length <= EXACT_DIGITS;

function fieldsOf(names, types, values) {
  const read = {
    text: (value) => value,
    boolean: (value) => value.trim().toLowerCase() === "true",
    number: (value) => Number(value),
  };
  const filled = names.map((name, column) => [name, values[column], types[column]]).filter(([, value]) => value.trim());
  return Object.fromEntries(filled.map(([name, value, type]) => [name, read[type](value)]));
}
