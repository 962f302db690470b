// What stands on and under the lines of a chart: gaps with their reason, values that no line reaches, thresholds, events.

import { MOST_LINES, places } from "./annotations.js";
import { colour } from "./dom.js";
import { isShown, thresholdsOf, unfinished } from "./panels.js";
import { tick } from "./units.js";

export const HOLE = 3; // pixels that a gap is wide at least: it must be seen at every zoom
const RADIUS = 3.5;
const FLAG = 16; // pixels that flags take at the top
const LEVELS = { ok: "--ok", info: "--info", warn: "--warn", bad: "--bad" };

/** Gaps of the chart's services, hatched, under everything else. */
export function underlay(u, holder, context) {
  const { ctx, bbox } = u;
  ctx.save();
  clip(ctx, bbox);
  for (const gap of context.annotations.gaps) {
    if (!holder.panel.services.includes(gap.service)) continue;
    const [from, to] = [gap.from, gap.to].map((at) => u.valToPos(at, "x", true)), width = Math.max(2, to - from);
    if (to < bbox.left || from > bbox.left + bbox.width) continue;
    ctx.fillStyle = hatch(ctx);
    ctx.fillRect(from, bbox.top, width, bbox.height);
  }
  ctx.restore();
}

let pattern = null, patternOf = "";
function hatch(ctx) {
  const ink = colour("--chart-gap");
  if (patternOf === ink) return pattern;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.strokeStyle = ink;
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (const shift of [-8, 0, 8]) { pen.moveTo(shift, 8); pen.lineTo(shift + 8, 0); }
  pen.stroke();
  [pattern, patternOf] = [ctx.createPattern(tile, "repeat"), ink];
  return pattern;
}

/** Hollow and lone points, thresholds, and the lines of events. */
export function overlay(u, holder, context) {
  const { ctx, bbox } = u, ratio = devicePixelRatio;
  ctx.save();
  clip(ctx, { left: bbox.left - 4 * ratio, top: bbox.top - 4 * ratio, width: bbox.width + 8 * ratio, height: bbox.height + 8 * ratio });
  for (const one of holder.panel.series) if (isShown(one, holder.panel, context.state().only)) points(u, one, holder.body, ratio);
  thresholds(u, holder, context, ratio);
  const events = places(u, context.annotations.marks);
  if (events.length <= MOST_LINES) events.forEach((place) => event(u, place.worst, ratio));
  ctx.restore();
}

function clip(ctx, box) {
  ctx.beginPath();
  ctx.rect(box.left, box.top, box.width, box.height);
  ctx.clip();
}

function points(u, one, body, ratio) {
  const ink = colour(one.colour), filling = unfinished(body);
  const x = (place) => u.valToPos(body.start + place * body.step, "x", true), y = (value) => u.valToPos(value, "y", true);
  const { ctx } = u;
  ctx.strokeStyle = ctx.fillStyle = ink;
  const covers = Math.ceil((HOLE * ratio) / Math.max(1e-6, x(1) - x(0)));
  for (const place of lone(one, filling, covers)) {
    ctx.fillRect(x(place) - ratio / 2, y(one.max[place]), ratio, Math.max(ratio, y(one.min[place]) - y(one.max[place])));
    dot(ctx, x(place), y(one.avg[place]), 2 * ratio);
    ctx.fill();
  }
  ctx.lineWidth = 1.5 * ratio;
  ctx.fillStyle = colour("--chart-paper");
  for (let place = filling; place < one.avg.length; place++) {
    if (one.avg[place] == null) continue;
    dot(ctx, x(place), y(one.avg[place]), RADIUS * ratio);
    ctx.fill();
    ctx.stroke();
  }
}

function dot(ctx, x, y, radius) {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
}

/** Places whose value no line reaches: gaps on either side, a hole after a gap, or where a gap, drawn as wide as `covers`
 * buckets at least, lies over them. */
export function lone(one, filling, covers = 1) {
  const explained = new Set(one.between), holes = new Set(one.holes), found = [];
  const reached = (place, by) => {
    do place += by; while (explained.has(place));
    if (place >= filling || one.avg[place] == null) return false;
    return by > 0 || !holes.has(place);
  };
  let covered = -1, known = -1, missing = false;
  one.avg.forEach((value, place) => {
    if (explained.has(place)) return;
    if (value == null) { missing = true; return; }
    if (place >= filling) return;
    if (missing && known >= 0) covered = known + covers;
    const hidden = place < covered;
    if (holes.has(place)) covered = Math.max(covered, place + covers);
    [known, missing] = [place, false];
    if (hidden) { found.push(place); return; }
    if (!reached(place, -1) && (holes.has(place) || !reached(place, 1))) found.push(place);
  });
  return found;
}

function thresholds(u, holder, context, ratio) {
  const { ctx, bbox } = u, ink = colour("--chart-threshold");
  ctx.strokeStyle = ctx.fillStyle = ink;
  ctx.lineWidth = ratio;
  ctx.font = `${11 * ratio}px Inter, sans-serif`;
  ctx.textAlign = "right";
  const all = thresholdsOf(holder.panel, context.state());
  for (const [type, value] of all) {
    const text = (all.length > 1 ? `${type} ` : "") + tick(value, holder.panel.unit), right = bbox.left + bbox.width - 4 * ratio;
    const at = u.valToPos(value, "y", true);
    if (at < bbox.top - 1) { ctx.textBaseline = "top"; ctx.fillText(`↑ ${text}`, right, bbox.top + (FLAG + 2) * ratio); continue; }
    if (at > bbox.top + bbox.height) continue;
    ctx.setLineDash([6 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, at);
    ctx.lineTo(bbox.left + bbox.width, at);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.textBaseline = at - bbox.top < FLAG * 2 * ratio ? "top" : "bottom";
    ctx.fillText(text, right, ctx.textBaseline === "top" ? Math.max(at, bbox.top + FLAG * ratio) + 2 * ratio : at - 2 * ratio);
  }
}

function event(u, mark, ratio) {
  const { ctx, bbox } = u, at = u.valToPos(mark.time, "x", true);
  ctx.strokeStyle = colour(LEVELS[mark.level] ?? "--dim");
  ctx.lineWidth = ratio;
  ctx.setLineDash([2 * ratio, 3 * ratio]);
  ctx.beginPath();
  ctx.moveTo(at, bbox.top);
  ctx.lineTo(at, bbox.top + bbox.height);
  ctx.stroke();
  ctx.setLineDash([]);
}
