// The page: which part of it is shown, keys of the keyboard, and the start.

import { call, showProblem } from "./api.js";
import { listenForAdd } from "./add.js";
import { listenForCollection, loadCollections, showCollection } from "./collections.js";
import { listenForCompare } from "./compare.js";
import { listenForDocument } from "./document.js";
import { listenForDuplicates, showDuplicates } from "./duplicates.js";
import { at } from "./element.js";
import { listenForFacets } from "./facets.js";
import { listenForBeside, loadGenerations } from "./generations.js";
import { listenForKey } from "./key.js";
import { listenForMap, showMap } from "./map.js";
import { listenForSearch, showSearch } from "./search.js";
import { showStatistics } from "./statistics.js";
import { listenForUpload } from "./upload.js";
import { TABS, onVisit, recall, view, visit } from "./view.js";

const RETRY_MS = 1500;
const FIRST_FIELD = { search: "query", compare: "left", duplicates: "find", add: "doc-text" };
const SHOW = { search: showSearch, duplicates: showDuplicates, map: showMap, statistics: showStatistics };

let shown = { tab: "", collection: "" };

/** Shows what the address asks for. */
async function show() {
  const { tab, collection } = view;
  const isOtherTab = tab !== shown.tab;
  const isOtherCollection = collection !== shown.collection;
  shown = { tab, collection };
  for (const name of TABS) {
    const chosen = name === tab;
    at(name).hidden = !chosen;
    at(`tab-${name}`).setAttribute("aria-selected", String(chosen));
    at(`tab-${name}`).tabIndex = chosen ? 0 : -1;
  }
  if (isOtherTab) scrollTo(0, 0);
  showCollection();
  if (isOtherCollection) await loadGenerations();
  SHOW[tab]?.();
}

function openTab(name, focus = at(FIRST_FIELD[name] ?? `tab-${name}`)) {
  if (name !== view.tab) visit({ tab: name });
  focus.focus();
}

function tabByArrow(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const name = TABS[(TABS.indexOf(view.tab) + step + TABS.length) % TABS.length];
  openTab(name, at(`tab-${name}`));
}

const typing = (element) => element.matches("input, textarea, select");

function pageKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key !== "/" || typing(event.target) || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  openTab("search");
  at("query").select();
}

function submitByKeys(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form?.requestSubmit();
}

function listen() {
  const parts = [
    listenForKey, listenForSearch, listenForFacets, listenForBeside, listenForCollection, listenForCompare, listenForDuplicates, listenForMap,
    listenForAdd, listenForUpload, listenForDocument,
  ];
  for (const listenForPart of parts) listenForPart();
  for (const name of TABS) at(`tab-${name}`).addEventListener("click", () => openTab(name));
  document.querySelector("[role=tablist]").addEventListener("keydown", tabByArrow);
  document.addEventListener("keydown", pageKey);
  for (const id of ["compare-form", "add-form"]) at(id).addEventListener("keydown", submitByKeys);
  onVisit(show);
}

/** Waits for a server that is still loading its model. */
async function untilReady() {
  for (;;) {
    try {
      await loadCollections();
      at("unready").hidden = true;
      return;
    } catch (error) {
      showProblem(at("unready"), error);
      at("unready").hidden = false;
      if (error.status !== 503 && error.code !== "unreachable") return;
      await new Promise((wake) => setTimeout(wake, RETRY_MS));
    }
  }
}

async function describeEncoder() {
  const { model, dimensions } = await call("encoder");
  at("encoder").textContent = `${model}, ${dimensions} dimensions`;
}

async function start() {
  recall();
  listen();
  await untilReady();
  await show();
  describeEncoder().catch(() => {});
}

start();
