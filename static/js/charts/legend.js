// The legend of a chart: what each series comes to, and its value under the crosshair. A click isolates.

import { h } from "./dom.js";
import { changeText, isShown, unfinished } from "./panels.js";
import { counted, quantity } from "./units.js";

const SILENT = 300; // seconds behind the newest row of the chart: worth a word

/** The `only` of the state after a click on a series: isolate it, or with ctrl add it and take it off. */
export function isolated(only, panel, key, add) {
  const here = panel.series.map((one) => one.key), elsewhere = only.filter((each) => !here.includes(each));
  const mine = only.filter((each) => here.includes(each));
  if (add) {
    const next = mine.includes(key) ? mine.filter((each) => each !== key) : [...mine, key];
    return [...elsewhere, ...(next.length === here.length ? [] : next)];
  }
  return mine.length === 1 && mine[0] === key ? elsewhere : [...elsewhere, key];
}

export function legend(holder, context) {
  const { panel, body } = holder, state = context.state(), write = context.write();
  const newest = Math.max(...panel.series.map((one) => one.data_to ?? 0)), p95 = panel.series.some((one) => one.p95);
  const value = (number) => h("td", { class: "num" }, quantity(number, panel.unit));
  const rows = panel.series.map((one) => {
    const shown = isShown(one, panel, state.only);
    const swatch = h("span", { class: `swatch swatch-${Number(one.dash.length > 0)}` });
    swatch.style.setProperty("--swatch", `var(${one.colour})`);
    const name = h("button", {
      type: "button", class: "legend-name", "aria-pressed": String(shown), "data-key": one.key,
      title: "Click isolates, ctrl-click adds",
      onclick: (event) => context.change({ only: isolated(context.state().only, panel, one.key, event.ctrlKey || event.metaKey) }, { replace: true }),
    }, swatch, h("span", {}, one.label));
    const behind = one.data_to && newest - one.data_to > SILENT ? h("span", { class: "age" }, ` to ${write.recent(one.data_to)}`) : null;
    return h("tr", { class: shown ? null : "legend-off" }, h("th", { scope: "row" }, name, behind),
      h("td", { class: "num legend-at" }), value(one.average), value(one.lowest), value(one.highest),
      p95 && value(one.overall?.p95), body.compare && h("td", { class: "num" }, changeText(one.change)),
      h("td", { class: "num legend-rows" }, one.rows.toLocaleString("en-US")));
  });
  const more = panel.series.find((one) => one.parts > panel.series.length);
  const head = ["", "here", "avg", "min", "max", p95 && "p95", body.compare && "change", "rows"].filter((text) => text !== false && text != null);
  holder.legend.replaceChildren(h("table", { class: "legend" },
    h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col", class: { rows: "legend-rows", here: "legend-at" }[text] }, text || h("span", { class: "sr" }, "series"))))),
    h("tbody", {}, ...rows)));
  if (more) holder.legend.append(h("p", { class: "chart-note" }, `The ${panel.series.length} highest of ${more.parts} instances.`));
  holder.at = [...holder.legend.querySelectorAll("td.legend-at")];
}

/** The values under the crosshair, in this chart's legend. */
export function legendAt(holder, place) {
  holder.panel.series.forEach((one, number) => {
    const cell = holder.at[number], text = place == null ? "" : quantity(one.avg[place], holder.panel.unit);
    if (cell && cell.textContent !== text) cell.textContent = text;
  });
}

function fills(panel, body) {
  const filling = unfinished(body), places = new Set();
  for (const one of panel.series) one.avg.forEach((value, place) => { if (value != null && place >= filling) places.add(place); });
  return places.size && (places.size > 1 ? "hollow points still fill: some rows are ahead of the clock" : "the hollow point still fills");
}

/** "2,880 raw rows · 1 min buckets · data to 14:01:40, fetched 14:02:05 UTC". */
export function foot(holder, context) {
  const { panel, body } = holder, write = context.write();
  const rows = panel.series.reduce((sum, one) => sum + one.rows, 0);
  const to = Math.max(...panel.series.map((one) => one.data_to ?? 0)), holes = panel.series.some((one) => one.holes.length);
  return [
    counted(rows, "row"), body.source, `${context.span(body.step)} buckets`,
    holes && "rows are missing where the line breaks",
    fills(panel, body),
    `${to ? `data to ${write.recent(to)}, ` : ""}fetched ${write.recent(body.fetched)} ${write.name}`,
  ].filter(Boolean).join(" · ");
}
