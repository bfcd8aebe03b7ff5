// The launch form of an applet or a workflow, and the `dx run` line that does the same.

import { ApiError, call, describeObjects } from "./api.js";
import { runCommand } from "./command.js";
import { matchCompanions } from "./companions.js";
import { copyable, facts, find, folderPlace, h, messageOf } from "./dom.js";
import { isArray, isRequired, labelOf, makeField, Mistake } from "./fields.js";
import { destination } from "./files.js";
import { authorHints } from "./hints.js";
import { objectIds, stageLinks } from "./links.js";
import { renderReadme } from "./readme.js";
import { takeDrops, upload } from "./upload.js";

/**
 * @typedef {import("./api.js").DataObject} DataObject
 * @typedef {import("./api.js").Entry} Entry
 * @typedef {import("./fields.js").Field} Field
 * @typedef {{id: string, name: string | null, executable: string, accessible: boolean,
 *   input: Record<string, unknown>}} Stage
 * @typedef {{control: HTMLInputElement, element: HTMLElement, label: string,
 *   complain: (message?: string) => void}} TextField
 */

// How the platform says which input or field it refuses.
const NAMED = /(?:the )?(?:input|field) "(\w+)"/;

/**
 * Show the form; `query` may hold project, -iNAME (an object's ID), or again (the ID of a job or an
 * analysis).
 * @param {string} id
 * @param {{query: URLSearchParams}} place
 */
export async function showLaunch(id, { query }) {
  const again = query.get("again");
  /** @type {any[]} */
  const [executable, earlier] = await Promise.all([
    call(id, "describe", { details: true }),
    again ? call(again, "describe") : {},
  ]);
  const project = query.get("project") ?? earlier.project ?? executable.project;
  /** @type {Entry[]} */
  const spec = executable.inputs ?? describeLinks(executable);
  const isWorkflow = executable.class === "workflow";
  const given = earlier.runInput ?? linksIn(query);
  const [objects, container] = await Promise.all([
    describeObjects([...new Set(objectIds([spec, given]))]),
    call(project, "describe", { fields: { name: true, folders: true } }),
  ]);
  const context = {
    project,
    objects,
    onChange: () => update(),
    onFiles: (/** @type {File[]} */ files, /** @type {Field | null} */ field) => send(files, field),
    onPick: (
      /** @type {Field} */ field,
      /** @type {DataObject | null} */ now,
      /** @type {DataObject | null} */ before,
    ) => matchCompanions(fields.slice(fields.indexOf(field) + 1).filter(isBeside(field)), now, before),
  };
  const fields = spec.map((entry) => makeField(entry, given[entry.name] ?? entry.default, context));
  const folder = textField("folder", "Output folder", earlier.folder ?? executable.outputFolder ?? "/");
  const name = textField(
    "name",
    isWorkflow ? "Analysis name" : "Job name",
    again ? earlier.name : "",
    executable.title,
  );
  const folders = h(
    "datalist",
    { id: "folders" },
    container.folders.map((/** @type {string} */ path) => h("option", { value: path })),
  );
  folder.control.setAttribute("list", "folders");
  const refusal = h("p", { class: "mistake", role: "alert" });
  const submit = h("button", { class: "primary" }, "Launch");
  const missing = h("p", { class: "help" });
  const line = copyable("", "The dx run line");

  /** Return what the method `run` is to be sent, and the mistakes that are left, by field. */
  function compose() {
    /** @type {Map<Field | TextField, string>} */
    const mistakes = new Map();
    /** @type {Record<string, unknown>} */
    const input = {};
    for (const field of fields) {
      try {
        const value = field.read();
        const isDefault = JSON.stringify(value) === JSON.stringify(field.entry.default);
        if (value !== undefined && !isDefault) input[field.entry.name] = value;
      } catch (error) {
        if (!(error instanceof Mistake)) throw error;
        mistakes.set(field, error.message);
      }
    }
    if (!folder.control.value.startsWith("/")) mistakes.set(folder, "Output folder must begin with /");
    const named = name.control.value ? { name: name.control.value } : {};
    return { request: { project, folder: folder.control.value, input, ...named }, mistakes };
  }

  function update() {
    const { request, mistakes } = compose();
    const target = destination(project, request.folder);
    line.querySelector("code").textContent = runCommand(id, request, spec, target);
    missing.textContent = [...mistakes.values()].map((message) => `${message}.`).join(" ");
  }

  /** @type {(field: Field | TextField, message: string) => void} */
  function complain(field, message) {
    field.complain(message);
    find("input, select, textarea, button", field.element).focus();
  }

  /** @param {SubmitEvent} event */
  async function launch(event) {
    event.preventDefault();
    refusal.textContent = "";
    const { request, mistakes } = compose();
    for (const field of [...fields, folder]) field.complain(mistakes.get(field));
    for (const [field, message] of [...mistakes].slice(0, 1)) return complain(field, message);
    submit.disabled = true;
    try {
      const execution = await call(id, "run", { ...request, nonce: crypto.randomUUID() });
      location.hash = `#/${execution.id}`;
    } catch (error) {
      const message = messageOf(error);
      const [words, named] = (error instanceof ApiError && NAMED.exec(message)) || ["", ""];
      const field = named === "folder" ? folder : fields.find(({ entry }) => entry.name === named);
      const label = field && ("entry" in field ? labelOf(field.entry) : field.label);
      if (label) complain(field, message.replace(words, label));
      else refusal.textContent = message;
    } finally {
      submit.disabled = false;
    }
  }

  /**
   * Upload files, each for the field it was given to if its name fits there, else for one that it fits.
   * @param {File[]} files
   * @param {Field | null} target
   */
  function send(files, target) {
    refusal.textContent = "";
    const free = new Set(target ? [target, ...fields.filter(isBeside(target))] : fields);
    for (const file of files) {
      const fits = [...free].find(({ picker }) => picker?.accepts(file.name));
      const field = fits ?? (target && free.has(target) ? target : null);
      if (!field) refusal.textContent = `No input takes ${file.name}.`;
      field?.picker?.take(upload(file, project, "/"));
      if (field && !isArray(field.entry)) free.delete(field);
    }
  }

  const hints = isWorkflow ? [] : authorHints(executable);
  const form = h(
    "form",
    { novalidate: true, onsubmit: launch },
    spec.length ? groupFields(fields) : h("p", {}, `This ${executable.class} declares no inputs.`),
    h("fieldset", {}, h("legend", {}, "Output"), folder.element, folders, name.element),
    refusal,
    h("p", { class: "row" }, submit, missing),
  );
  takeDrops(form, (files) => send(files, null));
  update();
  return [
    h("h1", {}, executable.title || executable.name),
    h("p", { class: "summary" }, executable.summary),
    facts([
      [isWorkflow ? "Workflow" : "Applet", h("code", {}, executable.name)],
      ["Project", h("a", { href: folderPlace(project, "/") }, container.name)],
      ["Machine", executable.runSpec?.systemRequirements?.["*"]?.instanceType],
      ["Stages", isWorkflow ? listStages(executable.stages, project) : ""],
    ]),
    executable.description
      ? h("details", {}, h("summary", {}, "README"), renderReadme(executable.description))
      : null,
    h(
      "div",
      { class: "columns" },
      form,
      h("aside", {}, h("h2", {}, "The same in a shell"), line, hints.length ? listHints(hints) : null),
    ),
  ].filter(Boolean);

  /** @type {(key: string, label: string, value: string, placeholder?: string) => TextField} */
  function textField(key, label, value, placeholder) {
    const mistake = h("p", { class: "mistake", id: `${key}_mistake` });
    const control = h("input", {
      id: key,
      value,
      placeholder,
      autocomplete: "off",
      "aria-describedby": `${key}_mistake`,
      oninput: () => update(),
    });
    const element = h(
      "div",
      { class: "field" },
      h("label", { class: "label", for: key }, label),
      control,
      mistake,
    );
    return { control, element, label, complain: (message = "") => (mistake.textContent = message) };
  }
}

