// Draws the chart page: one uPlot per unit, a line of averages in a band from lowest to highest.
(() => {
  const root = document.getElementById("charts");
  const state = document.getElementById("chart-state");
  if (!root) return;
  const REFRESH_MS = 60_000;
  const { url, service, range, from, to } = root.dataset;
  const absolute = from || to;
  let lastContact = null;

  const two = (n) => String(n).padStart(2, "0");
  const clock = (s) => { const d = new Date(s * 1000); return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`; };
  const stamp = (s) => { const d = new Date(s * 1000); return `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())} ${clock(s)}`; };

  function quantity(value, unit) {
    if (value == null) return "–";
    if (unit === "bytes") {
      const units = ["B", "KiB", "MiB", "GiB", "TiB"];
      let i = 0;
      while (Math.abs(value) >= 1024 && i < 4) { value /= 1024; i++; }
      return `${+value.toPrecision(3)} ${units[i]}`;
    }
    const word = { percent: " %", count: "", per_second: "/s" }[unit] ?? ` ${unit}`;
    const size = Math.abs(value);
    const text = size >= 1e15 ? value.toPrecision(3) : size >= 1000 ? Math.round(value).toLocaleString("en-US") : String(+value.toPrecision(3));
    return text + word;
  }
  const stepName = (s) => s % 3600 === 0 ? `${s / 3600} h` : s % 60 === 0 ? `${s / 60} min` : `${s} s`;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function options(series, data, width) {
    const line = colour("--chart-line"), band = colour("--chart-band"), grid = colour("--chart-grid"), text = colour("--chart-text");
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px Inter, sans-serif" };
    const value = (_, v) => quantity(v, series.unit);
    return {
      width, height: 210, tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), "UTC"),
      legend: { live: true },
      cursor: { sync: { key: "charts" }, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { range: () => [data.start, data.end] },
        y: { range: (_, lo, hi) => yRange(lo, hi, series.unit) },
      },
      axes: [
        { ...axis, values: [[86400, "{MMM} {D}", "\n{YYYY}", null, null, null, null, null, 1], [3600, "{HH}:{mm}", "\n{MMM} {D}", null, null, null, null, null, 1], [60, "{HH}:{mm}", "\n{MMM} {D}", null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", "\n{MMM} {D}", null, null, null, null, null, 1]] },
        { ...axis, size: 64, values: (_, ticks) => ticks.map((v) => quantity(v, series.unit)) },
      ],
      series: [
        { label: "UTC", value: (_, v) => (v == null ? "–" : stamp(v)) },
        { label: "highest", stroke: band, width: 1, points: { show: false }, value },
        { label: "lowest", stroke: band, width: 1, points: { show: false }, value },
        { label: "average", stroke: line, width: 1.75, points: { show: alone, size: 4, stroke: line, fill: line }, value },
        { label: "still filling", stroke: line, width: 0, points: { show: true, size: 7, stroke: line, fill: colour("--chart-paper") }, value },
      ],
      bands: [{ series: [1, 2], fill: band }],
    };
  }
  // A value between two gaps has no line to stand on: it is drawn as a point. (undefined is no gap, see columns.)
  function alone(u, si) {
    const d = u.data[si], points = [];
    const gapFrom = (i, step) => { while (d[i] === undefined && i >= 0 && i < d.length) i += step; return d[i] == null; };
    d.forEach((v, i) => { if (v != null && gapFrom(i - 1, -1) && gapFrom(i + 1, 1)) points.push(i); });
    return points.length ? points : false;
  }
  function yRange(lo, hi, unit) {
    if (lo == null) return [0, 1];
    const low = Math.min(0, lo), top = hi <= low ? low + 1 : hi + (hi - low) * 0.08;
    return [low, unit === "percent" && lo >= 0 && hi <= 100 ? Math.min(100, top) : top];
  }
  // uPlot leaves a gap where null stands, and draws on over undefined: that is a bucket in which nothing is missing.
  function columns(series, data) {
    const [highest, lowest, average] = [series.max, series.min, series.avg].map((column) => {
      const values = column.slice();
      series.between.forEach((place) => { values[place] = undefined; });
      return values;
    });
    const filling = new Array(average.length).fill(null), last = average.length - 1;
    if (data.unfinished && last >= 0) { filling[last] = average[last]; average[last] = null; }
    return [data.times, highest, lowest, average, filling];
  }
  function draw(section, data) {
    const box = section.querySelector(".chart-plots");
    const width = Math.max(260, box.clientWidth);
    (section.plots ?? []).forEach((plot) => plot.destroy());
    box.replaceChildren();
    section.plots = data.series.map((series) => {
      const holder = document.createElement("div");
      holder.dataset.unit = series.unit;
      box.append(holder);
      return new uPlot(options(series, data, width), columns(series, data), holder);
    });
    section.data = data;
    if (!data.series.length) {
      const empty = document.createElement("p");
      empty.className = "chart-empty";
      empty.textContent = "No rows in this range.";
      box.append(empty);
    }
    section.querySelector("h2").textContent = data.series.length === 1 ? `${data.type}, ${data.series[0].unit}` : data.type;
    section.querySelector(".chart-foot").textContent =
      `${data.rows.toLocaleString("en-US")} ${data.source} · ${stepName(data.step)} buckets · ` +
      (data.data_to ? `data to ${data.fetched - data.data_to < 86400 ? clock(data.data_to) : stamp(data.data_to).slice(0, -3)}, ` : "") + `fetched ${clock(data.fetched)} UTC`;
    section.classList.remove("chart-stale");
  }
  function fail(section, message) {
    section.classList.add("chart-stale");
    section.querySelector(".chart-foot").textContent = message;
  }
  async function load(section) {
    const query = new URLSearchParams({ service, type: section.dataset.type });
    if (absolute) { if (from) query.set("from", from); if (to) query.set("to", to); } else query.set("range", range);
    section.abort?.abort();
    section.abort = new AbortController();
    try {
      const response = await fetch(`${url}?${query}`, { signal: section.abort.signal, headers: { Accept: "application/json" } });
      const body = await response.json().catch(() => ({}));
      if (!response.ok) { fail(section, body.error ?? body.errors?.[0]?.why ?? `The server answered ${response.status}.`); return response.status === 422; }
      draw(section, body);
      lastContact = body.fetched;
      return true;
    } catch (error) {
      if (error.name === "AbortError") return true;
      fail(section, "No answer from the server.");
      return false;
    }
  }
  async function refresh() {
    const answers = await Promise.all([...root.querySelectorAll(".metric-chart")].map(load));
    const reached = answers.every(Boolean);
    root.classList.toggle("stale", !reached);
    state.textContent = reached
      ? (lastContact ? `refreshed ${clock(lastContact)} UTC` : "")
      : `no contact since ${lastContact ? clock(lastContact) + " UTC" : "the page was opened"}`;
    state.classList.toggle("state-lost", !reached);
  }
  const redraw = () => root.querySelectorAll(".metric-chart").forEach((section) => section.data && draw(section, section.data));
  let resizing;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(redraw, 150); });
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  document.getElementById("chart-service").addEventListener("change", (e) => { document.getElementById("chart-type").value = ""; submit(e); });
  document.getElementById("chart-type").addEventListener("change", submit);
  function submit() {
    const query = new URLSearchParams({ service: document.getElementById("chart-service").value });
    const type = document.getElementById("chart-type").value;
    if (type) query.set("type", type);
    if (absolute) { if (from) query.set("from", from); if (to) query.set("to", to); } else query.set("range", range);
    location.search = query;
  }
  refresh();
  setInterval(() => { if (!document.hidden && !to) refresh(); }, REFRESH_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !to) refresh(); });
})();
