// Tables that a person sorts by a click on a title.

import { button, h } from "./dom.js";

/**
 * @typedef {{keys: (string | number | null)[], element: HTMLElement}} Row a row of a table, and for
 *   each column by what it is sorted
 * @typedef {{column: number, descending: boolean}} Order
 */

/**
 * Make a table; whatever it is sorted by, the rows of a group stay together.
 * @param {string[]} titles of a column without a title, nothing is sorted
 * @param {Row[][]} groups
 * @param {"list" | "values"} kind on a phone, a row of a list is shown as a block
 * @param {Order} order by what the rows are sorted, which a click changes; none if column is -1
 */
export function sortableTable(titles, groups, kind, order = { column: -1, descending: false }) {
  const heads = titles.map((title, column) => {
    const sort = () => {
      Object.assign(order, { column, descending: order.column === column && !order.descending });
      draw();
    };
    return h("th", { scope: "col" }, title ? button(title, sort) : "");
  });
  const bodies = groups.map(() => h("tbody"));

  function draw() {
    heads.forEach((head, n) => {
      head.removeAttribute("aria-sort");
      if (n === order.column) head.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
    });
    groups.forEach((rows, n) => {
      const sorted = order.column < 0 ? rows : rows.toSorted((one, other) => compare(one, other, order));
      bodies[n].replaceChildren(...sorted.map(({ element }) => element));
    });
  }
  draw();
  return h("table", { class: `sortable ${kind}` }, h("thead", {}, h("tr", {}, heads)), bodies);
}

/** @type {(one: Row, other: Row, order: Order) => number} */
function compare(one, other, { column, descending }) {
  const [first, second] = [one.keys[column], other.keys[column]];
  if (first === null || second === null) return Number(first === null) - Number(second === null);
  const sign = descending ? -1 : 1;
  if (typeof first === "number" && typeof second === "number") return sign * (first - second);
  return sign * String(first).localeCompare(String(second), "en", { numeric: true });
}

/**
 * Show tab-separated values as a table; the first line has the titles.
 * @param {string} text
 * @param {number} most how many lines are shown
 */
export function showValues(text, most) {
  const [titles, ...lines] = text.trimEnd().split(/\r?\n/).map((line) => line.split("\t"));
  const isNumber = titles.map((_, n) => lines.every((line) => !line[n] || Number.isFinite(Number(line[n]))));
  const rows = lines.slice(0, most).map((line) => ({
    keys: titles.map((_, n) => (!line[n] ? null : isNumber[n] ? Number(line[n]) : line[n])),
    element: h(
      "tr",
      {},
      line.map((value, n) => h("td", { class: isNumber[n] ? "number" : null }, value)),
    ),
  }));
  const rest = lines.length - rows.length;
  return [
    h("div", { class: "scroll" }, sortableTable(titles, [rows], "values")),
    rest > 0 ? h("p", { class: "muted" }, `${rest.toLocaleString("en")} more lines are in the file.`) : null,
  ];
}
