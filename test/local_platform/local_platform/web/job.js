// One job or analysis: its states, inputs and outputs, the jobs below it, and a job's log.

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
export async function showExecution(id, { signal }) {
  const first = await call(id, "describe");
  const executable = await describeIfThere(first.executable);
  const isAnalysis = first.class === "analysis";
  const names = ["state", "failure", "output", "input", "tree", "times", "facts"];
  const parts = Object.fromEntries(names.map((name) => [name, h("div")]));
  const beside = isAnalysis ? parts.tree : showLog(id, signal);
  for (const name of ["input", "tree", "times", "facts"]) {
    if (parts[name] !== beside) parts[name].className = "later";
  }
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
    const above = tree.jobs.find((one) => one.id === (job.parentJob ?? job.parentAnalysis));
    terminate.hidden = FINAL.includes(state) || state === "terminating";
    redraw("state", state, () => badge(state));
    redraw("failure", [failureMessage, failureFrom], () => describeFailure(job));
    redraw("facts", [job.stateTransitions, above?.id], () => describeFacts(job, above));
    redraw("times", job.stateTransitions, () => isAnalysis ? [] : [h("h2", {}, "States"), listStates(job)]);
    redraw("input", [job.input, objects.size], () => [
      h("h2", {}, "Inputs"),
      listValues(job.input, executable.inputSpec ?? [], objects, viewer) ?? h("p", {}, "None."),
    ]);
    redraw("output", [job.output, objects.size, state], () => {
      const outputs = listValues(
        job.output,
        executable.outputs ?? executable.outputSpec ?? [],
        objects,
        viewer,
      );
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
      h("div", {}, parts.output, parts.input, isAnalysis ? null : parts.tree, parts.times, parts.facts),
      h("div", {}, viewer.element, beside),
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
      ? h("p", {}, "The job that failed: ", h("a", { href: `#/${from.id}` }, from.name))
      : null,
  );
}

/**
 * @param {any} job
 * @param {ListedJob | undefined} above the job that started it, or the analysis it is a stage of
 */
function describeFacts(job, above) {
  const isAnalysis = job.class === "analysis";
  return [
    h("h2", {}, "About"),
    facts([
      ["ID", h("code", {}, job.id)],
      [job.parentJob ? "Started by" : "Stage of", above ? h("a", { href: `#/${above.id}` }, above.name) : ""],
      [
        isAnalysis ? "Workflow" : "Applet",
        h("a", { href: `#/${job.executable}?project=${job.project}` }, job.executableName),
      ],
      ["Entry point", job.function],
      ["Output folder", h("a", { href: folderPlace(job.project, job.folder) }, job.folder)],
      ["Machine", job.instanceType],
      ["Created", time(job.created)],
      ["Ended", isAnalysis && job.stateTransitions.length ? time(job.stateTransitions[0].setAt) : ""],
      ["Ran for", job.stoppedRunning ? duration(job.stoppedRunning - job.startedRunning) : ""],
    ]),
    copyable(`dx ${isAnalysis ? "describe" : "watch"} ${job.id}`, "Command"),
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
function listValues(values, spec, objects, viewer) {
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
 * Draw the jobs below a job or an analysis, each above those it has started itself; nothing if there are none.
 * @param {{jobs: ListedJob[], next: unknown}} tree
 * @param {{id: string, class: string}} current
 */
function drawTree({ jobs, next }, current) {
  /** @type {(parent: string) => Element | null} */
  const below = (parent) => {
    const children = jobs.filter((job) => (job.parentJob ?? job.parentAnalysis) === parent).reverse();
    if (children.length === 0) return null;
    const items = children.map((job) =>
      h(
        "li",
        {},
        h("a", { href: `#/${job.id}` }, job.name),
        " ",
        badge(job.state),
        job.parentAnalysis ? h("small", {}, ` ${job.stage}`) : null,
        below(job.id),
      )
    );
    return h("ul", { class: "tree" }, items);
  };
  const found = below(current.id);
  const heading = current.class === "analysis" ? "Stages" : "Subjobs";
  return found && [h("h2", {}, heading), found, next ? h("p", {}, "There are more than 1,000.") : null];
}
