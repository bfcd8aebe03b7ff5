// The dialog in which data objects are chosen for an input.

import { findObjects } from "./api.js";
import { button, h, size, time } from "./dom.js";
import { LISTED } from "./files.js";
import { objectId } from "./links.js";

const PAGE = 50;

/** Return the globs that an input's `patterns` hold. */
export function globsOf(entry) {
  const patterns = entry.patterns ?? [];
  return Array.isArray(patterns) ? patterns : (patterns.name ?? []);
}

/** Return a regular expression that says what a glob says. */
export function globToRegExp(glob) {
  const parts = glob.match(/\[!?\]?[^\]]*\]|\\.|[^]/g) ?? [];
  const translated = parts.map((part) => {
    if (part === "*") return ".*";
    if (part === "?") return ".";
    if (part.length > 2) return part.replace(/\\/g, "\\\\").replace("[!", "[^");
    return part.at(-1).replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");
  });
  return new RegExp(`^${translated.join("")}$`, "s");
}

/** Let a person choose; `onChoose` is given each object chosen, which closes all but arrays. */
export function choose(entry, project, objects, onChoose) {
  const className = entry.class.replace("array:", "");
  const isMany = className !== entry.class;
  const globs = globsOf(entry);
  const tests = globs.map(globToRegExp);
  const search = h("input", { type: "search", placeholder: "Name contains ..." });
  const all = h("input", { type: "checkbox" });
  const everywhere = h("input", { type: "checkbox" });
  const list = h("div", { class: "choices" });
  let asked = 0;

  async function fill() {
    const number = ++asked;
    const text = search.value.trim().toLowerCase();
    const isWanted = (one) =>
      one.name.toLowerCase().includes(text) &&
      (all.checked || tests.length === 0 || tests.some((test) => test.test(one.name)));
    const query = { class: className, state: "closed", describe: LISTED };
    if (!everywhere.checked) query.scope = { project, folder: "/", recurse: true };
    const { found, next } = await findObjects(query, PAGE, isWanted);
    if (number !== asked) return;
    const kind = globs.length && !all.checked ? `${className} that matches ${globs.join(", ")}` : className;
    list.replaceChildren(
      found.length ? "" : h("p", {}, `There is no ${kind}${text ? " of such a name" : ""} here.`),
      ...found.slice(0, PAGE).map((one) => row(one)),
      next || found.length > PAGE ? h("p", {}, "There are more: narrow them down by name.") : "",
    );
  }

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

  const suggested = (entry.suggestions ?? [])
    .map((one) => objects.get(objectId(one) ?? objectId(one.value)))
    .filter(Boolean);
  const dialog = h(
    "dialog",
    { "aria-label": `Choose for ${entry.label ?? entry.name}`, onclose: () => dialog.remove() },
    h("h2", {}, entry.label ?? entry.name),
    h(
      "div",
      { class: "row" },
      h("label", { class: "grow" }, "Search by name", search),
      globs.length ? h("label", {}, all, ` All, not only ${globs.join(", ")}`) : null,
      h("label", {}, everywhere, " In all projects"),
    ),
    suggested.length ? [h("h3", {}, "Suggested"), h("div", { class: "choices" }, suggested.map(row))] : null,
    list,
    h("p", { class: "row end" }, button(isMany ? "Done" : "Cancel", () => dialog.close())),
  );
  for (const input of [search, all, everywhere]) input.addEventListener("input", fill);
  document.body.append(dialog);
  dialog.showModal();
  return fill();
}
