// The same data as a table: for reading numbers, and for whoever does not see the chart.

import { reasonAt } from "./annotations.js";
import { h } from "./dom.js";
import { isShown, unfinished } from "./panels.js";
import { quantity } from "./units.js";

const PAGE = 200; // buckets shown at first, and more at each click

export function table(holder, context) {
  const shownRows = holder.shownRows ?? PAGE;
  const { panel, body } = holder, write = context.write(), filling = unfinished(body);
  const series = panel.series.filter((one) => isShown(one, panel, context.state().only));
  const p95 = series.some((one) => one.p95), before = series.some((one) => one.before);
  const columns = ["avg", "min", "max", ...(p95 ? ["p95"] : []), ...(before ? ["before"] : []), "rows"];
  const first = Math.min(...series.map((one) => one.count.findIndex((count) => count != null)));
  const last = Math.max(...series.map((one) => one.count.findLastIndex((count) => count != null)));
  const places = [];
  for (let place = last; place >= first && first >= 0; place--) if (!series.every((one) => one.between.includes(place))) places.push(place);
  const rows = places.slice(0, shownRows).map((place) => {
    const at = body.start + place * body.step;
    const cells = series.flatMap((one) => cellsOf(one, place, columns, panel.unit, () => reasonAt(context.annotations, one.service, at, body.step)));
    return h("tr", {}, h("th", { scope: "row" }, write.minute(at), place >= filling ? h("em", {}, " still filling") : null), ...cells);
  });
  const box = h("div", { class: "chart-table", tabindex: 0, role: "region", "aria-label": `${panel.title}, as a table` }, h("table", { class: "plain" },
    h("caption", { class: "sr" }, `${panel.title}, ${context.span(body.step)} buckets, newest first, times in ${write.zone}`),
    h("thead", {},
      h("tr", {}, h("th", { rowspan: 2, scope: "col" }, write.name), ...series.map((one) => h("th", { colspan: columns.length, scope: "colgroup" }, one.label))),
      h("tr", {}, ...series.flatMap(() => columns.map((name) => h("th", { scope: "col", class: "num" }, name))))),
    h("tbody", {}, ...rows)));
  const left = places.length - rows.length;
  if (left > 0) box.append(h("button", { type: "button", class: "button-plain", onclick: () => {
    holder.shownRows = shownRows + 5 * PAGE;
    box.replaceWith(table(holder, context));
  } }, `${left.toLocaleString("en-US")} more`));
  return box;
}

function cellsOf(one, place, columns, unit, reason) {
  if (one.count[place] == null) {
    const why = one.between.includes(place) ? "" : reason() || "no rows";
    return [h("td", { colspan: columns.length, class: "table-gap" }, why)];
  }
  const values = { avg: one.avg, min: one.min, max: one.max, p95: one.p95, before: one.before?.avg };
  return columns.map((name) => h("td", { class: "num" },
    name === "rows" ? one.count[place].toLocaleString("en-US") + (one.holes.includes(place) ? ", some are missing" : "") : quantity(values[name]?.[place], unit)));
}

/** One sentence a series: what the picture says to whoever does not see it. */
export function summary(panel) {
  const parts = panel.series.slice(0, 10).map((one) =>
    `${one.label}: average ${quantity(one.average, panel.unit)}, lowest ${quantity(one.lowest, panel.unit)}, highest ${quantity(one.highest, panel.unit)}`);
  if (panel.series.length > 10) parts.push(`and ${panel.series.length - 10} more`);
  return `${panel.title}. ${parts.join("; ")}. Press t for the table.`;
}
