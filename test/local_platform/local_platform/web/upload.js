// Files on their way from this computer into a project: in parts, one after another, in any view.

import { call, putPart, Unreachable, untilAnswered } from "./api.js";
import { button, find, h, messageOf, size } from "./dom.js";
import { md5 } from "./md5.js";

const SMALLEST_PART = 16 * 2 ** 20;
const MOST_ATTEMPTS = 5;

/** Tells "end" when an upload has ended, whether complete or not. */
export const uploads = new EventTarget();
/** @type {Promise<unknown>} */
let previous = Promise.resolve();
let unfinished = 0;
/** Removes the file that is being uploaded, for when the tab is closed. */
let leave = () => {};

/**
 * Upload a file once those before it have ended; a row at the bottom of the page shows its progress.
 * @param {File} file
 * @param {string} project
 * @param {string} folder
 * @returns {{name: string, id: Promise<string>, cancel: () => void}} `id` is the new file's; it is
 *   rejected if the upload fails or is cancelled, and then nothing of the file is left in the project
 */
export function upload(file, project, folder) {
  const { signal, cancel } = cancellable();
  const row = addRow(file, cancel);
  const sent = previous.then(() => send(file, project, folder, signal, row.advance));
  previous = sent.catch(() => {});
  unfinished++;
  /** @type {Promise<string>} */
  const id = new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
    sent.then(resolve, reject);
  });
  id.then(row.remove, (error) => (signal.aborted ? row.remove() : row.fail(messageOf(error))));
  previous.then(() => {
    unfinished--;
    uploads.dispatchEvent(new Event("end"));
  });
  return { name: file.name, id, cancel };
}

function cancellable() {
  const controller = new AbortController();
  return { signal: controller.signal, cancel: () => controller.abort(new Error("cancelled")) };
}

/**
 * Make a file in a project, send its parts, and close it; if that fails, remove it.
 * @param {File} file
 * @param {string} project
 * @param {string} folder
 * @param {AbortSignal} signal
 * @param {(sent: number) => void} advance is told how many bytes have arrived
 */
async function send(file, project, folder, signal, advance) {
  signal.throwIfAborted();
  await readable(file.slice(0, 1).arrayBuffer(), file, signal);
  const wanted = { fields: { fileUploadParameters: true } };
  const { fileUploadParameters: limits } = await call(project, "describe", wanted);
  const partSize = Math.max(SMALLEST_PART, Math.ceil(file.size / limits.maximumNumParts));
  const { id } = await call("file", "new", { project, folder, name: file.name });
  leave = () => call(project, "removeObjects", { objects: [id] }, { keepalive: true });
  try {
    // An empty file is one empty part.
    for (let from = 0, number = 1; from < file.size || number === 1; from += partSize, number++) {
      await sendPart(id, number, file, file.slice(from, from + partSize), signal);
      advance(Math.min(from + partSize, file.size));
    }
    await untilAnswered(() => call(id, "close"), signal);
  } catch (error) {
    const objects = [id];
    await untilAnswered(() => call(project, "removeObjects", { objects, force: true })).catch(() => {});
    throw error;
  } finally {
    leave = () => {};
  }
  return id;
}

/**
 * Send one part, again if the connection breaks off; the platform refuses bytes that differ.
 * @param {string} id
 * @param {number} number
 * @param {File} file
 * @param {Blob} part
 * @param {AbortSignal} signal
 */
async function sendPart(id, number, file, part, signal) {
  for (let attempt = 1;; attempt++) {
    const request = { index: number, size: part.size, md5: await readable(md5(part, signal), file, signal) };
    const { url, headers } = await untilAnswered(() => call(id, "upload", request), signal);
    try {
      return await putPart(url, headers, part, signal);
    } catch (error) {
      if (!(error instanceof Unreachable) || attempt === MOST_ATTEMPTS) throw error;
    }
  }
}

/**
 * Wait for what is read of a file, and say which file cannot be read.
 * @template T
 * @param {Promise<T>} reading
 * @param {File} file
 * @param {AbortSignal} signal
 */
async function readable(reading, file, signal) {
  try {
    return await reading;
  } catch {
    signal.throwIfAborted();
    throw new Error(`'${file.name}' cannot be read. It was changed or moved, or is a folder.`);
  }
}

/**
 * Add a row that shows how far an upload is.
 * @param {File} file
 * @param {() => void} cancel
 */
function addRow(file, cancel) {
  const progress = h("progress", { max: file.size, value: 0, "aria-label": `Upload of ${file.name}` });
  const state = h("span", { class: "muted", role: "status" });
  const close = button("Cancel", cancel, { "aria-label": `Cancel the upload of ${file.name}` });
  const row = h("div", { class: "row" }, h("span", { class: "grow" }, file.name), progress, state, close);
  find("#uploads").append(row);
  const advance = (/** @type {number} */ sent) => {
    progress.value = sent;
    state.textContent = `${size(sent)} of ${size(file.size)}`;
  };
  const fail = (/** @type {string} */ message) => {
    progress.remove();
    state.textContent = message;
    close.replaceWith(button("Close", () => row.remove()));
  };
  advance(0);
  return { advance, fail, remove: () => row.remove() };
}

/**
 * Make a button that asks for files of this computer.
 * @param {string} text
 * @param {(files: File[]) => void} onFiles
 */
export function uploadButton(text, onFiles) {
  const input = h("input", { type: "file", multiple: true, hidden: true });
  input.addEventListener("change", () => {
    onFiles([...input.files]);
    input.value = "";
  });
  return [input, button(text, () => input.click())];
}

/**
 * Take files that are dropped on an element.
 * @param {HTMLElement} element
 * @param {(files: File[]) => void} onFiles
 */
export function takeDrops(element, onFiles) {
  /** @type {(event: DragEvent, isOver: boolean) => void} */
  const mark = (event, isOver) => {
    event.preventDefault();
    event.stopPropagation();
    element.classList.toggle("drop", isOver);
  };
  element.addEventListener("dragover", (event) => mark(event, true));
  element.addEventListener("dragleave", (event) => mark(event, false));
  element.addEventListener("drop", (event) => {
    mark(event, false);
    onFiles([...(event.dataTransfer?.files ?? [])]);
  });
}

// A browser leaves the page for a file that is dropped beside what takes it.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
addEventListener("beforeunload", (event) => {
  if (unfinished) event.preventDefault();
});
addEventListener("pagehide", () => leave());
