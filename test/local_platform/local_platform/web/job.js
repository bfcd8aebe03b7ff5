// One job: its states, inputs and outputs, its subjobs, and its log beside what it made.

import { call, describeObjects, repeat } from "./api.js";
import { badge, button, clock, copyable, duration, facts, folderPlace, h, time } from "./dom.js";
import { FINAL, findJobs } from "./jobs.js";
import { fileFrame, objectIds, show } from "./links.js";
import { showLog } from "./log.js";

export async function showJob(id, { signal }) {
  const first = await call(id, "describe");
  const parts = {
    state: h("span"),
    failure: h("div"),
    facts: h("div"),
    times: h("div"),
    input: h("div"),
    output: h("div"),
    tree: h("div"),
  };
  for (const name of ["input", "tree", "times", "facts"]) parts[name].className = "later";
  const viewer = h("div");
  const view = async (file) => {
    viewer.replaceChildren(await fileFrame(file, () => viewer.replaceChildren()));
    viewer.scrollIntoView({ block: "nearest" });
  };
  const terminate = button("Terminate", async () => {
    terminate.disabled = true;
    await call(id, "terminate").finally(() => (terminate.disabled = false));
    await draw();
  });
  const again = `#/${first.executable}?project=${first.project}&again=${id}`;
  const drawn = {};

  /** Draw one part anew if what it shows has changed. */
  function redraw(name, shown, make) {
    const text = JSON.stringify(shown);
    if (drawn[name] === text) return;
    drawn[name] = text;
    parts[name].replaceChildren(...[make()].flat().filter(Boolean));
  }

  async function draw() {
    const job = await call(id, "describe");
    const [tree, objects] = await Promise.all([
      findJobs({ rootExecution: job.rootExecution }),
      describeObjects([...new Set(objectIds([job.input, job.output]))]),
    ]);
    const { state, failureMessage, failureFrom } = job;
    terminate.hidden = FINAL.includes(state) || state === "terminating";
    redraw("state", state, () => badge(state));
    redraw("failure", [failureMessage, failureFrom], () => describeFailure(job));
    redraw("facts", job.stoppedRunning, () => describeFacts(job));
    redraw("times", job.stateTransitions, () => [h("h2", {}, "States"), listStates(job)]);
    redraw("input", [job.input, objects.size], () => listValues("Inputs", job.input, objects, view));
    redraw(
      "output",
      [job.output, objects.size, state],
      () => listValues("Outputs", job.output, objects, view),
    );
    redraw("tree", tree, () => drawTree(tree, job));
    return FINAL.includes(state) ? "enough" : "";
  }

  await draw();
  repeat(draw, 1000, signal);
  return [
    h("div", { class: "row" }, h("h1", {}, first.name), parts.state),
    h(
      "p",
      { class: "row" },
      h("a", { class: "button", href: again }, "Run again with these inputs"),
      terminate,
    ),
    parts.failure,
    h(
      "div",
      { class: "columns job" },
      h("div", {}, parts.output, parts.input, parts.tree, parts.times, parts.facts),
      h("div", {}, viewer, showLog(id, signal)),
    ),
  ];
}

function describeFailure(job) {
  if (!job.failureMessage) return null;
  const from = job.failureFrom;
  return h(
    "section",
    { class: "failure", role: "alert" },
    h("h2", {}, job.failureReason),
    h("p", { class: "value" }, job.failureMessage),
    from && from.id !== job.id
      ? h("p", {}, "It began in ", h("a", { href: `#/${from.id}` }, from.name))
      : null,
  );
}

function describeFacts(job) {
  return [
    h("h2", {}, "About"),
    facts([
      ["ID", h("code", {}, job.id)],
      ["Applet", h("a", { href: `#/${job.executable}?project=${job.project}` }, job.executableName)],
      ["Entry point", job.function],
      ["Output folder", h("a", { href: folderPlace(job.project, job.folder) }, job.folder)],
      ["Machine", job.instanceType],
      ["Created", time(job.created)],
      ["Ran for", job.stoppedRunning ? duration(job.stoppedRunning - job.startedRunning) : ""],
    ]),
    copyable(`dx watch ${job.id}`, "Command"),
  ];
}

/** List the states that a job went through, when, and for how long. */
function listStates(job) {
  const states = [{ newState: "idle", setAt: job.created }, ...job.stateTransitions];
  return h(
    "ol",
    { class: "plain states" },
    states.map(({ newState, setAt }, n) => {
      const until = states[n + 1]?.setAt;
      return h(
        "li",
        {},
        badge(newState),
        h("span", {}, clock(setAt)),
        h("span", { class: "muted" }, until ? duration(until - setAt) : ""),
      );
    }),
  );
}

function listValues(title, values, objects, view) {
  const rows = Object.entries(values ?? {}).map((
    [name, value],
  ) => [h("code", {}, name), show(value, objects, view)]);
  if (rows.length === 0) return title === "Outputs" ? null : [h("h2", {}, title), h("p", {}, "None.")];
  return [h("h2", {}, title), facts(rows)];
}

/** Draw the jobs of a tree below one another, if there is more than one. */
function drawTree({ jobs, next }, current) {
  if (jobs.length < 2) return null;
  const below = (parent) => {
    const children = jobs.filter((job) => job.parentJob === parent).reverse();
    if (children.length === 0) return null;
    return h(
      "ul",
      { class: "tree" },
      children.map((job) => {
        const mark = job.id === current.id ? { "aria-current": "page" } : {};
        return h(
          "li",
          {},
          h("a", { href: `#/${job.id}`, ...mark }, job.name),
          " ",
          badge(job.state),
          below(job.id),
        );
      }),
    );
  };
  return [h("h2", {}, "Subjobs"), below(null), next ? h("p", {}, "There are more than 1,000.") : null];
}
