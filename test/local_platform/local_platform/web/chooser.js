// The dialog in which data objects are chosen for an input, and what patterns allow.

import { findObjects } from "./api.js";
import { button, h, size, time, title } from "./dom.js";
import { LISTED } from "./files.js";
import { objectId } from "./links.js";
import { takeDrops, uploadButton } from "./upload.js";

const PAGE = 50;

/**
 * @typedef {import("./api.js").DataObject} DataObject
 * @typedef {import("./api.js").Entry} Entry
 */

/** Return the globs that an input's `patterns` hold. @param {Entry} entry */
export function globsOf({ patterns = [] }) {
  return Array.isArray(patterns) ? patterns : (patterns.name ?? []);
}

/**
 * Tell whether a file of this name is what an input's patterns ask for.
 * @param {Entry} entry
 * @param {string} name
 */
export function matches(entry, name) {
  const globs = globsOf(entry);
  return globs.length === 0 || globs.some((glob) => globToRegExp(glob).test(name));
}

/** Return a regular expression that says what a glob says. @param {string} glob */
function globToRegExp(glob) {
  const parts = glob.match(/\[!?\]?[^\]]*\]|\\.|[^]/g) ?? [];
  const translated = parts.map((part) => {
    if (part === "*") return ".*";
    if (part === "?") return ".";
    if (part.length > 2) return part.replace(/\\/g, "\\\\").replace("[!", "[^");
    return part.slice(-1).replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");
  });
  return new RegExp(`^${translated.join("")}$`, "s");
}

/**
 * Let a person choose objects of the platform or files of this computer.
 * @param {Entry} entry
 * @param {{project: string, objects: Map<string, DataObject>}} context
 * @param {(one: DataObject) => void} onChoose is given each object chosen; only for an array may there
 *   be more than one
 * @param {(files: File[]) => void} onFiles is given the files of this computer
 */
export function choose(entry, { project, objects }, onChoose, onFiles) {
  const className = entry.class.replace("array:", "");
  const isMany = className !== entry.class;
  const globs = globsOf(entry);
  const search = h("input", { type: "search", placeholder: "Name contains ..." });
  const all = h("input", { type: "checkbox" });
  const everywhere = h("input", { type: "checkbox" });
  const list = h("div", { class: "choices" });
  let asked = 0;

  async function fill() {
    const number = ++asked;
    const text = search.value.trim().toLowerCase();
    const isWanted = (/** @type {DataObject} */ { name }) =>
      name.toLowerCase().includes(text) && (all.checked || matches(entry, name));
    const scope = { project, folder: "/", recurse: true };
    const query = {
      class: className,
      state: "closed",
      describe: LISTED,
      ...(!everywhere.checked && { scope }),
    };
    const { found, next } = await findObjects(query, PAGE, isWanted);
    if (number !== asked) return;
    const kind = globs.length && !all.checked ? `${className} that matches ${globs.join(", ")}` : className;
    list.replaceChildren(
      found.length ? "" : h("p", {}, `There is no ${kind}${text ? " of such a name" : ""} here.`),
      ...found.slice(0, PAGE).map((one) => row(one)),
      next || found.length > PAGE ? h("p", {}, "There are more: narrow them down by name.") : "",
    );
  }

  /** @param {DataObject} one */
  function row(one) {
    const choice = button("", () => {
      onChoose(one);
      if (!isMany) dialog.close();
      else choice.setAttribute("aria-pressed", "true");
    });
    const about = [one.folder, size(one.size), time(one.created)].filter(Boolean).join(" · ");
    choice.append(h("span", {}, one.name), h("small", {}, about));
    return choice;
  }

  const send = (/** @type {File[]} */ files) => {
    dialog.close();
    onFiles(files);
  };
  const suggested = (entry.suggestions ?? [])
    .map((one) => objects.get(objectId(one) ?? objectId(one.value) ?? ""))
    .filter((one) => one !== undefined);
  const dialog = h(
    "dialog",
    { "aria-label": `Choose for ${entry.label ?? entry.name}`, onclose: () => dialog.remove() },
    h("h2", {}, title(entry)),
    h(
      "div",
      { class: "row" },
      h("label", { class: "grow" }, "Search by name", search),
      globs.length ? h("label", {}, all, ` All, not only ${globs.join(", ")}`) : null,
      h("label", {}, everywhere, " In all projects"),
    ),
    suggested.length ? [h("h3", {}, "Suggested"), h("div", { class: "choices" }, suggested.map(row))] : null,
    list,
    h(
      "p",
      { class: "row" },
      className === "file" ? uploadButton("Upload from this computer ...", send) : null,
      h("span", { class: "grow" }),
      button(isMany ? "Done" : "Cancel", () => dialog.close()),
    ),
  );
  if (className === "file") takeDrops(dialog, send);
  for (const input of [search, all, everywhere]) input.addEventListener("input", fill);
  document.body.append(dialog);
  dialog.showModal();
  return fill();
}
