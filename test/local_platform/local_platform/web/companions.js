// Files that belong together by their names, such as a BAM file and its index.

import { findObjects } from "./api.js";
import { globsOf, matches } from "./chooser.js";
import { isArray, isRequired } from "./fields.js";
import { LISTED } from "./files.js";

/**
 * @typedef {import("./api.js").DataObject} DataObject
 * @typedef {import("./fields.js").Field} Field
 */

/**
 * Keep optional inputs in step with a file: whatever belonged to the file before goes, and what belongs
 * to the new one is chosen if it lies beside it.
 * @param {Field[]} fields those that come after the file's own
 * @param {DataObject | null} now
 * @param {DataObject | null} before
 */
export async function matchCompanions(fields, now, before) {
  for (const { entry, picker, note } of fields) {
    if (!picker || isArray(entry) || isRequired(entry) || globsOf(entry).length === 0) continue;
    const held = picker.held();
    if (held === "upload") continue;
    const isStale = held !== null && before !== null && belongs(held, before);
    if (isStale) {
      picker.set(null);
      note(`${held.name} was removed, because it belongs to ${before.name}.`);
    }
    if (now === null || (held && !isStale)) continue;
    const found = await findCompanion(now, entry);
    if (!found || picker.held()) continue;
    picker.set(found);
    note(`Chosen because its name matches ${now.name}.`);
  }
}

/** @type {(one: DataObject, of: DataObject) => boolean} */
function belongs(one, of) {
  return one.name !== of.name && one.name.startsWith(stem(of));
}

/** @param {DataObject} file */
function stem({ name }) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? name.slice(0, dot + 1) : `${name}.`;
}

/** @type {(of: DataObject, entry: import("./api.js").Entry) => Promise<DataObject | undefined>} */
async function findCompanion(of, entry) {
  const name = { regexp: `^${stem(of).replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}` };
  const scope = { project: of.project, folder: of.folder, recurse: false };
  const query = { class: "file", state: "closed", scope, name, describe: LISTED };
  const { found } = await findObjects(query, 1, (one) => belongs(one, of) && matches(entry, one.name));
  return found.find((one) => one.name.startsWith(`${of.name}.`)) ?? found[0];
}
