// The list of jobs, which is live.

import { call, repeat } from "./api.js";
import { badge, button, duration, h, time } from "./dom.js";

export const FINAL = ["done", "failed", "terminated"];
const PAGE = 50;
const MOST = 1000;
const NAMES = ["name", "state", "created", "executableName", "project", "startedRunning", "stoppedRunning"];
const FIELDS = Object.fromEntries(
  [...NAMES, "parentJob", "function", "failureMessage"].map((f) => [f, true]),
);

/** Return the descriptions of jobs, newest first. */
export async function findJobs(query) {
  const { results, next } = await call("system", "findExecutions", {
    ...query,
    describe: { fields: FIELDS },
  });
  return { jobs: results.map((result) => result.describe), next };
}

export async function showJobs({ signal }) {
  const body = h("tbody");
  const rows = new Map();
  const none = h("p", {}, "No job has run yet. Open a project and choose an applet.");
  let limit = PAGE;
  const more = button("Show more", () => {
    limit = Math.min(limit * 2, MOST);
    draw();
  });

  async function draw() {
    const { jobs, next } = await findJobs({ includeSubjobs: false, limit });
    jobs.forEach((job, n) => {
      const text = JSON.stringify(job);
      const row = rows.get(job.id) ?? h("tr");
      if (row.dataset.text !== text) {
        const hadFocus = row.contains(document.activeElement);
        row.replaceChildren(...cells(job));
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

  const titles = ["Job", "State", "Applet", "Created", "Ran for"];
  const heads = titles.map((title, n) => h("th", { scope: "col", class: n > 1 ? "wide" : null }, title));
  const table = h("table", {}, h("thead", {}, h("tr", {}, heads)), body);
  await draw();
  repeat(draw, 2000, signal);
  return [h("h1", {}, "Jobs"), none, table, more];
}

function cells(job) {
  return [
    h("th", { scope: "row" }, h("a", { href: `#/${job.id}` }, job.name)),
    h("td", {}, badge(job.state)),
    h("td", { class: "wide" }, job.executableName),
    h("td", { class: "wide" }, time(job.created)),
    h("td", { class: "wide" }, job.stoppedRunning ? duration(job.stoppedRunning - job.startedRunning) : ""),
  ];
}
