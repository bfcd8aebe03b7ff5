// A job's log as it grows: warnings counted, the end followed unless the reader scrolls up.

import { openLog } from "./api.js";
import { button, clock, h } from "./dom.js";

const MOST_LINES = 10_000;
// As programs write them: "WARNING: ...", "Warning, ...", "[W::hts_idx_load] ...".
const WARNING = /^\s*(warning\b|\[W::)/i;

/** @typedef {{timestamp: number, source: string, level: string, msg: string}} Frame a line of a log */

/**
 * @param {string} id
 * @param {AbortSignal} signal
 */
export function showLog(id, signal) {
  const lines = h("div", {
    class: "lines",
    role: "log",
    tabindex: 0,
    "aria-label": "Log",
    "aria-live": "off",
  });
  const state = h("span", { class: "muted" }, "connecting ...");
  const dropped = h(
    "p",
    { class: "muted", hidden: true },
    `Earlier lines are not shown; dx watch ${id} prints all.`,
  );
  const search = h("input", { type: "search", placeholder: "Find in log", "aria-label": "Find in log" });
  const count = h("span", { class: "muted", role: "status" });
  const toEnd = button("To the end", () => (lines.scrollTop = lines.scrollHeight), { hidden: true });
  /** @type {Set<string>} */
  const warnings = new Set();
  const toWarning = button("", showNextWarning, { class: "warnings", hidden: true });
  let seen = 0;
  /** @type {Frame[]} */
  let waiting = [];
  /** @type {any[]} */
  let hits = [];
  /** @type {any} */
  let current = null;

  function isAtEnd() {
    return lines.scrollHeight - lines.scrollTop - lines.clientHeight < 8;
  }

  /** Put what has come since the last time onto the page, all at once. */
  function flush() {
    const follow = isAtEnd();
    const made = waiting.map(makeLine);
    for (const { msg } of waiting.filter(isWarning)) warnings.add(msg);
    toWarning.hidden = warnings.size === 0;
    toWarning.textContent = warnings.size === 1 ? "1 warning" : `${warnings.size} warnings`;
    waiting = [];
    lines.append(...made);
    for (let extra = lines.childElementCount - MOST_LINES; extra > 0; extra--) {
      lines.firstChild.remove();
      dropped.hidden = false;
    }
    if (search.value) find();
    if (follow) lines.scrollTop = lines.scrollHeight;
  }

  function connect() {
    let position = 0;
    let isComplete = false;
    const close = openLog(
      id,
      (frame) => {
        if (frame.msg === "END_LOG" && frame.source === "SYSTEM") {
          isComplete = true;
          return close();
        }
        // After a break the log comes again from its start.
        if (position++ < seen) return;
        seen = position;
        if (waiting.push(frame) === 1) setTimeout(flush, 50);
        state.textContent = "live";
      },
      ({ code, reason }) => {
        signal.removeEventListener("abort", close);
        if (signal.aborted) return;
        flush();
        if (isComplete) state.textContent = "complete";
        else if (code === 1008) state.textContent = JSON.parse(reason).message;
        else {
          state.textContent = "interrupted, trying again ...";
          setTimeout(connect, 1000);
        }
      },
    );
    signal.addEventListener("abort", close);
  }

  function find() {
    const text = search.value.toLowerCase();
    for (const hit of hits) hit.classList.remove("hit", "current");
    hits = text
      ? [...lines.children].filter((line) => line.lastChild.textContent.toLowerCase().includes(text))
      : [];
    for (const hit of hits) hit.classList.add("hit");
    if (!hits.includes(current)) current = hits[0] ?? null;
    current?.classList.add("current");
    count.textContent = text ? `${hits.indexOf(current) + 1} of ${hits.length}` : "";
  }

  /** @param {number} step */
  function goTo(step) {
    if (hits.length === 0) return;
    current = hits.at((hits.indexOf(current) + step) % hits.length);
    find();
    lines.scrollTop = current.offsetTop - lines.clientHeight / 2;
  }

  /** Scroll to the first warning below what is at the top, or to the first of all. */
  function showNextWarning() {
    const all = [...lines.querySelectorAll(".warning")];
    const next = all.find((line) => line.offsetTop > lines.scrollTop + 1) ?? all[0];
    lines.scrollTop = next.offsetTop;
  }

  search.addEventListener("input", () => {
    find();
    goTo(0);
  });
  search.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter") goTo(event.shiftKey ? -1 : 1);
  });
  lines.addEventListener("scroll", () => (toEnd.hidden = isAtEnd()));
  connect();
  return h(
    "section",
    { class: "log", "aria-label": "Log of the job" },
    h(
      "div",
      { class: "row" },
      h("h2", {}, "Log"),
      state,
      toWarning,
      h("span", { class: "grow" }),
      search,
      count,
      toEnd,
    ),
    dropped,
    lines,
  );
}

/** @param {Frame} frame */
function isWarning({ level, msg }) {
  return level === "WARNING" || WARNING.test(msg);
}

/** @param {Frame} frame */
function makeLine(frame) {
  return h(
    "div",
    { class: `line ${frame.level}${isWarning(frame) ? " warning" : ""}` },
    h("time", {}, clock(frame.timestamp)),
    h("span", { class: "level" }, isWarning(frame) ? "WARNING" : frame.level),
    h("span", {}, frame.msg),
  );
}
