// What an author should fix before an applet is published.

import { globsOf } from "./chooser.js";
import { isRequired } from "./fields.js";

/**
 * Return a sentence for each thing that users of the form would miss or stumble over.
 * @param {any} applet as it is described
 */
export function authorHints(applet) {
  const nameOf = (/** @type {{name: string}} */ { name }) => name;
  const hints = [];
  const spec = applet.inputSpec ?? [];
  // The platform puts the name where a title is missing.
  if (!applet.title || applet.title === applet.name) hints.push("The applet has no title of its own.");
  if (!applet.summary) hints.push("The applet has no summary.");
  if (!applet.description) hints.push("The applet has no README: dx build takes Readme.md from its folder.");
  if (!applet.inputSpec) hints.push("Without an inputSpec there is no form, and nothing is checked.");
  if (!applet.runSpec.timeoutPolicy) {
    hints.push("runSpec has no timeoutPolicy: a job that hangs runs, and costs, for 30 days.");
  }
  for (const [kind, entries] of [["input", spec], ["output", applet.outputSpec ?? []]]) {
    for (const key of ["label", "help"]) {
      const without = entries.filter((/** @type {any} */ entry) => !entry[key]);
      if (without.length) hints.push(`No ${key} for the ${kind}s: ${without.map(nameOf).join(", ")}.`);
    }
    for (const entry of entries) {
      for (const glob of globsOf(entry)) {
        if (/[\^$|()+]|\.\*|\\/.test(glob)) {
          hints.push(`The ${kind} ${entry.name} has the pattern ${glob}, which is not a glob such as *.bam.`);
        }
      }
    }
  }
  const fromOptional = spec.slice(spec.map(isRequired).concat(false).indexOf(false));
  for (const { name } of fromOptional.filter(isRequired)) {
    hints.push(`The input ${name} is required, and comes after optional ones.`);
  }
  return hints;
}
