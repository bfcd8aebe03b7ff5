// Projects, folders and data objects.

import { call, describeObjects, findObjects } from "./api.js";
import { copyQuoted } from "./command.js";
import { badge, baseName, button, chips, facts, folderPlace, h, size, time } from "./dom.js";
import { show } from "./links.js";
import { sortableTable } from "./tables.js";
import { takeDrops, upload, uploadButton, uploads } from "./upload.js";
import { makeViewer } from "./viewer.js";

/**
 * @typedef {import("./api.js").DataObject} DataObject
 * @typedef {import("./tables.js").Row} Row
 */

const PAGE = 500;
const EXECUTABLES = ["applet", "workflow"];
const FIELDS = ["name", "class", "size", "created", "state", "media", "tags", "properties"];
export const LISTED = { fields: Object.fromEntries([...FIELDS, "folder", "project"].map((f) => [f, true])) };

export async function showProjects() {
  const { results } = await call("system", "findProjects", { level: "VIEW", describe: true });
  const rows = results.map((/** @type {any} */ { id, describe }) => {
    const bytes = Math.round(describe.dataUsage * 2 ** 30);
    return {
      keys: [describe.name, bytes, describe.created],
      element: h(
        "tr",
        {},
        h("th", { scope: "row" }, h("a", { href: `#/${id}` }, describe.name)),
        h("td", {}, size(bytes)),
        h("td", {}, time(describe.created)),
      ),
    };
  });
  const none = [
    h("p", {}, "There is none yet. In a shell where dx talks to this platform:"),
    copyQuoted(["dx", "new", "project", "--select", "trial"]),
  ];
  return [
    h("h1", {}, "Projects"),
    ...(rows.length ? [sortableTable(["Name", "Size", "Created"], [rows], "list")] : none),
  ];
}

/**
 * Show a folder: its folders, applets and workflows, and other objects, newest first.
 * @param {string} project
 * @param {string | undefined} folder
 * @param {{signal: AbortSignal}} place
 */
