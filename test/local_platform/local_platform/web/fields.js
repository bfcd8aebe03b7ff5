// The fields of a launch form: a widget for each class of input, and the value it has.

import { call } from "./api.js";
import { choose, globsOf, matches } from "./chooser.js";
import { button, h, messageOf, title } from "./dom.js";
import { hasReference, objectId, show } from "./links.js";
import { takeDrops } from "./upload.js";

/**
 * @typedef {import("./api.js").Entry} Entry
 * @typedef {import("./api.js").DataObject} DataObject
 * @typedef {ReturnType<import("./upload.js").upload>} Upload
 * @typedef {{project: string, objects: Map<string, DataObject>, onChange: () => void,
 *   onFiles: (files: File[], field: Field | null) => void,
 *   onPick: (field: Field, now: DataObject | null, before: DataObject | null) => void}} Context what
 *   the fields of a form share: `objects` has what is linked to, by ID; `onFiles` is given files of
 *   this computer; `onPick` is told when the data object of a field changes
 * @typedef {{id: string, "aria-describedby": string}} About what a control says of itself
 * @typedef {{accepts: (name: string) => boolean, held: () => DataObject | "upload" | null,
 *   take: (upload: Upload) => void, set: (one: DataObject | null) => void}} Picker `accepts` tells
 *   whether a file of this name fits the patterns; `held` returns what is chosen, unless it is a list
 * @typedef {{node: any, read: () => unknown, isGroup?: boolean, picker?: Picker}} Widget
 * @typedef {{entry: Entry, element: HTMLElement, read: () => unknown, picker?: Picker,
 *   complain: (message?: string) => void, note: (message?: string) => void}} Field `read` returns
 *   the value, undefined if there is none, or throws a Mistake; `complain` shows what is wrong
 *   below the field, `note` what else there is to know
 */

const OBJECTS = ["file", "record", "applet"];
/** @type {Record<string, RegExp>} */
const NUMBERS = { int: /^[+-]?\d+$/, float: /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i };
/** @type {Record<string, string>} */
const EXPECTED = {
  int: "a whole number",
  float: "a number",
  boolean: "true or false",
  hash: 'a JSON object, such as {"key": "value"}',
  "array:hash": 'a JSON array of objects, such as [{"key": "value"}]',
};

/** An input has no value, or a wrong one; the message is a sentence for its user. */
export class Mistake extends Error {}

/** @param {Entry} entry */
export function isRequired(entry) {
  return !entry.optional && !("default" in entry);
}

/** @param {Entry} entry */
export function labelOf(entry) {
  return entry.label ?? entry.name;
}

/** @param {Entry} entry */
export function isArray(entry) {
  return entry.class.startsWith("array:");
}

/** @type {(entry: Entry, expected: string, why?: string) => Mistake} */
function wrong(entry, expected, why = "") {
  return new Mistake(`${labelOf(entry)} must be ${expected}${why}`);
}

/**
 * Make the field of one input.
 * @param {Entry} entry
 * @param {any} initial the value to begin with, or undefined
 * @param {Context} context
 * @returns {Field}
 */
export function makeField(entry, initial, context) {
  const id = `input_${entry.name}`;
  const about = { id, "aria-describedby": `${id}_help ${id}_mistake` };
  /** @type {Field} */
  const field = Object.create(null);
  const { node, read, isGroup, picker } = makeWidget(entry, initial, about, context, field);
  const mistake = h("p", { class: "mistake", id: `${id}_mistake` });
  const remark = h("p", { class: "help", role: "status" });
  const required = isRequired(entry) ? h("span", { class: "required" }, "required") : null;
  const element = h(
    "div",
    isGroup ? { class: "field", role: "group", "aria-labelledby": `${id}_label` } : { class: "field" },
    h(
      isGroup ? "span" : "label",
      { class: "label", id: `${id}_label`, for: isGroup ? null : id },
      title(entry, `, ${entry.class}`),
      " ",
      required,
    ),
    node,
    remark,
    mistake,
    entry.help ? h("p", { class: "help", id: `${id}_help` }, entry.help) : null,
  );
  const complain = (message = "") => {
    mistake.textContent = message;
    element.querySelector("input, select, textarea, button").toggleAttribute("aria-invalid", message !== "");
  };
  const readRequired = () => {
    const value = read();
    if (value === undefined && isRequired(entry)) throw new Mistake(`${labelOf(entry)} is required`);
    return value;
  };
  const check = () => {
    let message = "";
    let value;
    try {
      value = read();
    } catch (error) {
      message = messageOf(error);
    }
    complain(message);
    if (required) required.hidden = value !== undefined || message !== "";
  };
  element.addEventListener("input", () => {
    check();
    context.onChange();
  });
  if (required) required.hidden = initial !== undefined;
  const note = (message = "") => (remark.textContent = message);
  return Object.assign(field, { entry, element, read: readRequired, complain, note, picker });
}

