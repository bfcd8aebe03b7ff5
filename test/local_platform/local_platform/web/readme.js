// An applet's README, which anybody may have written: Markdown without HTML, images or own styles.

import { h } from "./dom.js";
// @ts-types="./vendor/markdown-it.d.ts"
import MarkdownIt from "./vendor/markdown-it.js";

const markdown = new MarkdownIt({ html: false });
markdown.renderer.rules.image = (/** @type {{content: string}[]} */ tokens, /** @type {number} */ n) =>
  markdown.utils.escapeHtml(tokens[n].content);
markdown.core.ruler.push("align", ({ tokens }) => {
  for (const token of tokens) {
    const style = token.attrs?.find(([name]) => name === "style");
    if (style) style.splice(0, 2, "align", style[1].replace("text-align:", ""));
  }
});
const asIs = { createHTML: (/** @type {string} */ html) => html };
// Browsers that know trusted types take HTML from here only.
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("readme", asIs);

/** Show a README: its links lead to the web, or to its own headings. @param {string} text Markdown */
export function renderReadme(text) {
  const html = markdown.render(text);
  const parsed = new DOMParser().parseFromString(policy?.createHTML(html) ?? html, "text/html");
  /** @type {Map<string, Element>} */
  const headings = new Map();
  for (const heading of parsed.querySelectorAll("h1, h2, h3, h4, h5")) {
    const level = Math.min(Number(heading.tagName[1]) + 2, 6);
    const shown = h(`h${level}`, {}, [...heading.childNodes]);
    headings.set(anchorOf(shown.textContent), shown);
    heading.replaceWith(shown);
  }
  for (const link of parsed.querySelectorAll("a")) {
    const address = link.getAttribute("href") ?? "";
    const heading = headings.get(decodeURIComponent(address.replace(/^#/, "")));
    if (address.startsWith("#") && heading) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        heading.scrollIntoView();
      });
    } else if (/^https?:/.test(address)) {
      Object.assign(link, { target: "_blank", rel: "noopener noreferrer" });
    } else {
      // What is relative lies in the applet's source, which is not here.
      link.replaceWith(...link.childNodes);
    }
  }
  for (const wide of parsed.querySelectorAll("table, pre")) {
    const frame = h("div", { class: "scroll" });
    wide.replaceWith(frame);
    frame.append(wide);
  }
  return h("div", { class: "readme" }, [...parsed.body.childNodes]);
}

/** Return the anchor that sites give a heading. @param {string} heading */
function anchorOf(heading) {
  return heading.toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-");
}
