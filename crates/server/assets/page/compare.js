// Two texts, how alike they are, and why.

import { afterPause, call, collectionPath, latestOnly, showProblem } from "./api.js";
import { at, milliseconds, onSubmit, percent } from "./element.js";
import { explainInto } from "./explanation.js";

const EXAMPLES = [
  ["The picture is foggy after dark", "Hazy video at night"],
  ["Bulbs flicker when dimmed", "Lamps tremble at low brightness"],
  ["The cat set off the siren", "Our pet triggered an alarm"],
  ["The motor wakes our baby", "How do I change my password?"],
];

const runCompare = latestOnly(async (signal) => {
  const [left, right] = [at("left").value, at("right").value];
  at("compare-problem").replaceChildren();
  if (!left.trim() || !right.trim()) return void (at("verdict").hidden = true);
  try {
    at("why").replaceChildren();
    const started = performance.now();
    const { scores } = await call(collectionPath("similarity"), { pairs: [[left, right]] }, signal);
    showSimilarity(scores[0], performance.now() - started);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    at("verdict").hidden = true;
    showProblem(at("compare-problem"), error);
  }
});

const compare = afterPause(() => runCompare());

function showSimilarity(score, elapsed) {
  at("similarity").textContent = score.toFixed(3);
  at("similarity-bar").style.width = percent(score);
  at("similarity-time").textContent = `Answered in ${milliseconds(elapsed)}.`;
  at("verdict").hidden = false;
}

let nextExample = 0;

function showExample() {
  [at("left").value, at("right").value] = EXAMPLES[nextExample];
  nextExample = (nextExample + 1) % EXAMPLES.length;
  at("example").textContent = "Try another";
  compare.now();
}

export function listenForCompare() {
  for (const side of ["left", "right"]) at(side).addEventListener("input", () => compare.later());
  at("example").addEventListener("click", showExample);
  at("explain").addEventListener("click", () => explainInto(at("why"), at("left").value, at("right").value));
  onSubmit("compare-form", () => compare.now());
}
