// Projects, folders and data objects.

import { call, describeObjects, findObjects } from "./api.js";
import { copyQuoted } from "./command.js";
import { baseName, button, chips, facts, folderPlace, h, size, time } from "./dom.js";
import { fileButtons, fileFrame, show } from "./links.js";

const PAGE = 100;
const FIELDS = ["name", "class", "size", "created", "state", "media", "tags", "properties"];
export const LISTED = { fields: Object.fromEntries([...FIELDS, "folder", "project"].map((f) => [f, true])) };

export async function showProjects() {
  const { results } = await call("system", "findProjects", { level: "VIEW", describe: true });
  const rows = results.map(({ id, describe }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("a", { href: `#/${id}` }, describe.name)),
      h("td", {}, size(describe.dataUsage * 2 ** 30)),
      h("td", { class: "wide" }, time(describe.created)),
    )
  );
  return [
    h("h1", {}, "Projects"),
    results.length
      ? table(["Name", "Size", "Created"], rows)
      : h("p", {}, "There is none yet. In a shell where dx talks to this platform:"),
    results.length ? null : copyQuoted(["dx", "new", "project", "--select", "trial"]),
  ].filter(Boolean);
}

function table(titles, ...bodies) {
  const heads = titles.map((title, n) => h("th", { scope: "col", class: n > 1 ? "wide" : null }, title));
  return h("table", {}, h("thead", {}, h("tr", {}, heads)), bodies.map((rows) => h("tbody", {}, rows)));
}

/** Show a folder: those in it, and its objects, newest first, a page at a time. */
export async function showFolder(project, folder, { signal }) {
  const path = (folder ?? "/").replace(/(.)\/$/, "$1");
  const [description, { folders }] = await Promise.all([
    call(project, "describe"),
    call(project, "listFolder", { folder: path, only: "folders" }),
  ]);
  const list = h("div");
  const search = h("input", { type: "search", placeholder: "Name contains ..." });
  const viewer = h("div");
  const view = async (file) => viewer.replaceChildren(await fileFrame(file, () => viewer.replaceChildren()));
  let asked = 0;

  /** Fill the list, or put a further page below what it shows. */
  async function fill(starting) {
    const number = ++asked;
    const text = search.value.trim();
    const { found, next } = await findObjects(
      {
        scope: { project, folder: path, recurse: Boolean(text) },
        describe: LISTED,
        ...(text && { name: { regexp: text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"), flags: "i" } }),
        ...(starting && { starting }),
      },
      PAGE,
    );
    if (number !== asked || signal.aborted) return;
    const matching = folders.filter((one) => baseName(one).toLowerCase().includes(text.toLowerCase()));
    const rows = found.map((one) => objectRow(one, view, text && one.folder !== path));
    const more = next ? button("Show more", () => more.replaceWith() ?? fill(next)) : null;
    const body = list.querySelector("tbody:last-child");
    if (starting) body.append(...rows);
    else {
      const none = h("p", {}, text ? "Nothing here has such a name." : "This folder is empty.");
      const shown = matching.slice(0, 10 * PAGE).map((one) => folderRow(project, one));
      const titles = ["Name", "Size", "Created", "State", ""];
      list.replaceChildren(shown.length + rows.length ? table(titles, shown, rows) : none);
    }
    if (more) list.append(more);
  }

  search.addEventListener("input", () => fill());
  await fill();
  return [
    breadcrumbs(project, path, description.name),
    h("h1", {}, baseName(path) || description.name),
    h("div", { class: "row" }, h("label", { class: "grow" }, "Search in this folder and below", search)),
    viewer,
    list,
    h("h2", {}, "Upload"),
    h("p", {}, "In a shell where dx talks to this platform:"),
    copyQuoted(["dx", "upload", "FILE ...", "--path", destination(project, path, "/")], ["FILE ..."]),
  ];
}

/** Write a folder as dx reads it; `end` makes plain that it is none of a file's names. */
export function destination(project, folder, end = "") {
  const escaped = folder.replaceAll("\\", "\\\\").replace(/[#?*: ;&`"'!$(){[<>|~]/g, "\\$&");
  return `${project}:${escaped}${escaped.endsWith("/") ? "" : end}`;
}

function breadcrumbs(project, path, name) {
  const parts = path === "/" ? [] : path.slice(1).split("/");
  const above = [["#/", "Projects"], ...(parts.length ? [[`#/${project}`, name]] : [])];
  parts.slice(0, -1).forEach((part, n) => {
    above.push([folderPlace(project, `/${parts.slice(0, n + 1).join("/")}`), part]);
  });
  const links = above.map(([href, text]) => [h("a", { href }, text), " / "]);
  return h("nav", { class: "crumbs", "aria-label": "Above this folder" }, links);
}

function folderRow(project, path) {
  const link = h("a", { href: folderPlace(project, path) }, `${baseName(path)}/`);
  return h("tr", {}, h("th", { scope: "row" }, link), h("td"), h("td", { class: "wide", colspan: 3 }));
}

function objectRow(one, view, withFolder) {
  const isApplet = one.class === "applet";
  const place = `#/${one.id}${isApplet ? `?project=${one.project}` : ""}`;
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("a", { href: place }, one.name),
      isApplet ? h("span", { class: "badge" }, "applet") : null,
      withFolder ? h("span", { class: "muted" }, ` in ${one.folder}`) : null,
      chips(one.tags),
    ),
    h("td", {}, size(one.size)),
    h("td", { class: "wide" }, time(one.created)),
    h("td", { class: "wide" }, one.state),
    h(
      "td",
      { class: "wide actions" },
      isApplet ? h("a", { class: "button", href: place }, "Launch") : fileButtons(one, view),
    ),
  );
}

/** Show a file or a record: all that is known of it. */
export async function showObject(id) {
  const one = await call(id, "describe", { properties: true, details: true });
  const viewer = h("div");
  const view = async (file) => viewer.replaceChildren(await fileFrame(file, () => viewer.replaceChildren()));
  const isEmpty = Object.keys(one.details).length === 0;
  const linked = await describeObjects(one.links);
  return [
    h("h1", {}, one.name),
    h("p", { class: "row" }, fileButtons(one, view)),
    facts([
      ["ID", h("code", {}, one.id)],
      ["Folder", h("a", { href: folderPlace(one.project, one.folder) }, one.folder)],
      ["Size", one.size === undefined ? "" : `${size(one.size)} (${one.size.toLocaleString("en")} bytes)`],
      ["State", one.state],
      ["Media type", one.media],
      ["Created", time(one.created)],
      [
        "Made by",
        one.createdBy.job
          ? h("a", { href: `#/${one.createdBy.job}` }, one.createdBy.job)
          : one.createdBy.user,
      ],
      ["Types", one.types.join(", ")],
      ["Tags", chips(one.tags)],
      ["Properties", facts(Object.entries(one.properties))],
      ["Details", isEmpty ? "" : h("pre", {}, JSON.stringify(one.details, null, 2))],
      ["Links", one.links.length ? show(one.links.map((link) => ({ $dnanexus_link: link })), linked) : ""],
    ]),
    viewer,
  ];
}
