// Links inside inputs and outputs: to data objects, and to outputs of jobs; and how they are shown.

import { h } from "./dom.js";

/**
 * @typedef {import("./api.js").DataObject} DataObject
 * @typedef {{job?: string, analysis?: string, field: string, index?: number}} Reference the output
 *   of a job or of an analysis
 * @typedef {{stage: string, outputField?: string, inputField?: string}} StageLink
 */

/**
 * @param {any} value
 * @returns {any}
 */
function target(value) {
  const isLink = value && typeof value === "object" && Object.keys(value).join() === "$dnanexus_link";
  return isLink ? value.$dnanexus_link : null;
}

/**
 * Return the ID of the data object that a value links to, or null.
 * @param {unknown} value
 * @returns {string | null}
 */
export function objectId(value) {
  const linked = target(value);
  if (typeof linked === "string") return linked;
  return linked && typeof linked.id === "string" ? linked.id : null;
}

/**
 * Return which output a value stands for, or null.
 * @param {unknown} value
 * @returns {Reference | null}
 */
export function reference(value) {
  const linked = target(value);
  return linked && typeof linked === "object" && (linked.job || linked.analysis) ? linked : null;
}

/**
 * Return what `pick` finds in a value, at any depth.
 * @template T
 * @param {unknown} value
 * @param {(value: unknown) => T | null} pick
 * @returns {T[]}
 */
function collect(value, pick) {
  const picked = pick(value);
  if (picked) return [picked];
  return value && typeof value === "object"
    ? Object.values(value).flatMap((item) => collect(item, pick))
    : [];
}

/** Return the IDs of all data objects that a value links to. @param {unknown} value */
export function objectIds(value) {
  return collect(value, objectId);
}

/** Tell whether a value refers to an output of a job or an analysis. @param {unknown} value */
export function hasReference(value) {
  return collect(value, reference).length > 0;
}

/**
 * Return what an input of a stage links to in its workflow.
 * @param {unknown} value
 * @returns {StageLink[]}
 */
export function stageLinks(value) {
  return collect(value, (item) => (target(item)?.stage ? target(item) : null));
}

/**
 * Show a value: links by names, and files with their buttons, if any are given.
 * @param {unknown} value
 * @param {Map<string, DataObject>} objects
 * @param {(file: DataObject) => (Element | null)[]} buttons
 * @returns {any}
 */
export function show(value, objects, buttons = () => []) {
  const id = objectId(value);
  if (id) {
    const found = objects.get(id);
    if (!found) return h("span", {}, `${id} (removed)`);
    const actions = buttons(found);
    return h(
      "span",
      { class: "file" },
      h("a", { href: `#/${id}` }, found.name),
      actions.length ? h("span", { class: "actions" }, actions) : null,
    );
  }
  const from = reference(value);
  if (from) {
    const item = "index" in from ? `[${from.index}]` : "";
    const execution = from.job ?? from.analysis;
    return h("a", { href: `#/${execution}` }, `${from.field}${item} of ${execution}`);
  }
  if (Array.isArray(value) && value.length) {
    return h("ul", { class: "plain" }, value.map((item) => h("li", {}, show(item, objects, buttons))));
  }
  return h("span", { class: "value" }, typeof value === "string" ? value : JSON.stringify(value));
}
