// Draws one job's rate, and goes on drawing while the job works.
import { TIMES } from "./charts/axis.js";

(() => {
  const root = document.getElementById("job-chart");
  if (!root) return;
  const REFRESH_MS = 5_000;
  const box = root.querySelector(".job-plot"), foot = root.querySelector(".job-foot");
  const two = (n) => String(n).padStart(2, "0");
  const stamp = (s) => { const d = new Date(s * 1000); return `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())} ${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`; };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const rate = (v) => (v == null ? "–" : `${v >= 10 ? Math.round(v).toLocaleString("en-US") : +v.toPrecision(2)}/s`);
  let plot = null, data = null;

  function options() {
    const grid = colour("--chart-grid"), text = colour("--chart-text"), line = colour("--chart-line");
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px Inter, sans-serif" };
    return {
      width: Math.max(260, box.clientWidth), height: 210, tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), "UTC"),
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      scales: { y: { range: (_, lo, hi) => [0, hi > 0 ? hi * 1.08 : 1] }, block: { auto: false, range: [0, 1] } },
      axes: [
        { ...axis, values: TIMES },
        { ...axis, size: 64, values: (_, ticks) => ticks.map(rate) },
      ],
      series: [
        { label: "UTC", value: (_, v) => (v == null ? "–" : stamp(v)) },
        // A step holds from the report before: the rate is that of the time up to the point.
        { label: "rate", stroke: line, width: 1.75, paths: uPlot.paths.stepped({ align: -1 }), points: { show: false }, value: (_, v) => rate(v) },
        { label: "block", scale: "block", stroke: "transparent", points: { show: false }, value: (_, v) => (v == null ? "–" : v.toLocaleString("en-US")) },
      ],
    };
  }
  function draw() {
    plot?.destroy();
    box.replaceChildren();
    if (data.times.length < 2) {
      const empty = document.createElement("p");
      empty.className = "job-empty";
      empty.textContent = "The rate appears with the second report of its worker.";
      box.append(empty);
      plot = null;
      return;
    }
    plot = new uPlot(options(), [data.times, data.rates, data.blocks], box);
    root.plot = plot;
  }
  async function load() {
    try {
      const response = await fetch(root.dataset.url, { signal: AbortSignal.timeout(10_000) });
      if (!response.ok) throw new Error(String(response.status));
      const fresh = await response.json();
      const first = !plot;
      data = fresh;
      if (first) draw(); else plot.setData([data.times, data.rates, data.blocks]);
      root.classList.remove("job-stale");
      foot.textContent = `${data.times.length.toLocaleString("en-US")} reports, thinned as they age · fetched ${stamp(data.fetched).slice(11)} UTC`;
    } catch {
      root.classList.add("job-stale");
      foot.textContent = "No answer from the server.";
    }
  }
  let resizing;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => data && draw(), 150); });
  new MutationObserver(() => data && draw()).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) load(); });
  setInterval(() => { if (!document.hidden) load(); }, REFRESH_MS);
  load();
})();
