// The history's charts, in UTC.
import { TIMES } from "../js/charts/axis.js";

const root = document.getElementById("review-charts");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const TONES = ["--chart-line", "--warn", "--bad", "--dim"];
const CHARTS = {
  queue: { labels: ["waiting"], line: true },
  age: { labels: ["hours"], line: true },
  flags: { labels: ["inaccurate", "misleading", "spam", "other"], line: true },
  ratings: { labels: ["average"], line: true, top: 5 },
};
let data = null;

function draw(section) {
  const name = section.dataset.chart, { labels, line, top } = CHARTS[name], columns = data[name];
  const box = section.querySelector(".chart-plots");
  section.plot?.destroy();
  box.replaceChildren();
  if (!columns[0].length) {
    const empty = document.createElement("p");
    empty.className = "chart-empty";
    empty.textContent = "Nothing in this range yet.";
    box.append(empty);
    return;
  }
  const grid = colour("--chart-grid"), axis = { stroke: colour("--chart-text"), grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px Inter, sans-serif" };
  const series = labels.map((label, i) => ({ label, stroke: colour(TONES[i]), width: line ? 1.75 : 0, points: { show: !line || columns[0].length < 30, size: 6, fill: colour(TONES[i]) }, value: (_, v) => (v == null ? "–" : String(+v.toFixed(2))) }));
  const options = {
    width: Math.max(260, box.clientWidth), height: 200, tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), "UTC"),
    scales: { x: { range: () => [data.start, data.end] }, y: { range: (_, lo, hi) => [0, top ?? Math.max(1, hi * 1.1)] } },
    axes: [{ ...axis, values: TIMES }, axis], cursor: { drag: { x: false, y: false } },
    series: [{ label: "UTC", value: (_, v) => (v == null ? "–" : new Date(v * 1e3).toISOString().slice(0, 16).replace("T", " ")) }, ...series],
  };
  section.plot = new uPlot(options, columns, box);
}
const drawAll = () => data && root.querySelectorAll("[data-chart]").forEach(draw);
try {
  const response = await fetch(root.dataset.url, { signal: AbortSignal.timeout(15_000) });
  if (!response.ok) throw new Error(String(response.status));
  data = await response.json();
  drawAll();
} catch {
  for (const foot of root.querySelectorAll(".chart-foot")) foot.textContent = "No answer from the server: load the page again.";
}
let resizing;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(drawAll, 150); });
new MutationObserver(drawAll).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