/** @type {(entry: Entry, initial: any, about: About, context: Context, field: Field) => Widget} */
function makeWidget(entry, initial, about, context, field) {
  const one = entry.class.replace("array:", "");
  if (hasReference(initial)) return makePicker(entry, initial, about, context, field);
  if (entry.choices) return (isArray(entry) ? makeBoxes : makeSelect)(entry, initial, about, context);
  if (OBJECTS.includes(one)) return makePicker(entry, initial, about, context, field);
  if (entry.class === "boolean") return makeSwitch(entry, initial, about);
  if (one === "hash") return makeJson(entry, initial, about);
  return isArray(entry) ? makeLines(entry, initial, about) : makeText(entry, initial, about);
}

/**
 * Return the value that a text stands for.
 * @param {string} text
 * @param {Entry} entry
 * @param {string} className
 */
function parse(text, entry, className) {
  if (className === "string") return text;
  const trimmed = text.trim();
  if (className === "boolean" && /^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === "true";
  const number = Number(trimmed);
  if (!NUMBERS[className]?.test(trimmed) || !Number.isFinite(number)) {
    throw isArray(entry)
      ? new Mistake(`Each line of ${labelOf(entry)} must be ${EXPECTED[className]}`)
      : wrong(entry, EXPECTED[className]);
  }
  if (className === "int" && !Number.isSafeInteger(number)) {
    throw new Mistake(`${labelOf(entry)} is too large: a browser cannot send it exactly`);
  }
  return number;
}

/** @type {(entry: Entry, initial: any, about: About) => Widget} */
function makeText(entry, initial, about) {
  const text = initial === undefined ? "" : String(initial);
  const isNumber = entry.class in NUMBERS;
  const list = entry.suggestions ? `${about.id}_list` : null;
  const attributes = { ...about, spellcheck: "false", autocomplete: "off" };
  const makeArea = (/** @type {string} */ value) => h("textarea", { ...attributes, rows: 3, value });
  const makeInput = () =>
    h("input", { ...attributes, list, inputmode: isNumber ? "decimal" : null, value: text });
  let control = text.includes("\n") ? makeArea(text) : makeInput();
  // An input has one line and would drop the line breaks of what is pasted.
  control.addEventListener("paste", (/** @type {ClipboardEvent} */ event) => {
    const pasted = event.clipboardData?.getData("text") ?? "";
    if (
      !control.list && control.matches("input") && entry.class === "string" && pasted.trim().includes("\n")
    ) {
      event.preventDefault();
      const { value, selectionStart: start, selectionEnd: end } = control;
      const area = makeArea(value.slice(0, start) + pasted + value.slice(end));
      control.replaceWith(area);
      control = area;
      control.focus();
      control.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });
  const options = entry.suggestions?.map((one) => h("option", { value: one }));
  return {
    node: [control, list && h("datalist", { id: list }, options)],
    read: () => (control.value === "" ? undefined : parse(control.value, entry, entry.class)),
  };
}

/** @type {(entry: Entry, initial: any, about: About) => Widget} */
function makeLines(entry, initial, about) {
  const className = entry.class.replace("array:", "");
  const control = h("textarea", { ...about, rows: 3, placeholder: "one per line", spellcheck: "false" });
  control.value = (initial ?? []).join("\n");
  return {
    node: control,
    read: () => {
      const lines = control.value.split("\n").filter((/** @type {string} */ line) => line !== "");
      return lines.length
        ? lines.map((/** @type {string} */ line) => parse(line, entry, className))
        : undefined;
    },
  };
}

/** @type {(entry: Entry, initial: any, about: About) => Widget} */
function makeJson(entry, initial, about) {
  const control = h("textarea", { ...about, rows: 3, spellcheck: "false" });
  control.value = initial === undefined ? "" : JSON.stringify(initial, null, 2);
  const isHash = (/** @type {unknown} */ value) =>
    value !== null && typeof value === "object" && !Array.isArray(value);
  return {
    node: control,
    read: () => {
      if (control.value.trim() === "") return undefined;
      let value;
      try {
        value = JSON.parse(control.value);
      } catch (error) {
        throw wrong(entry, EXPECTED[entry.class], ` (${messageOf(error)})`);
      }
      const isRight = isArray(entry) ? Array.isArray(value) && value.every(isHash) : isHash(value);
      if (!isRight) throw wrong(entry, EXPECTED[entry.class]);
      return isArray(entry) && value.length === 0 ? undefined : value;
    },
  };
}

/**
 * Make two buttons for a boolean, and a third for none if it is optional.
 * @type {(entry: Entry, initial: any, about: About) => Widget}
 */
function makeSwitch(entry, initial, about) {
  const states = [true, false, ...(isRequired(entry) || "default" in entry ? [] : [undefined])];
  const options = states.map((state) => {
    const radio = h("input", { type: "radio", name: about.id, checked: state === initial });
    return { state, radio, label: h("label", {}, radio, state === undefined ? " not given" : ` ${state}`) };
  });
  return {
    isGroup: true,
    node: h("div", { class: "options" }, options.map(({ label }) => label)),
    read: () => options.find(({ radio }) => radio.checked)?.state,
  };
}

/** @type {(choice: unknown, context: Context) => string} */
function textOf(choice, { objects }) {
  const id = objectId(choice);
  if (id) return objects.get(id)?.name ?? id;
  return typeof choice === "string" ? choice : JSON.stringify(choice);
}

/** @type {(one: unknown, other: unknown) => boolean} */
function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** @type {(entry: Entry, initial: any, about: About, context: Context) => Widget} */
function makeSelect(entry, initial, about, context) {
  const choices = entry.choices ?? [];
  const options = choices.map((choice, n) =>
    h("option", { value: n, selected: same(choice, initial) }, textOf(choice, context))
  );
  const none = "default" in entry ? null : h("option", { value: "" }, isRequired(entry) ? "Choose ..." : "");
  const control = h("select", about, none, options);
  return {
    node: control,
    read: () => (control.value === "" ? undefined : choices[control.value]),
  };
}

/** @type {(entry: Entry, initial: any, about: About, context: Context) => Widget} */
function makeBoxes(entry, initial, _about, context) {
  const choices = entry.choices ?? [];
  const boxes = choices.map((choice) =>
    h("input", {
      type: "checkbox",
      checked: (initial ?? []).some((/** @type {any} */ one) => same(one, choice)),
    })
  );
  const labels = boxes.map((box, n) => h("label", {}, box, ` ${textOf(choices[n], context)}`));
  return {
    isGroup: true,
    node: h("div", { class: "options" }, labels),
    read: () => {
      const chosen = choices.filter((_, n) => boxes[n].checked);
      return chosen.length ? chosen : undefined;
    },
  };
}

/**
 * Make a list of links with a button to choose more; it also keeps references to jobs' outputs.
 * @type {(entry: Entry, initial: any, about: About, context: Context, field: Field) => Widget}
 */
function makePicker(entry, initial, about, context, field) {
  const { objects, onFiles, onPick } = context;
  const isList = isArray(entry) && Array.isArray(initial ?? []);
  /** @type {any[]} links, references and uploads */
  let items = initial === undefined ? [] : isList ? initial : [initial];
  const className = entry.class.replace("array:", "");
  const takeFiles = (/** @type {File[]} */ files) => onFiles(files, field);
  const open = button(isList ? "Add ..." : "Choose ...", () => choose(entry, context, add, takeFiles), {
    "aria-describedby": about["aria-describedby"],
  });
  const list = h("ul", { class: "plain" });
  const hint = h("span", { class: "muted drops" }, "or drop a file here");
  const node = h(
    "div",
    { class: "picker", id: about.id },
    list,
    OBJECTS.includes(className) ? open : null,
    hint,
  );
  if (className === "file") takeDrops(node, takeFiles);

  function draw() {
    const rows = items.map((item) => {
      const shown = isUpload(item) ? `${item.name} is being uploaded` : show(item, objects);
      const remove = () => {
        if (isUpload(item)) item.cancel();
        else change(items.filter((one) => one !== item));
        open.focus();
      };
      return h("li", { class: "row" }, shown, button(isUpload(item) ? "Cancel" : "Remove", remove));
    });
    list.replaceChildren(...rows);
    hint.hidden = className !== "file" || items.length > 0;
  }

  /** Return the data object that is chosen, if it is the only one that can be. */
  function only() {
    const id = isList ? null : objectId(items[0]);
    return (id && objects.get(id)) || null;
  }

  /** @param {any[]} to */
  function change(to) {
    const before = only();
    items = to;
    const now = only();
    const isOdd = now !== null && !matches(entry, now.name);
    field.note(isOdd ? `${now.name} does not match ${globsOf(entry).join(", ")}.` : "");
    draw();
    node.dispatchEvent(new Event("input", { bubbles: true }));
    if (before !== now) onPick(field, now, before);
  }

  /** @param {DataObject} one */
  function add(one) {
    objects.set(one.id, one);
    const link = { $dnanexus_link: one.id };
    change(isList ? [...items, link] : [link]);
  }

  /** @param {Upload} upload */
  async function take(upload) {
    change(isList ? [...items, upload] : [upload]);
    try {
      const id = await upload.id;
      objects.set(id, await call(id, "describe"));
      change(items.map((item) => (item === upload ? { $dnanexus_link: id } : item)));
    } catch {
      // The upload's own row says why.
      change(items.filter((item) => item !== upload));
    }
  }

  draw();
  return {
    isGroup: true,
    node,
    read: () => {
      const upload = items.find(isUpload);
      if (upload) throw new Mistake(`${upload.name} is still being uploaded`);
      return items.length === 0 ? undefined : isList ? items : items[0];
    },
    picker: {
      accepts: (name) => className === "file" && matches(entry, name),
      held: () => (items.some(isUpload) ? "upload" : only()),
      take,
      set: (one) => (one ? add(one) : change([])),
    },
  };
}

/** @param {any} item */
function isUpload(item) {
  return item?.id instanceof Promise;
}
