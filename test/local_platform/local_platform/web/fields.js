// The fields of a launch form: a widget for each class of input, and what it holds.

import { choose } from "./chooser.js";
import { button, h, messageOf } from "./dom.js";
import { hasReference, objectId, show } from "./links.js";

const OBJECTS = ["file", "record", "applet"];
const NUMBERS = { int: /^[+-]?\d+$/, float: /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i };

/** What is wrong with an input, in the platform's words. */
export class Mistake extends Error {}

export function isRequired(entry) {
  return !entry.optional && !("default" in entry);
}

function notOfClass(entry, why = "") {
  return new Mistake(`the input "${entry.name}" is not of class ${entry.class}${why}`);
}

/**
 * Make the field of one input.
 *
 * @param entry an entry of the inputSpec
 * @param initial the value to begin with, or undefined
 * @param context what the form's fields share: project; objects, described by ID; onChange
 * @returns entry, element; `read`, which returns the value, undefined if there is none, or throws
 *   a Mistake; and `complain`, which shows a sentence beside the field, or none
 */
export function makeField(entry, initial, context) {
  const id = `input_${entry.name}`;
  const about = { id, "aria-describedby": `${id}_help ${id}_mistake` };
  const { node, read, isGroup } = makeWidget(entry, initial, about, context);
  const mistake = h("p", { class: "mistake", id: `${id}_mistake` });
  const title = [
    entry.label ?? entry.name,
    isRequired(entry) ? h("span", { class: "required" }, " required") : null,
  ];
  const element = h(
    "div",
    isGroup ? { class: "field", role: "group", "aria-labelledby": `${id}_label` } : { class: "field" },
    h(isGroup ? "span" : "label", { class: "label", id: `${id}_label`, for: isGroup ? null : id }, title),
    h("code", { class: "name" }, `${entry.name}, ${entry.class}`),
    node,
    entry.help ? h("p", { class: "help", id: `${id}_help` }, entry.help) : null,
    mistake,
  );
  const complain = (message = "") => {
    mistake.textContent = message;
    const control = element.querySelector("input, select, textarea, button");
    control.toggleAttribute("aria-invalid", Boolean(message));
  };
  const readRequired = () => {
    const value = read();
    if (value === undefined && isRequired(entry)) {
      throw new Mistake(`the required input "${entry.name}" is missing`);
    }
    return value;
  };
  element.addEventListener("input", () => context.onChange());
  element.addEventListener("change", () => {
    complain();
    try {
      read();
    } catch (error) {
      complain(messageOf(error));
    }
  });
  return { entry, element, read: readRequired, complain };
}

function makeWidget(entry, initial, about, context) {
  const one = entry.class.replace("array:", "");
  const isMany = one !== entry.class;
  if (hasReference(initial)) return makePicker(entry, initial, about, context);
  if (entry.choices) return (isMany ? makeBoxes : makeSelect)(entry, initial, about, context);
  if (OBJECTS.includes(one)) return makePicker(entry, initial, about, context);
  if (entry.class === "boolean") return makeSwitch(entry, initial, about);
  if (one === "hash") return makeJson(entry, initial, about);
  return isMany ? makeLines(entry, initial, about) : makeText(entry, initial, about);
}

