// The answer's series, grouped into charts: one for each group and unit, since units are never mixed.

import { unitName } from "./units.js";

const COLOURS = 8;
const DASHES = [[], [7, 3], [2, 2], [10, 3, 2, 3], [4, 4]];

export const keyOf = (one) => [one.service, one.type, one.unit, one.part ?? ""].map(encodeURIComponent).join("/");

const GROUPS = {
  type: (one) => ({ group: [one.type, one.unit], label: one.service, title: `${one.type}, ${unitName(one.unit)}` }),
  service: (one) => ({ group: [one.service, one.unit], label: one.type, title: `${one.service}, ${unitName(one.unit)}` }),
  instance: (one) => ({
    group: [one.type, one.service, one.unit],
    label: one.part || "no instance named",
    title: `${one.service} ${one.type}, ${unitName(one.unit)}`,
  }),
};

/** The charts of an answer, in order. A label has one colour on the whole page. */
export function panelsOf(body, state) {
  const found = new Map(), place = GROUPS[state.by];
  const earlier = new Map((body.compare?.series ?? []).map((one) => [keyOf(one), one]));
  for (const one of body.series) {
    const { group, label, title } = place(one);
    const key = JSON.stringify(group);
    if (!found.has(key)) found.set(key, { key, title, unit: one.unit, series: [] });
    const before = earlier.get(keyOf(one)) ?? null;
    found.get(key).series.push({ ...one, key: keyOf(one), label, before, ...figures(one, before, body) });
  }
  const panels = [...found.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  const labels = [...new Set(panels.flatMap((panel) => panel.series.map((one) => one.label)))].sort();
  for (const panel of panels) {
    panel.series.sort((a, b) => (a.label < b.label ? -1 : 1));
    panel.types = [...new Set(panel.series.map((one) => one.type))];
    panel.services = [...new Set(panel.series.map((one) => one.service))];
    for (const one of panel.series) {
      const number = labels.indexOf(one.label);
      Object.assign(one, { colour: `--series-${number % COLOURS}`, dash: DASHES[Math.floor(number / COLOURS) % DASHES.length] });
    }
  }
  return panels;
}

/** Whether a series is drawn: all are, until some of its chart are isolated. */
export function isShown(one, panel, only) {
  return !panel.series.some((other) => only.includes(other.key)) || only.includes(one.key);
}

/** The thresholds of a chart's types, as [type, value]. */
export function thresholdsOf(panel, state) {
  return panel.types.filter((type) => state.thresholds.has(type)).map((type) => [type, state.thresholds.get(type)]);
}

/** The place of the first bucket whose time is not over; Infinity where all are. Rows of clocks ahead stand behind it. */
export function unfinished(body) {
  return body.now < body.end ? Math.max(0, Math.floor((body.now - body.start) / body.step)) : Infinity;
}

/** Of the whole range: rows, average, lowest, highest, and the change against the earlier period's same part. */
function figures(one, before, body) {
  const until = Math.min(unfinished(body), one.count.length);
  const [rows, average] = mean(one, one.count.length);
  let lowest = Infinity, highest = -Infinity, filled = 0;
  one.count.forEach((count, place) => {
    if (count == null) return;
    lowest = Math.min(lowest, one.min[place]);
    highest = Math.max(highest, one.max[place]);
    filled++;
  });
  let change = null;
  if (before) {
    const now = mean(one, until)[1], then = mean(before, until)[1];
    if (now != null && then) change = ((now - then) / Math.abs(then)) * 100;
  }
  return { rows, average, lowest, highest, filled, change };
}

function mean(one, until) {
  let rows = 0, total = 0;
  for (let place = 0; place < until; place++) {
    const count = one.count[place];
    if (count != null) { rows += count; total += count * one.avg[place]; }
  }
  return [rows, rows ? total / rows : null];
}

/** "+12 %" of a change in per cent. */
export function changeText(change) {
  if (change == null) return "–";
  const size = Math.abs(change) >= 10 ? Math.round(change) : +change.toFixed(1);
  return `${size > 0 ? "+" : ""}${size.toLocaleString("en-US")} %`;
}
