// What leaves the page: the drawn data as CSV, the raw rows, a chart as a picture, the range as a link that stays.

import { reasonAt } from "./annotations.js";
import { colour, download } from "./dom.js";
import { isShown, unfinished } from "./panels.js";
import { fixed } from "./time.js";
import { quantity } from "./units.js";
import { format } from "./state.js";

const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/; // what makes a spreadsheet calculate
const name = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

function cell(value) {
  if (value == null) return "";
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** What the chart shows by its looks: why there is no value, that some rows are missing, that the bucket still fills. */
function remark(one, place, body, context) {
  const at = body.start + place * body.step;
  if (at > body.now) return one.count[place] == null ? "not yet" : "ahead of the clock";
  if (one.count[place] == null) return reasonAt(context.annotations, one.service, at, body.step) || "no rows";
  return [place >= unfinished(body) && "still filling", one.holes.includes(place) && "some rows are missing"].filter(Boolean).join(", ");
}

/** CSV of what the charts draw: a line for each bucket of each series, times in the zone that the page shows. */
export function drawnCsv(holders, context) {
  const write = context.write(), { body } = holders[0];
  const p95 = body.series.some((one) => one.p95), before = Boolean(body.compare);
  const lines = [[`bucket start (${write.zone})`, "bucket seconds", "service", "type", "instance", "unit", "rows", "avg", "min", "max",
    ...(p95 ? ["p50", "p95", "p99"] : []), ...(before ? ["avg before"] : []), "remark"]];
  for (const { panel } of holders) {
    for (const one of panel.series) {
      if (!isShown(one, panel, context.state().only)) continue;
      one.count.forEach((count, place) => {
        if (one.between.includes(place)) return;
        lines.push([write.iso(body.start + place * body.step), body.step, one.service, one.type, one.part ?? "", one.unit, count, one.avg[place], one.min[place], one.max[place],
          ...(p95 ? [one.p50?.[place], one.p95?.[place], one.p99?.[place]] : []), ...(before ? [one.before?.avg[place]] : []),
          remark(one, place, body, context)]);
      });
    }
  }
  const text = lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
  download(`charts-${write.iso(body.start).slice(0, 16).replaceAll(":", "")}.csv`, text, "text/csv;charset=utf-8");
}

/** Where the raw rows are downloaded from. */
export function rowsAddress(url, { services, types }, bounds, write) {
  const query = new URLSearchParams({ start: new Date(bounds.start * 1000).toISOString(), end: new Date(bounds.end * 1000).toISOString(), zone: write.name });
  services.forEach((each) => query.append("service", each));
  types.forEach((each) => query.append("type", each));
  return `${url}?${query}`;
}

/** The page's address with its range as it is now: it shows the same tomorrow. */
export function shareAddress(state, bounds) {
  return `${location.origin}${location.pathname}?${format({ ...state, ...fixed(bounds) })}`;
}

/** The chart with its title, its legend and its zone, as a PNG. */
export function picture(holder, context, foot) {
  const { panel, plot } = holder, source = plot.ctx.canvas, ratio = devicePixelRatio, write = context.write();
  const shown = panel.series.filter((one) => isShown(one, panel, context.state().only));
  const line = 18 * ratio, top = 30 * ratio, pad = 10 * ratio;
  const canvas = document.createElement("canvas");
  canvas.width = source.width + 2 * pad;
  canvas.height = top + source.height + line * (shown.length + 2);
  const pen = canvas.getContext("2d");
  pen.fillStyle = colour("--chart-paper");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = colour("--ink");
  pen.font = `600 ${14 * ratio}px Inter, sans-serif`;
  pen.fillText(panel.title, pad, 20 * ratio);
  pen.drawImage(source, pad, top);
  pen.font = `${12 * ratio}px Inter, sans-serif`;
  let y = top + source.height + line;
  for (const one of shown) {
    pen.fillStyle = colour(one.colour);
    pen.fillRect(pad, y - 9 * ratio, 10 * ratio, 10 * ratio);
    pen.fillStyle = colour("--ink");
    const q = (value) => quantity(value, panel.unit);
    pen.fillText(`${one.label}   avg ${q(one.average)}   min ${q(one.lowest)}   max ${q(one.highest)}`, pad + 16 * ratio, y);
    y += line;
  }
  pen.fillStyle = colour("--chart-text");
  const { body } = holder;
  pen.fillText(`${write.minute(body.start)} to ${write.minute(body.end)} ${write.zone} · ${foot}`, pad, y);
  return new Promise((resolve) => canvas.toBlob((blob) => {
    download(`${name(panel.title)}.png`, blob);
    resolve(blob.size);
  }, "image/png"));
}
