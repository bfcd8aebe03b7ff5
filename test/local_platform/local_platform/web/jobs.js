// The list of jobs and analyses, which is live.

import { call, describeObjects, repeat } from "./api.js";
import { badge, button, duration, folderPlace, h, time } from "./dom.js";
import { objectIds } from "./links.js";

export const FINAL = ["done", "failed", "terminated"];
const PAGE = 50;
const MOST = 1000;
const NAMES = ["name", "state", "created", "executableName", "project", "startedRunning", "stoppedRunning"];
const TREE = ["parentJob", "parentAnalysis", "stage"];
const FIELDS = Object.fromEntries([...NAMES, ...TREE, "runInput"].map((field) => [field, true]));

/**
 * @typedef {{id: string, name: string, state: string, created: number, executableName: string,
 *   project: string, parentJob: string | null, parentAnalysis: string | null, stage: string | null,
 *   runInput: Record<string, unknown>, startedRunning?: number, stoppedRunning?: number}} Job a job
 *   or an analysis as it is described in a list
 */

/**
 * Return the descriptions of jobs and analyses, newest first.
 * @param {Record<string, unknown>} query
 * @returns {Promise<{jobs: Job[], next: unknown}>}
 */
export async function findJobs(query) {
  const { results, next } = await call("system", "findExecutions", {
    ...query,
    describe: { fields: FIELDS },
  });
  return { jobs: results.map((/** @type {any} */ { describe }) => describe), next };
}

/** @param {{signal: AbortSignal}} place */
export async function showJobs({ signal }) {
  const body = h("tbody");
  const rows = new Map();
  const names = makeNames();
  const none = h("p", {}, "No job has run yet. Open a project and choose an applet or a workflow.");
  let limit = PAGE;
  const more = button("Show more", () => {
    limit = Math.min(limit * 2, MOST);
    draw();
  });

  async function draw() {
    const { jobs, next } = await findJobs({ includeSubjobs: false, parentAnalysis: null, limit });
    await names.learn(jobs);
    jobs.forEach((job, n) => {
      const text = JSON.stringify(job);
      const row = rows.get(job.id) ?? h("tr");
      if (row.dataset.text !== text) {
        const hadFocus = row.contains(document.activeElement);
        row.replaceChildren(...cells(job, names));
        row.dataset.text = text;
        if (hadFocus) row.querySelector("a").focus();
      }
      rows.set(job.id, row);
      if (body.children[n] !== row) body.insertBefore(row, body.children[n] ?? null);
    });
    none.hidden = jobs.length > 0;
    table.hidden = jobs.length === 0;
    more.hidden = !next || limit === MOST;
  }

  const titles = ["Job", "State", "Inputs", "Project", "Created", "Ran for"];
  const heads = titles.map((title) => h("th", { scope: "col" }, title));
  const table = h("table", { class: "list" }, h("thead", {}, h("tr", {}, heads)), body);
  await draw();
  repeat(draw, 2000, signal);
  return [h("h1", {}, "Jobs"), none, table, more];
}

/** Make what knows the names of projects and of jobs' input files; each is asked for once. */
function makeNames() {
  /** @type {Map<string, string>} */
  const known = new Map();

  /** @param {Job[]} jobs */
  async function learn(jobs) {
    const unknown = (/** @type {string[]} */ ids) => [...new Set(ids)].filter((id) => !known.has(id));
    const projects = unknown(jobs.map((job) => job.project));
    const files = unknown(jobs.flatMap((job) => objectIds(job.runInput)));
    const [answer, objects] = await Promise.all([
      projects.length ? call("system", "describeProjects", { projects }) : null,
      describeObjects(files),
    ]);
    projects.forEach((id, n) => known.set(id, answer.results[n].describe?.name ?? id));
    files.forEach((id) => known.set(id, objects.get(id)?.name ?? id));
  }
  return { learn, get: (/** @type {string} */ id) => known.get(id) ?? id };
}

/** @type {(job: Job, names: ReturnType<makeNames>) => Element[]} */
function cells(job, names) {
  const ran = job.startedRunning && job.stoppedRunning ? job.stoppedRunning - job.startedRunning : null;
  const kind = job.id.startsWith("analysis-") ? badge("analysis") : null;
  return [
    h("th", { scope: "row" }, h("a", { href: `#/${job.id}` }, job.name), " ", kind),
    h("td", {}, badge(job.state)),
    h("td", { class: "inputs" }, describeInput(job.runInput, names)),
    h("td", {}, h("a", { href: folderPlace(job.project, "/") }, names.get(job.project))),
    h("td", {}, time(job.created)),
    h("td", {}, ran === null ? "" : duration(ran)),
  ];
}

/**
 * Say what tells a job from others of its applet: its first file, then what is not a file.
 * @param {Record<string, unknown>} input as it was given, without defaults
 * @param {ReturnType<makeNames>} names
 */
function describeInput(input, names) {
  const [file] = objectIds(input);
  const others = Object.entries(input).filter(([, value]) => objectIds(value).length === 0);
  const texts = others.map(([name, value]) =>
    `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`
  );
  return [
    file ? names.get(file) : null,
    texts.length ? h("small", {}, `${file ? " " : ""}${texts.join(", ")}`) : null,
  ];
}
