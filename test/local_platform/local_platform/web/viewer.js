// Files as a browser shows them, beside their buttons.

import { fileAddress } from "./api.js";
import { button, h } from "./dom.js";
import { showValues } from "./tables.js";

const LARGEST_SHOWN = 20 * 2 ** 20;
const MOST_LINES = 1000;
const IMAGES = ["image/gif", "image/jpeg", "image/png"];

/** @typedef {import("./api.js").DataObject} DataObject */

/** Tell whether a file can be opened on this page. @param {DataObject} file */
function isShowable({ media = "", size = 0 }) {
  const isShown = media.startsWith("text/") || media === "application/json" || IMAGES.includes(media);
  return isShown && size <= LARGEST_SHOWN;
}

/** @param {string} id */
async function download(id) {
  h("a", { href: await fileAddress(id, false), download: true }).click();
}

/** Make a place in which `open` shows one file at a time; `buttons` makes those of a file. */
export function makeViewer() {
  const element = h("div");
  const close = () => element.replaceChildren();

  /** @param {DataObject} file */
  async function open(file) {
    element.replaceChildren(await frame(file, close));
    element.scrollIntoView({ block: "nearest" });
  }

  /** @param {DataObject} file */
  function buttons(file) {
    if (file.class !== "file" || file.state !== "closed") return [];
    const label = (/** @type {string} */ what) => ({ "aria-label": `${what} ${file.name}` });
    return [
      isShowable(file) ? button("Open", () => open(file), label("Open")) : null,
      button("Download", () => download(file.id), label("Download")),
    ];
  }
  return { element, buttons };
}

/**
 * Make the frame that shows a file: what a job wrote runs in an origin of its own.
 * @param {DataObject} file
 * @param {() => void} onClose
 */
async function frame(file, onClose) {
  const address = await fileAddress(file.id, true);
  const content = file.media === "text/tab-separated-values"
    ? showValues(await (await fetch(address)).text(), MOST_LINES)
    : h("iframe", { sandbox: "allow-scripts allow-downloads", title: file.name, src: address });
  return h(
    "section",
    { class: "viewer", "aria-label": file.name },
    h(
      "div",
      { class: "row" },
      h("h2", {}, file.name),
      h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, "Open in a new tab"),
      button("Close", onClose),
    ),
    content,
  );
}