/** Return the value that a text stands for. */
function parse(text, className, entry) {
  if (className === "string") return text;
  const trimmed = text.trim();
  if (className === "boolean" && /^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === "true";
  if (!NUMBERS[className]?.test(trimmed)) throw notOfClass(entry);
  const number = Number(trimmed);
  if (className === "int" && !Number.isSafeInteger(number)) {
    throw new Mistake(`the input "${entry.name}" is too large for a browser to send it exactly`);
  }
  if (!Number.isFinite(number)) throw notOfClass(entry);
  return number;
}

function makeText(entry, initial, about) {
  const text = initial === undefined ? "" : String(initial);
  const isNumber = entry.class in NUMBERS;
  const list = entry.suggestions && !text.includes("\n") ? `${about.id}_list` : null;
  // An input cannot hold a line break, a text area has no suggestions.
  const attributes = { ...about, spellcheck: "false", autocomplete: "off", value: text };
  const control = list || isNumber
    ? h("input", { ...attributes, list, inputmode: isNumber ? "decimal" : null })
    : h("textarea", { ...attributes, rows: 1 });
  const suggestions = list &&
    h("datalist", { id: list }, entry.suggestions.map((one) => h("option", { value: one })));
  return {
    node: [control, suggestions],
    read: () => (control.value === "" ? undefined : parse(control.value, entry.class, entry)),
  };
}

function makeLines(entry, initial, about) {
  const className = entry.class.replace("array:", "");
  const control = h("textarea", { ...about, rows: 3, placeholder: "one a line", spellcheck: "false" });
  control.value = (initial ?? []).join("\n");
  return {
    node: control,
    read: () => {
      const lines = control.value.split("\n").filter((line) => line !== "");
      return lines.length ? lines.map((line) => parse(line, className, entry)) : undefined;
    },
  };
}

function makeJson(entry, initial, about) {
  const isMany = entry.class !== "hash";
  const placeholder = isMany ? '[{"key": "value"}]' : '{"key": "value"}';
  const control = h("textarea", { ...about, rows: 3, spellcheck: "false", placeholder });
  control.value = initial === undefined ? "" : JSON.stringify(initial, null, 2);
  const isHash = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  return {
    node: control,
    read: () => {
      if (control.value.trim() === "") return undefined;
      let value;
      try {
        value = JSON.parse(control.value);
      } catch (error) {
        throw notOfClass(entry, `: it is not JSON (${messageOf(error)})`);
      }
      if (!(isMany ? Array.isArray(value) && value.every(isHash) : isHash(value))) throw notOfClass(entry);
      return isMany && value.length === 0 ? undefined : value;
    },
  };
}

/** Make two buttons for a boolean, and a third for none where it may be left out. */
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

function textOf(choice, { objects }) {
  const id = objectId(choice);
  if (id) return objects.get(id)?.name ?? id;
  return typeof choice === "string" ? choice : JSON.stringify(choice);
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

function makeSelect(entry, initial, about, context) {
  const choices = entry.choices.map((choice, n) =>
    h("option", { value: n, selected: same(choice, initial) }, textOf(choice, context))
  );
  const none = "default" in entry ? null : h("option", { value: "" }, isRequired(entry) ? "Choose ..." : "");
  const control = h("select", about, none, choices);
  return {
    node: control,
    read: () => (control.value === "" ? undefined : entry.choices[control.value]),
  };
}

function makeBoxes(entry, initial, _about, context) {
  const boxes = entry.choices.map((choice) =>
    h("input", { type: "checkbox", checked: (initial ?? []).some((one) => same(one, choice)) })
  );
  const labels = boxes.map((box, n) => h("label", {}, box, ` ${textOf(entry.choices[n], context)}`));
  return {
    isGroup: true,
    node: h("div", { class: "options" }, labels),
    read: () => {
      const chosen = entry.choices.filter((_, n) => boxes[n].checked);
      return chosen.length ? chosen : undefined;
    },
  };
}

/** Make a list of links with a button to choose more; it also keeps references to jobs' outputs. */
function makePicker(entry, initial, about, context) {
  const isMany = entry.class.startsWith("array:");
  let items = initial === undefined ? [] : isMany && Array.isArray(initial) ? initial : [initial];
  const list = h("ul", { class: "plain" });
  const canChoose = OBJECTS.includes(entry.class.replace("array:", ""));
  const open = button(
    isMany ? "Add ..." : "Choose ...",
    () =>
      choose(entry, context.project, context.objects, (one) => {
        context.objects.set(one.id, one);
        change(isMany ? [...items, { $dnanexus_link: one.id }] : [{ $dnanexus_link: one.id }]);
      }),
  );
  const node = h("div", { class: "picker", id: about.id }, list, canChoose ? open : null);
  open.setAttribute("aria-describedby", about["aria-describedby"]);

  function draw() {
    const rows = items.map((item, n) => {
      const remove = button("Remove", () => {
        change(items.toSpliced(n, 1));
        open.focus();
      });
      return h("li", { class: "row" }, show(item, context.objects), remove);
    });
    list.replaceChildren(...rows);
  }

  function change(to) {
    items = to;
    draw();
    node.dispatchEvent(new Event("input", { bubbles: true }));
    node.dispatchEvent(new Event("change", { bubbles: true }));
  }
  draw();
  return {
    isGroup: true,
    node,
    read: () => (items.length === 0 ? undefined : isMany && Array.isArray(initial ?? []) ? items : items[0]),
  };
}
