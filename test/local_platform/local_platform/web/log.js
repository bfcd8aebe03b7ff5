// A job's log as it grows: levels told apart, the end followed unless the reader scrolls up.

import { openLog } from "./api.js";
import { button, clock, h } from "./dom.js";

const MOST_LINES = 10_000;

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
    `Earlier lines are left out here; dx watch ${id} shows all.`,
  );
  const search = h("input", { type: "search", placeholder: "Find in log", "aria-label": "Find in log" });
  const count = h("span", { class: "muted", role: "status" });
  const toEnd = button("To the end", () => (lines.scrollTop = lines.scrollHeight), { hidden: true });
  let seen = 0;
  let waiting = [];
  let hits = [];
  let current = null;

  function isAtEnd() {
    return lines.scrollHeight - lines.scrollTop - lines.clientHeight < 8;
  }

  /** Put what has come since the last time onto the page, all at once. */
  function flush() {
    const follow = isAtEnd();
    const made = waiting.map(makeLine);
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

  function goTo(step) {
    if (hits.length === 0) return;
    current = hits.at((hits.indexOf(current) + step) % hits.length);
    find();
    lines.scrollTop = current.offsetTop - lines.clientHeight / 2;
  }

  search.addEventListener("input", () => {
    find();
    goTo(0);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") goTo(event.shiftKey ? -1 : 1);
  });
  lines.addEventListener("scroll", () => (toEnd.hidden = isAtEnd()));
  connect();
  return h(
    "section",
    { class: "log", "aria-label": "Log of the job" },
    h("div", { class: "row" }, h("h2", {}, "Log"), state, h("span", { class: "grow" }), search, count, toEnd),
    dropped,
    lines,
  );
}

function makeLine(frame) {
  return h(
    "div",
    { class: `line ${frame.level}` },
    h("time", {}, clock(frame.timestamp)),
    h("span", { class: "level" }, frame.level),
    h("span", {}, frame.msg),
  );
}
