// One job: its states, inputs and outputs, its subjobs, and its log beside what it made.

import { ApiError, call, describeObjects, repeat } from "./api.js";
import { badge, button, clock, copyable, duration, facts, folderPlace, h, time, title } from "./dom.js";
import { FINAL, findJobs } from "./jobs.js";
import { objectIds, show } from "./links.js";
import { showLog } from "./log.js";
import { makeViewer } from "./viewer.js";

/**
 * @typedef {import("./api.js").DataObject} DataObject
 * @typedef {import("./api.js").Entry} Entry
 * @typedef {import("./jobs.js").Job} ListedJob
 */

/**
 * @param {string} id
 * @param {{signal: AbortSignal}} place
 */
export async function showJob(id, { signal }) {
  const first = await call(id, "describe");
  const executable = await describeIfThere(first.executable);
  const names = ["state", "failure", "output", "input", "tree", "times", "facts"];
  const parts = Object.fromEntries(names.map((name) => [name, h("div")]));
  for (const name of ["input", "tree", "times", "facts"]) parts[name].className = "later";
  const viewer = makeViewer();
  const terminate = button("Terminate", async () => {
    terminate.disabled = true;
    await call(id, "terminate").finally(() => (terminate.disabled = false));
    await draw();
  });
  const again = `#/${first.executable}?project=${first.project}&again=${id}`;
  /** @type {Record<string, string>} */
  const drawn = {};

  /**
   * Draw a part again if what it shows has changed.
   * @param {string} name
   * @param {unknown} shown
   * @param {() => any} make
   */
  function redraw(name, shown, make) {
    const text = JSON.stringify(shown) ?? "";
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
    const parent = tree.jobs.find((one) => one.id === job.parentJob);
    terminate.hidden = FINAL.includes(state) || state === "terminating";
    redraw("state", state, () => badge(state));
    redraw("failure", [failureMessage, failureFrom], () => describeFailure(job));
    redraw("facts", job.stoppedRunning, () => describeFacts(job, parent));
    redraw("times", job.stateTransitions, () => [h("h2", {}, "States"), listStates(job)]);
    redraw("input", [job.input, objects.size], () => [
      h("h2", {}, "Inputs"),
      listValues(job.input, executable.inputSpec, objects, viewer) ?? h("p", {}, "None."),
    ]);
    redraw("output", [job.output, objects.size, state], () => {
      const outputs = listValues(job.output, executable.outputSpec, objects, viewer);
      return outputs && [h("h2", {}, "Outputs"), outputs];
    });
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
      h("div", {}, viewer.element, showLog(id, signal)),
    ),
  ];
}

/** @param {string} executable */
async function describeIfThere(executable) {
  try {
    return await call(executable, "describe");
  } catch (error) {
    if (error instanceof ApiError) return {};
    throw error;
  }
}

/** @param {any} job */
function describeFailure(job) {
  if (!job.failureMessage) return null;
  const from = job.failureFrom;
  return h(
    "section",
    { class: "failure", role: "alert" },
    h("h2", {}, job.failureReason),
    h("p", { class: "value" }, job.failureMessage),
    from && from.id !== job.id
      ? h("p", {}, "The subjob that failed: ", h("a", { href: `#/${from.id}` }, from.name))
      : null,
  );
}

/**
 * @param {any} job
 * @param {ListedJob | undefined} parent
 */
function describeFacts(job, parent) {
  return [
    h("h2", {}, "About"),
    facts([
      ["ID", h("code", {}, job.id)],
      ["Subjob of", parent ? h("a", { href: `#/${parent.id}` }, parent.name) : ""],
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

/** List the states that a job went through, when, and for how long. @param {any} job */
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

/**
 * List inputs or outputs by their labels, as the specification orders them, but reports first.
 * @param {Record<string, unknown> | null} values
 * @param {Entry[]} spec
 * @param {Map<string, DataObject>} objects
 * @param {ReturnType<makeViewer>} viewer
 */
function listValues(values, spec = [], objects, viewer) {
  const names = [...new Set([...spec.map(({ name }) => name), ...Object.keys(values ?? {})])];
  const given = names.filter((name) => values && name in values);
  if (!values || given.length === 0) return null;
  const isReport = (/** @type {string} */ name) =>
    objectIds(values[name]).some((id) => objects.get(id)?.media === "text/html");
  const sorted = [...given.filter(isReport), ...given.filter((name) => !isReport(name))];
  return h(
    "div",
    { class: "inputs_outputs" },
    sorted.map((name) => {
      const entry = spec.find((one) => one.name === name) ?? { name };
      return h(
        "div",
        {},
        h("p", { class: "term" }, title(entry)),
        show(values[name], objects, viewer.buttons),
      );
    }),
  );
}

/**
 * Draw the jobs that a job has started, each above those it has started itself; nothing if there are none.
 * @param {{jobs: ListedJob[], next: unknown}} tree
 * @param {{id: string}} current
 */
function drawTree({ jobs, next }, current) {
  /** @type {(parent: string) => Element | null} */
  const below = (parent) => {
    const children = jobs.filter((job) => job.parentJob === parent).reverse();
    if (children.length === 0) return null;
    const items = children.map((job) =>
      h("li", {}, h("a", { href: `#/${job.id}` }, job.name), " ", badge(job.state), below(job.id))
    );
    return h("ul", { class: "tree" }, items);
  };
  const subjobs = below(current.id);
  return subjobs && [h("h2", {}, "Subjobs"), subjobs, next ? h("p", {}, "There are more than 1,000.") : null];
}