/**
 * Return the inputs of an applet, or those of a workflow's stages: by stage, and with what they are linked to.
 * @param {{inputSpec: Entry[] | null, stages?: Stage[]}} executable
 * @returns {Entry[]}
 */
function describeLinks({ inputSpec, stages = [] }) {
  const nameOf = (/** @type {string} */ id) => stages.find((stage) => stage.id === id)?.name ?? id;
  return (inputSpec ?? []).map((entry) => {
    const [stageId, name] = entry.name.split(".");
    const number = stages.findIndex(({ id }) => id === stageId);
    if (number < 0) return entry;
    const group = [`Stage ${number}: ${nameOf(stageId)}`, entry.group].filter(Boolean).join(", ");
    const links = stageLinks(stages[number].input[name]);
    if (links.length === 0) return { ...entry, group };
    const sources = links.map((link) =>
      `${link.outputField ?? link.inputField} of the stage ${nameOf(link.stage)}`
    );
    const { default: _, ...linked } = entry;
    const help = `If left empty, this is ${sources.join(" and ")}. ${entry.help ?? ""}`.trim();
    return { ...linked, group, help };
  });
}

/** Return the test for inputs of the same stage, which for an applet are all. @param {Field} field */
function isBeside(field) {
  const stageOf = (/** @type {Field} */ { entry }) => entry.name.slice(0, entry.name.indexOf(".") + 1);
  return (/** @type {Field} */ other) => stageOf(other) === stageOf(field);
}

/** @type {(stages: Stage[], project: string) => Element} */
function listStages(stages, project) {
  const items = stages.map(({ id, name, executable, accessible }, n) => {
    const text = `${n}: ${name ?? id}`;
    const link = h("a", { href: `#/${executable}?project=${project}` }, text);
    return h("li", {}, accessible ? link : `${text}, whose applet was removed`);
  });
  return h("ul", { class: "plain" }, items);
}

/** @param {string[]} hints */
function listHints(hints) {
  const summary = `For the author: ${hints.length} to fix before publishing`;
  return h("details", {}, h("summary", {}, summary), h("ul", {}, hints.map((hint) => h("li", {}, hint))));
}

/**
 * Return the inputs that an address has.
 * @param {URLSearchParams} query
 * @returns {Record<string, unknown>}
 */
function linksIn(query) {
  const inputs = [...query].filter(([key]) => key.startsWith("-i"));
  return Object.fromEntries(inputs.map(([key, id]) => [key.slice(2), { $dnanexus_link: id }]));
}

/**
 * Put fields into their groups, in the order of first use, required ones first in each.
 * @param {Field[]} fields
 */
function groupFields(fields) {
  const rank = (/** @type {Field} */ { entry }) => (isRequired(entry) ? 0 : 1);
  /** @type {Map<string, Field[]>} */
  const groups = new Map([["Inputs", []]]);
  for (const field of fields) {
    const group = field.entry.group ?? "Inputs";
    groups.set(group, [...(groups.get(group) ?? []), field]);
  }
  return [...groups].filter(([, members]) => members.length).map(([group, members]) => {
    const sorted = members.toSorted((one, other) => rank(one) - rank(other));
    return h("fieldset", {}, h("legend", {}, group), sorted.map(({ element }) => element));
  });
}
