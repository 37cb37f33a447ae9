// Why a score is what it is: words shaded by what they give to it.

import { call, collectionPath, showProblem } from "./api.js";
import { byBytes, count, make, percent, plainButton, small } from "./element.js";

const MATCHING_WORDS = 6;
const MAX_MATRIX_CELLS = 10000;

/** A button that explains the score of two items below them, at the end of what `around` selects. */
export function explainButton(a, b, name, around) {
  const place = make("div", { class: "why", hidden: "" });
  const button = plainButton("Explain", () => {
    place.hidden = !place.hidden;
    button.setAttribute("aria-expanded", String(!place.hidden));
    if (place.hidden) return;
    button.closest(around).append(place);
    explainInto(place, a, b);
  }, { "aria-label": `Explain the score of ${name}`, "aria-expanded": "false" });
  return button;
}

export async function explainInto(place, a, b) {
  const pair = { a, b, top_k: MATCHING_WORDS };
  place.replaceChildren(small("Explaining …"));
  try {
    showExplanation(place, pair, await call(collectionPath("similarity/explain"), pair));
  } catch (error) {
    showProblem(place, error);
  }
}

function showExplanation(place, pair, answer) {
  const shares = [answer.a, answer.b].flatMap(({ words }) => words).map(({ contribution }) => Math.abs(contribution));
  const largest = Math.max(...shares, Number.MIN_VALUE);
  const pairs = answer.pairs.map(({ a, b, contribution }) => make("li", { text: `${a.text} – ${b.text}`, title: contribution.toFixed(4) }));
  const matrix = make("div");
  const button = plainButton("Show token by token", () => { button.hidden = true; showMatrix(matrix, pair); });
  place.replaceChildren(
    small(`Words are shaded by what they give to the cosine of ${answer.score.toFixed(3)}; red takes from it.`),
    shadedText(answer.a, largest),
    shadedText(answer.b, largest),
    ...(pairs.length ? [small("Words that match:"), make("ul", { class: "chips", children: pairs })] : []),
    ...answer.not_explained.map((text) => small(`${text}.`)),
    button,
    matrix,
  );
}

/** A text whose words have the colour of what they give. The service counts bytes of UTF-8. */
function shadedText({ text, words }, largest) {
  const part = byBytes(text);
  const paragraph = make("p", { class: "text shaded" });
  let end = 0;
  for (const word of words) {
    paragraph.append(part(end, word.start), shaded("span", part(word.start, word.end), word.contribution, largest));
    end = word.end;
  }
  paragraph.append(part(end));
  return paragraph;
}

function shaded(tag, text, contribution, largest, where = "") {
  const element = make(tag, { text, title: `${where}${contribution.toFixed(4)}` });
  element.style.setProperty("--share", percent(Math.abs(contribution) / largest));
  if (contribution < 0) element.classList.add("loss");
  return element;
}

async function showMatrix(place, pair) {
  place.replaceChildren(small("Explaining …"));
  try {
    const { a, b, matrix } = await call(collectionPath("similarity/explain"), { ...pair, matrix: true });
    place.replaceChildren(matrixElement(a.tokens, b.tokens, matrix));
  } catch (error) {
    showProblem(place, error);
  }
}

function matrixElement(rows, columns, matrix) {
  if (rows.length * columns.length > MAX_MATRIX_CELLS) {
    const size = `${count(rows.length)} by ${count(columns.length)} tokens`;
    return small(`${size} are too many to show here; POST similarity/explain with "matrix": true returns them.`);
  }
  const largest = Math.max(...matrix.flat().map(Math.abs), Number.MIN_VALUE);
  const name = ({ text, kind }) => text || kind;
  const head = make("tr", { children: [make("td"), ...columns.map((token) => make("th", { scope: "col", children: [make("span", { text: name(token) })] }))] });
  const lines = matrix.map((values, row) => make("tr", {
    children: [
      make("th", { scope: "row", text: name(rows[row]) }),
      ...values.map((value, column) => shaded("td", "", value, largest, `${name(rows[row])} – ${name(columns[column])}: `)),
    ],
  }));
  return make("div", { class: "matrix", tabindex: "0", children: [make("table", { children: [head, ...lines] })] });
}
