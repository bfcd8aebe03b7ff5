// Elements, and how sizes, times and links are written. What is not an element becomes text.

/**
 * Return the first element that a selector finds; there must be one.
 * @param {string} selector
 * @param {ParentNode} within
 * @returns {HTMLElement}
 */
export function find(selector, within = document) {
  const found = within.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new Error(`There is no ${selector}`);
  return found;
}

/**
 * Make an element: h("a", {href, onclick}, "text", otherElement, [more]).
 * @param {string} name
 * @param {Record<string, any>} attributes
 * @param {any[]} children what is null or undefined is left out
 * @returns {any}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value") Object.assign(element, { value });
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** @type {(text: string, onclick: () => void, attributes?: Record<string, any>) => HTMLButtonElement} */
export function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

/** Make the badge of a state. @param {string} state */
export function badge(state) {
  return h("span", { class: `badge ${state}` }, state.replaceAll("_", " "));
}

/**
 * Make a block of code with a button that copies it.
 * @param {string} text
 * @param {string} label
 */
export function copyable(text, label) {
  const code = h("code", {}, text);
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(code.textContent);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  return h("div", { class: "copyable", role: "group", "aria-label": label }, copy, h("pre", {}, code));
}

/** Return the message of what was thrown. @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** @param {number | null | undefined} bytes */
export function size(bytes) {
  if (bytes === undefined || bytes === null) return "";
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), 4);
  const unit = ["bytes", "KiB", "MiB", "GiB", "TiB"][power];
  return bytes === 1 ? "1 byte" : `${(bytes / 1024 ** power).toFixed(power && 1)} ${unit}`;
}

/** Write a moment as date and time. @param {number} milliseconds */
export function time(milliseconds) {
  const date = new Date(milliseconds);
  const pad = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${clock(milliseconds)}`;
}

/** Write a moment as the time of its day. @param {number} milliseconds */
export function clock(milliseconds) {
  return new Date(milliseconds).toTimeString().slice(0, 8);
}

/** @param {number} milliseconds */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.floor(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * Return the address of a folder in a project within this page.
 * @param {string} project
 * @param {string} folder
 */
export function folderPlace(project, folder) {
  return `#/${project}${folder.split("/").map(encodeURIComponent).join("/")}`;
}

/** Return the last part of a folder's path. @param {string} path */
export function baseName(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Make a list of terms and what they are; rows without a value are left out. @param {[any, any][]} rows */
export function facts(rows) {
  const shown = rows.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return h("dl", {}, shown.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

/**
 * Write what an input or output is called: its label, if it has one, then its name.
 * @param {{name: string, label?: string}} entry
 * @param {string} [after] what follows the name
 */
export function title({ name, label }, after = "") {
  return [label ?? null, label ? " " : null, h("code", { class: "name" }, `${name}${after}`)];
}

/**
 * Make chips of tags and of properties.
 * @param {string[]} tags
 * @param {Record<string, string>} properties
 */
export function chips(tags = [], properties = {}) {
  const texts = [...tags, ...Object.entries(properties).map(([key, value]) => `${key}: ${value}`)];
  return texts.length ? h("span", { class: "chips" }, texts.map((text) => h("span", {}, text))) : null;
}
