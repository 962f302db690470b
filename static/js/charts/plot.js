// One chart: a uPlot whose lines are averages in bands from lowest to highest, and which leaves gaps where rows are missing.

import { TIMES } from "./axis.js";
import { colour } from "./dom.js";
import { isShown, thresholdsOf, unfinished } from "./panels.js";
import { HOLE, overlay, underlay } from "./marks.js";
import { increments, tick, valueRange } from "./units.js";

const HEIGHT = 210;

/** What a redraw may keep: with the same outline new figures go into the uPlot that stands. */
export function outline(panel, state, body) {
  const dark = document.documentElement.classList.contains("dark");
  return JSON.stringify([panel.key, panel.series.map((one) => [one.key, one.colour, !!one.before]), state.local, hasP95(body), dark]);
}

const hasP95 = (body) => body.series.some((one) => one.p95);

/** The columns that uPlot draws: time, then highest, lowest, average, p95 and the earlier average of each series. */
export function columns(panel, body) {
  const places = (body.end - body.start) / body.step, filling = unfinished(body);
  const times = Array.from({ length: places }, (_, place) => body.start + place * body.step);
  const drawn = [times];
  for (const one of panel.series) {
    drawn.push(joined(one.max, one.between), joined(one.min, one.between), whole(joined(one.avg, one.between), filling));
    if (hasP95(body)) drawn.push(whole(joined(one.p95 ?? times.map(() => null), one.between), filling));
    if (one.before) drawn.push(joined(one.before.avg, one.before.between));
  }
  return drawn;
}

// uPlot leaves a gap where null stands, and draws on over undefined: a bucket in which nothing is missing.
function joined(column, between) {
  const values = column.slice();
  between.forEach((place) => { values[place] = undefined; });
  return values;
}

/** Without the buckets that still fill, which are hollow points: see marks.js. */
const whole = (column, filling) => (filling < column.length ? column.fill(null, filling) : column);

/** All gaps of one column as [from, to] in canvas pixels: nulls between values, and buckets in which rows are missing. */
function gaps(u, number, one) {
  const column = u.data[number], times = u.data[0], step = times.length > 1 ? times[1] - times[0] : 60;
  const at = (seconds) => u.valToPos(seconds, "x", true), least = HOLE * devicePixelRatio, found = [];
  const add = (from, to) => {
    const wide = Math.max(to, from + least), last = found.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], wide);
    else found.push([from, wide]);
  };
  const holes = new Set(one?.holes ?? []);
  let known = -1, missing = false;
  column.forEach((value, place) => {
    if (value === null) missing = true;
    else if (value !== undefined) {
      if (missing && known >= 0) add(at(times[known]), at(times[place]));
      if (holes.has(place)) add(at(times[place]), at(times[place] + step));
      [known, missing] = [place, false];
    }
  });
  return found;
}

function seriesOptions(holder) {
  const { panel, body } = holder;
  const many = panel.series.length, wash = Math.max(0.08, 0.22 / Math.sqrt(many));
  const list = [{}], bands = [];
  for (const one of panel.series) {
    // By its key: uPlot copies whatever stands in its options, and the figures change under it.
    const line = colour(one.colour), cut = (u, number) => gaps(u, number, holder.ones.get(one.key));
    const common = { points: { show: false }, gaps: cut, key: one.key };
    const edge = { ...common, stroke: alpha(line, many > 4 ? 0.2 : 0.35), width: 1 };
    bands.push({ series: [list.length, list.length + 1], fill: alpha(line, wash) });
    list.push({ ...edge, label: `${one.label} highest` }, { ...edge, label: `${one.label} lowest` });
    list.push({ ...common, label: one.label, stroke: line, width: many > 8 ? 1.25 : 1.75, dash: one.dash, isAverage: true });
    if (hasP95(body)) list.push({ ...common, label: `${one.label} p95`, stroke: line, width: 1, dash: [3, 3] });
    if (one.before) {
      const past = (u, number) => gaps(u, number, null);
      list.push({ ...common, gaps: past, label: `${one.label} before`, stroke: alpha(line, 0.55), width: 1.25, dash: [1, 3] });
    }
  }
  return { list, bands };
}

function alpha(hex, share) {
  return hex + Math.round(share * 255).toString(16).padStart(2, "0");
}

function axes(panel) {
  const grid = colour("--chart-grid"), text = colour("--chart-text");
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px Inter, sans-serif" };
  const incrs = increments(panel.unit);
  return [
    { ...axis, values: TIMES },
    { ...axis, size: 68, values: (_, ticks) => ticks.map((value) => tick(value, panel.unit)), ...(incrs && { incrs }) },
  ];
}

function options(holder, context, width) {
  const { panel, body } = holder, { list, bands } = seriesOptions(holder);
  const now = () => holder; // what stands in the holder when uPlot asks, not when it was made
  return {
    width, height: HEIGHT, series: list, bands, axes: axes(panel), legend: { show: false },
    tzDate: (seconds) => (context.state().local ? new Date(seconds * 1000) : uPlot.tzDate(new Date(seconds * 1000), "UTC")),
    cursor: {
      sync: { key: "charts", setSeries: false, filters: { pub: isMove, sub: isMove } },
      drag: { x: true, y: false, setScale: false, dist: 5 }, points: { show: false },
      bind: { dblclick: () => () => { context.back(); return null; } },
    },
    scales: {
      x: { range: () => [now().body.start, now().body.end] },
      y: { range: (_, low, high) => valueRange(low, high, panel.unit, thresholdsOf(now().panel, context.state()).map(([, value]) => value)) },
    },
    hooks: {
      drawClear: [(u) => underlay(u, now(), context)],
      draw: [(u) => overlay(u, now(), context)],
      setCursor: [(u) => context.onCursor(now(), u)],
      setSelect: [(u) => select(u, context)],
    },
  };
}

const isMove = (type) => type === "mousemove" || type === "mouseleave";

function select(u, context) {
  if (u.select.width < 3) return;
  const [start, end] = [u.select.left, u.select.left + u.select.width].map((left) => u.posToVal(left, "x"));
  u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  context.zoom({ start, end });
}

/** Draws the holder's panel: into the uPlot that stands, if its outline is the same, else into a new one. */
export function draw(holder, context) {
  const { panel, body, box } = holder, wanted = outline(panel, context.state(), body);
  const width = Math.max(240, Math.floor(box.clientWidth)), data = columns(panel, body);
  holder.ones = new Map(panel.series.map((one) => [one.key, one]));
  if (holder.plot && holder.outline === wanted) {
    if (holder.plot.width !== width) holder.plot.setSize({ width, height: HEIGHT });
    holder.plot.batch(() => {
      show(holder, context.state());
      holder.plot.setData(data);
    });
    return;
  }
  holder.plot?.destroy();
  holder.outline = wanted;
  holder.plot = new uPlot(options(holder, context, width), data, box);
  show(holder, context.state());
}

/** Hides what is not isolated. */
export function show(holder, state) {
  const { plot, panel, ones } = holder;
  plot.batch(() => {
    plot.series.forEach((each, number) => {
      if (!number) return;
      const wanted = isShown(ones.get(each.key), panel, state.only);
      if (each.show !== wanted) plot.setSeries(number, { show: wanted });
    });
  });
}