export async function showFolder(project, folder, { signal }) {
  const path = (folder ?? "/").replace(/(.)\/$/, "$1");
  const description = await call(project, "describe");
  const list = h("div");
  const search = h("input", { type: "search", placeholder: "Name contains ..." });
  const viewer = makeViewer();
  const order = { column: -1, descending: false };
  let most = PAGE;
  let asked = 0;

  async function fill() {
    const number = ++asked;
    const text = search.value.trim();
    const query = {
      scope: { project, folder: path, recurse: Boolean(text) },
      describe: LISTED,
      ...(text && { name: { regexp: text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"), flags: "i" } }),
    };
    const [executables, { found, next }, { folders }] = await Promise.all([
      findObjects({ ...query, class: EXECUTABLES }, PAGE),
      findObjects(query, most),
      call(project, "listFolder", { folder: path, only: "folders" }),
    ]);
    if (number !== asked || signal.aborted) return;
    const matching = folders.filter((/** @type {string} */ one) =>
      baseName(one).toLowerCase().includes(text.toLowerCase())
    );
    const makeRow = (/** @type {DataObject} */ one) =>
      objectRow(one, viewer, text !== "" && one.folder !== path);
    const groups = [
      matching.slice(0, PAGE).map((/** @type {string} */ one) => folderRow(project, one)),
      executables.found.map(makeRow),
      found.filter((one) => !EXECUTABLES.includes(one.class)).map(makeRow),
    ];
    const titles = ["Name", "Size", "Created", ""];
    const isEmpty = groups.every((rows) => rows.length === 0);
    const none = h("p", {}, text ? "Nothing here has such a name." : "This folder is empty.");
    list.replaceChildren(isEmpty ? none : sortableTable(titles, groups, "list", order));
    if (!next) return;
    const more = button("Show more", () => {
      most += PAGE;
      fill();
    });
    list.append(h("p", { class: "row" }, more, `The newest ${most.toLocaleString("en")} are shown.`));
  }

  const send = (/** @type {File[]} */ files) => files.forEach((file) => upload(file, project, path));
  search.addEventListener("input", fill);
  uploads.addEventListener("end", fill, { signal });
  await fill();
  const view = h(
    "div",
    {},
    breadcrumbs(project, path, description.name),
    h(
      "div",
      { class: "row" },
      h("h1", { class: "grow" }, baseName(path) || description.name),
      h("span", { class: "muted drops" }, "Drop files here, or"),
      uploadButton("Upload files ...", send),
    ),
    h("label", {}, "Search in this folder and below", search),
    viewer.element,
    list,
    h(
      "details",
      {},
      h("summary", {}, "Upload from a shell"),
      h("p", {}, "In a shell where dx talks to this platform:"),
      copyQuoted(["dx", "upload", "FILE ...", "--path", destination(project, path, "/")], ["FILE ..."]),
    ),
  );
  takeDrops(view, send);
  return [view];
}

/**
 * Write a folder as dx reads it; `end` tells it from a file of the same name.
 * @param {string} project
 * @param {string} folder
 * @param {string} end
 */
export function destination(project, folder, end = "") {
  const escaped = folder.replaceAll("\\", "\\\\").replace(/[#?*: ;&`"'!$(){[<>|~]/g, "\\$&");
  return `${project}:${escaped}${escaped.endsWith("/") ? "" : end}`;
}

/** @type {(project: string, path: string, name: string) => Element} */
function breadcrumbs(project, path, name) {
  const parts = path === "/" ? [] : path.slice(1).split("/");
  const above = [["#/", "Projects"], ...(parts.length ? [[`#/${project}`, name]] : [])];
  parts.slice(0, -1).forEach((part, n) => {
    above.push([folderPlace(project, `/${parts.slice(0, n + 1).join("/")}`), part]);
  });
  const links = above.map(([href, text]) => [h("a", { href }, text), " / "]);
  return h("nav", { class: "crumbs", "aria-label": "Above this folder" }, links);
}

/** @type {(project: string, path: string) => Row} */
function folderRow(project, path) {
  const link = h("a", { href: folderPlace(project, path) }, `${baseName(path)}/`);
  return {
    keys: [baseName(path), null, null],
    element: h("tr", {}, h("th", { scope: "row" }, link), h("td"), h("td"), h("td")),
  };
}

/** @type {(one: DataObject, viewer: ReturnType<makeViewer>, withFolder: boolean) => Row} */
function objectRow(one, viewer, withFolder) {
  const isExecutable = EXECUTABLES.includes(one.class);
  const place = `#/${one.id}${isExecutable ? `?project=${one.project}` : ""}`;
  const name = [
    h("a", { href: place }, one.name),
    isExecutable ? badge(one.class) : one.state === "closed" ? null : badge(one.state),
    withFolder ? h("span", { class: "muted" }, `in ${one.folder}`) : null,
    chips(one.tags),
  ].filter(Boolean);
  const actions = isExecutable ? h("a", { class: "button", href: place }, "Launch") : viewer.buttons(one);
  return {
    keys: [one.name, one.size ?? null, one.created],
    element: h(
      "tr",
      {},
      h("th", { scope: "row" }, name.flatMap((part) => [part, " "])),
      h("td", {}, size(one.size)),
      h("td", {}, time(one.created)),
      h("td", { class: "actions" }, actions),
    ),
  };
}

/** Show a file or a record: all that is known of it. @param {string} id */
export async function showObject(id) {
  const one = await call(id, "describe", { properties: true, details: true });
  const viewer = makeViewer();
  const isEmpty = Object.keys(one.details).length === 0;
  const linked = await describeObjects(one.links);
  const exact = one.size >= 1024 ? ` (${one.size.toLocaleString("en")} bytes)` : "";
  const { job, user } = one.createdBy;
  const properties = Object.entries(one.properties);
  const links = one.links.map((/** @type {string} */ link) => ({ $dnanexus_link: link }));
  return [
    h("h1", {}, one.name),
    h("p", { class: "row" }, viewer.buttons(one)),
    facts([
      ["ID", h("code", {}, one.id)],
      ["Folder", h("a", { href: folderPlace(one.project, one.folder) }, one.folder)],
      ["Size", `${size(one.size)}${exact}`],
      ["State", one.state],
      ["Media type", one.media],
      ["Created", time(one.created)],
      ["Made by", job ? h("a", { href: `#/${job}` }, job) : user],
      ["Types", one.types.join(", ")],
      ["Tags", chips(one.tags)],
      ["Properties", properties.length ? facts(properties) : ""],
      ["Details", isEmpty ? "" : h("pre", {}, JSON.stringify(one.details, null, 2))],
      ["Links", links.length ? show(links, linked) : ""],
    ]),
    viewer.element,
  ];
}
