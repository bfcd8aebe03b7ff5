// Which view an address leads to; and what is said when a view cannot be shown.

import { ApiError, connection, takeToken, Unreachable } from "./api.js";
import { find, h } from "./dom.js";
import { showFolder, showObject, showProjects } from "./files.js";
import { showExecution } from "./job.js";
import { showJobs } from "./jobs.js";
import { showLaunch } from "./launch.js";

const ID = "[0-9A-Za-z]{24}";
/** @type {[RegExp, (...parts: any[]) => Promise<Element[]>][]} */
const VIEWS = [
  [/^\/?$/, showProjects],
  [new RegExp(`^/(project-${ID})(/.*)?$`), showFolder],
  [new RegExp(`^/((?:file|record)-${ID})$`), showObject],
  [new RegExp(`^/((?:applet|workflow)-${ID})$`), showLaunch],
  [/^\/jobs$/, showJobs],
  [new RegExp(`^/((?:job|analysis)-${ID})$`), showExecution],
];
/** @type {Record<string, [string, string]>} */
const EXPLAINED = {
  InvalidAuthentication: ["Not let in", "Open the address that the platform printed when it started."],
  ResourceNotFound: ["Not here any more", "It was removed, or this is another platform's address."],
  Unreachable: ["The platform does not answer", "This page goes on by itself when it is back."],
};
const OTHER = ["This cannot be shown", ""];
const main = find("#main");
let leaving = new AbortController();
/** @type {unknown} */
let failure = null;

async function showPlace() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [path, query] = location.hash.slice(1).split("?");
  let shown;
  main.setAttribute("aria-busy", "true");
  try {
    const [pattern, view] = VIEWS.find(([one]) => one.test(path)) ?? [];
    const parts = pattern?.exec(path)?.slice(1).map((part) => part && decodeURIComponent(part));
    if (!view || !parts) throw new ApiError("ResourceNotFound", `There is no page ${path}`);
    shown = await view(...parts, { query: new URLSearchParams(query), signal });
    failure = null;
  } catch (error) {
    failure = error;
    shown = explain(error);
  }
  if (signal.aborted) return;
  main.replaceChildren(...[shown].flat());
  main.removeAttribute("aria-busy");
  const heading = find("h1", main);
  document.title = `${heading.textContent} - Local platform`;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** Say in sentences why a view cannot be shown, and what to do. @param {any} error */
function explain(error) {
  const [title, advice] = EXPLAINED[error instanceof Unreachable ? "Unreachable" : error.type] ?? OTHER;
  return h(
    "section",
    { class: "failure", role: "alert" },
    h("h1", {}, title),
    h("p", { class: "value" }, `${error.message.replace(/\.?$/, ".")} ${advice}`),
    h("p", {}, h("a", { href: "#/" }, "All projects")),
  );
}

connection.addEventListener("down", () => {
  find("#connection").textContent =
    "The platform has stopped. Start it again as before. With a folder for its state (make web STATE=folder, or" +
    " dx-local-platform --web --state folder) this page then goes on; without one, open the new address.";
});
connection.addEventListener("up", () => {
  find("#connection").textContent = "";
  if (failure instanceof Unreachable) showPlace();
});
// What a click began and the platform refused is said where it can be read.
addEventListener("unhandledrejection", (event) => {
  if (!(event.reason instanceof ApiError || event.reason instanceof Unreachable)) return;
  event.preventDefault();
  main.querySelector(".notice")?.remove();
  main.prepend(h("p", { class: "notice", role: "alert" }, event.reason.message));
});
find(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => {
  takeToken().then(showPlace);
});
takeToken().then(showPlace);
