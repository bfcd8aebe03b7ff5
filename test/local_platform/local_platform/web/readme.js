// An applet's README, which anybody may have written: Markdown without HTML, images or own styles.

import { h } from "./dom.js";
// @ts-types="./vendor/markdown-it.d.ts"
import MarkdownIt from "./vendor/markdown-it.js";

const markdown = new MarkdownIt({ html: false });
markdown.renderer.rules.image = (tokens, n) => markdown.utils.escapeHtml(tokens[n].content);
markdown.core.ruler.push("align", ({ tokens }) => {
  for (const token of tokens) {
    const style = token.attrs?.find(([name]) => name === "style");
    if (style) style.splice(0, 2, "align", style[1].replace("text-align:", ""));
  }
});
// Browsers that know trusted types take HTML from here only.
const policy = globalThis.trustedTypes?.createPolicy("readme", { createHTML: (html) => html });

export function renderReadme(text) {
  const html = markdown.render(text);
  const parsed = new DOMParser().parseFromString(policy?.createHTML(html) ?? html, "text/html");
  for (const link of parsed.querySelectorAll("a")) {
    const address = link.getAttribute("href") ?? "";
    // What is relative lies in the applet's source, which is not here.
    if (!/^https?:/.test(address)) link.replaceWith(...link.childNodes);
    else Object.assign(link, { target: "_blank", rel: "noopener noreferrer" });
  }
  for (const heading of parsed.querySelectorAll("h1, h2, h3, h4, h5")) {
    const level = Math.min(Number(heading.tagName[1]) + 2, 6);
    heading.replaceWith(h(`h${level}`, {}, [...heading.childNodes]));
  }
  for (const wide of parsed.querySelectorAll("table, pre")) {
    const frame = parsed.createElement("div");
    frame.className = "scroll";
    wide.replaceWith(frame);
    frame.append(wide);
  }
  return h("div", { class: "readme" }, [...parsed.body.childNodes]);
}
