// Links inside inputs and outputs: to data objects, and to outputs of jobs; and how they are shown.

import { fileAddress } from "./api.js";
import { button, h } from "./dom.js";

const LARGEST_SHOWN = 20 * 2 ** 20;
const IMAGES = ["image/gif", "image/jpeg", "image/png"];

function target(value) {
  const isLink = value && typeof value === "object" && Object.keys(value).join() === "$dnanexus_link";
  return isLink ? value.$dnanexus_link : null;
}

/** Return the ID of the data object that a value links to, or null. */
export function objectId(value) {
  const linked = target(value);
  if (typeof linked === "string") return linked;
  return linked && typeof linked.id === "string" ? linked.id : null;
}

/** Return {job, field, index?} when a value stands for a job's output, else null. */
export function reference(value) {
  const linked = target(value);
  return linked && typeof linked === "object" && linked.job ? linked : null;
}

/** Return the IDs of all data objects that a value links to, at any depth. */
export function objectIds(value) {
  const id = objectId(value);
  if (id) return [id];
  return value && typeof value === "object" ? Object.values(value).flatMap(objectIds) : [];
}

/** Tell whether a job's output is referred to anywhere in a value. */
export function hasReference(value) {
  if (reference(value)) return true;
  return Boolean(value) && typeof value === "object" && Object.values(value).some(hasReference);
}

/** Tell whether the platform lets a browser show a file. */
export function isShowable(file) {
  const { media = "", size = 0, state } = file;
  const isShown = media.startsWith("text/") || media === "application/json" || IMAGES.includes(media);
  return file.class === "file" && state === "closed" && isShown && size <= LARGEST_SHOWN;
}

export async function download(id) {
  h("a", { href: await fileAddress(id, false), download: true }).click();
}

/** Make the buttons that a file has; `view` shows it on this page. */
export function fileButtons(file, view) {
  if (file.class !== "file" || file.state !== "closed") return [];
  const label = (what) => ({ "aria-label": `${what} ${file.name}` });
  return [
    isShowable(file) ? button("Open", () => view(file), label("Open")) : null,
    button("Download", () => download(file.id), label("Download")),
  ];
}

/** Make the frame that shows a file: what a job wrote runs in an origin of its own. */
export async function fileFrame(file, onClose) {
  const address = await fileAddress(file.id, true);
  return h(
    "section",
    { class: "viewer", "aria-label": file.name },
    h(
      "div",
      { class: "row" },
      h("h2", {}, file.name),
      h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, "In a tab of its own"),
      button("Close", onClose),
    ),
    h("iframe", { sandbox: "allow-scripts allow-downloads", title: file.name, src: address }),
  );
}

/** Show a value: links by names, and files with their buttons if there is a `view` for them. */
export function show(value, objects, view) {
  const id = objectId(value);
  if (id) {
    const found = objects.get(id);
    if (!found) return h("span", {}, `${id} (gone)`);
    return h(
      "span",
      { class: "file" },
      h("a", { href: `#/${id}` }, found.name),
      view ? fileButtons(found, view) : null,
    );
  }
  const from = reference(value);
  if (from) {
    const item = "index" in from ? `[${from.index}]` : "";
    return h("a", { href: `#/${from.job}` }, `${from.field}${item} of ${from.job}`);
  }
  if (Array.isArray(value) && value.length) {
    return h("ul", { class: "plain" }, value.map((item) => h("li", {}, show(item, objects, view))));
  }
  return h("span", { class: "value" }, typeof value === "string" ? value : JSON.stringify(value));
}
