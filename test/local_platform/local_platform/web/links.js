// Links inside inputs and outputs: to data objects, and to outputs of jobs; and how they are shown.

import { h } from "./dom.js";

/**
 * @typedef {import("./api.js").DataObject} DataObject
 * @typedef {{job: string, field: string, index?: number}} Reference the output of a job
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
  return linked && typeof linked === "object" && linked.job ? linked : null;
}

/**
 * Return the IDs of all data objects that a value links to, at any depth.
 * @param {unknown} value
 * @returns {string[]}
 */
export function objectIds(value) {
  const id = objectId(value);
  if (id) return [id];
  return value && typeof value === "object" ? Object.values(value).flatMap(objectIds) : [];
}

/**
 * Tell whether a value refers to a job's output, at any depth.
 * @param {unknown} value
 * @returns {boolean}
 */
export function hasReference(value) {
  if (reference(value)) return true;
  return value !== null && typeof value === "object" && Object.values(value).some(hasReference);
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
    return h("a", { href: `#/${from.job}` }, `${from.field}${item} of ${from.job}`);
  }
  if (Array.isArray(value) && value.length) {
    return h("ul", { class: "plain" }, value.map((item) => h("li", {}, show(item, objects, buttons))));
  }
  return h("span", { class: "value" }, typeof value === "string" ? value : JSON.stringify(value));
}
