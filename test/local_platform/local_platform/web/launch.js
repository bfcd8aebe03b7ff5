// The launch form, which an applet's inputSpec describes, and the `dx run` line that does the same.

import { ApiError, call, describeObjects } from "./api.js";
import { runCommand } from "./command.js";
import { copyable, facts, folderPlace, h, messageOf } from "./dom.js";
import { isRequired, makeField, Mistake } from "./fields.js";
import { destination } from "./files.js";
import { authorHints } from "./hints.js";
import { objectIds } from "./links.js";
import { renderReadme } from "./readme.js";

/** Show the form; `query` may hold project, -iNAME (an object's ID), or again (a job's ID). */
export async function showLaunch(id, { query }) {
  const again = query.get("again");
  /** @type {any[]} */
  const [applet, earlier] = await Promise.all([
    call(id, "describe", { details: true }),
    again ? call(again, "describe") : {},
  ]);
  const project = query.get("project") ?? earlier.project ?? applet.project;
  const spec = applet.inputSpec ?? [];
  const given = earlier.runInput ?? linksIn(query);
  const [objects, container] = await Promise.all([
    describeObjects([...new Set(objectIds([spec, given]))]),
    call(project, "describe", { fields: { name: true, folders: true } }),
  ]);
  const state = { project, objects, onChange: () => update() };
  const fields = spec.map((entry) => makeField(entry, given[entry.name] ?? entry.default, state));
  const folder = textField("folder", "Output folder", earlier.folder ?? "/");
  const name = textField("name", "Job name", again ? earlier.name : "", applet.title);
  const folders = h(
    "datalist",
    { id: "folders" },
    container.folders.map((path) => h("option", { value: path })),
  );
  folder.control.setAttribute("list", "folders");
  const refusal = h("p", { class: "mistake", role: "alert" });
  const submit = h("button", { class: "primary" }, "Launch");
  const missing = h("p", { class: "help" });
  const line = copyable("", "The dx run line");

  /** Return what /applet-x/run is to be sent, and the mistakes that are left, by field. */
  function compose() {
    const mistakes = new Map();
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
    if (!folder.control.value.startsWith("/")) {
      mistakes.set(folder, 'Expected the field "folder" to be an absolute path');
    }
    const request = { project, folder: folder.control.value, input };
    if (name.control.value) request.name = name.control.value;
    return { request, mistakes };
  }

  function update() {
    const { request, mistakes } = compose();
    const target = destination(project, request.folder);
    line.querySelector("code").textContent = runCommand(id, request, spec, target);
    const names = [...mistakes.keys()].map((field) => field.entry?.name ?? "folder");
    missing.textContent = names.length ? `Still to be filled in or mended: ${names.join(", ")}.` : "";
  }

  function complain(field, message) {
    field.complain(message);
    field.element.querySelector("input, select, textarea, button").focus();
  }

  async function launch(event) {
    event.preventDefault();
    refusal.textContent = "";
    const { request, mistakes } = compose();
    for (const field of [...fields, folder]) field.complain(mistakes.get(field));
    for (const [field, message] of [...mistakes].slice(0, 1)) return complain(field, message);
    submit.disabled = true;
    try {
      const job = await call(id, "run", { ...request, nonce: crypto.randomUUID() });
      location.hash = `#/${job.id}`;
    } catch (error) {
      const named = error instanceof ApiError && /(?:input|field) "(\w+)"/.exec(error.message)?.[1];
      const field = named === "folder" ? folder : fields.find(({ entry }) => entry.name === named);
      if (field) complain(field, messageOf(error));
      else refusal.textContent = messageOf(error);
    } finally {
      submit.disabled = false;
    }
  }

  const hints = authorHints(applet);
  update();
  return [
    h("h1", {}, applet.title || applet.name),
    h("p", { class: "summary" }, applet.summary),
    facts([
      ["Applet", h("code", {}, applet.name)],
      ["Project", h("a", { href: folderPlace(project, "/") }, container.name)],
      ["Machine", applet.runSpec.systemRequirements?.["*"]?.instanceType],
    ]),
    applet.description
      ? h("details", {}, h("summary", {}, "README"), renderReadme(applet.description))
      : null,
    h(
      "div",
      { class: "columns" },
      h(
        "form",
        { novalidate: true, onsubmit: launch },
        spec.length ? groupFields(fields) : h("p", {}, "This applet declares no inputs."),
        h("fieldset", {}, h("legend", {}, "Output"), folder.element, folders, name.element),
        refusal,
        h("p", { class: "row" }, submit),
      ),
      h(
        "aside",
        {},
        h("h2", {}, "The same in a shell"),
        line,
        missing,
        hints.length
          ? h(
            "details",
            {},
            h("summary", {}, `For the author: ${hints.length} to mend before publishing`),
            h("ul", {}, hints.map((hint) => h("li", {}, hint))),
          )
          : null,
      ),
    ),
  ].filter(Boolean);

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
    return { control, element, complain: (message = "") => (mistake.textContent = message) };
  }
}

/** Return the inputs that an address holds. */
function linksIn(query) {
  const inputs = [...query].filter(([key]) => key.startsWith("-i"));
  return Object.fromEntries(inputs.map(([key, id]) => [key.slice(2), { $dnanexus_link: id }]));
}

/** Put fields into their groups, in the order of first use, required ones first in each. */
function groupFields(fields) {
  /** @type {Map<string, any[]>} */
  const groups = new Map([["Inputs", []]]);
  for (const field of fields) {
    const group = field.entry.group ?? "Inputs";
    groups.set(group, [...(groups.get(group) ?? []), field]);
  }
  return [...groups].filter(([, members]) => members.length).map(([group, members]) => {
    const required = members.filter(({ entry }) => isRequired(entry));
    const others = members.filter(({ entry }) => !isRequired(entry));
    const elements = [...required, ...others].map(({ element }) => element);
    return h("fieldset", {}, h("legend", {}, group), elements);
  });
}
