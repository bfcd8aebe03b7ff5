// The `dx run` line that does what the form does, quoted for a shell.

import { copyable } from "./dom.js";
import { objectId, reference } from "./links.js";

const PLAIN = /^[\w@%+=:,./-]+$/;

/** Quote a word for a shell. @param {string} word */
function quote(word) {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

/**
 * Make a block with a command to copy; `open` are the words that a person replaces.
 * @param {string[]} words
 * @param {string[]} open
 */
export function copyQuoted(words, open = []) {
  const text = words.map((word) => (open.includes(word) ? word : quote(word))).join(" ");
  return copyable(text, "Command");
}

/**
 * Write the command that sends this request.
 * @param {string} executable the ID of an applet or a workflow
 * @param {{input: Record<string, unknown>, name?: string}} request what its method `run` is sent
 * @param {import("./api.js").Entry[]} spec its inputs
 * @param {string} destination project and folder as dx reads them
 */
export function runCommand(executable, request, spec, destination) {
  const classes = new Map(spec.map((entry) => [entry.name, entry.class]));
  const lines = [`dx run ${quote(executable)}`];
  /** @type {Record<string, unknown>} */
  const asJson = {};
  for (const [name, value] of Object.entries(request.input)) {
    const words = inputWords(value, classes.get(name) ?? "");
    if (words) lines.push(...words.map((word) => quote(`-i${name}=${word}`)));
    else asJson[name] = value;
  }
  if (Object.keys(asJson).length) lines.push(`--input-json ${quote(JSON.stringify(asJson))}`);
  lines.push(`--destination ${quote(destination)}`);
  if (request.name) lines.push(`--name ${quote(request.name)}`);
  lines.push("-y");
  return lines.join(" \\\n  ");
}

/**
 * Return what -i is given for a value, a word for each item of an array; null if -i cannot.
 * @param {unknown} value
 * @param {string} className
 */
function inputWords(value, className) {
  const items = className.startsWith("array:") && Array.isArray(value) ? value : [value];
  const words = items.map((item) => inputWord(item, className.replace("array:", "")));
  // dx puts the references of an array before its files.
  const isMixed = items.some(reference) && !items.every(reference);
  return isMixed || words.includes(null) || items.length === 0 ? null : words;
}

/** @type {(value: any, className: string) => string | null} */
function inputWord(value, className) {
  const from = reference(value);
  if (from?.analysis) return null;
  if (from) return `${from.job}:${from.field}${"index" in from ? `.${from.index}` : ""}`;
  const id = objectId(value);
  if (id && className !== "hash") {
    const project = value.$dnanexus_link.project;
    return project ? null : id;
  }
  if (className === "hash") return JSON.stringify(value);
  // dx takes any string of this form for a reference to a job's output.
  if (typeof value === "string") return value && !/^:*job-/.test(value) ? value : null;
  return String(value);
}
