// The rest of the toolbar: services and types, grouping, comparison, zone, percentiles, refreshing, what leaves the page.

import { byId, h } from "./dom.js";
import { picker } from "./picker.js";
import { SPLIT_LONGEST } from "./state.js";
import { age, isLive, span } from "./time.js";
import { paceOf } from "./loader.js";
import { counted } from "./units.js";

export function toolbar(context, bar) {
  const { services } = context.setup, state = context.state;
  const types = [...new Set(services.flatMap((each) => each.kinds.map(([type]) => type)))].sort();
  const has = (type) => services.filter((each) => !each.gone && each.kinds.some(([kind]) => kind === type)).map((each) => each.name);

  const serviceNote = (each) => (each.gone ? "gone" : context.setup.now - each.last > 300 ? `last report ${age(context.setup.now - each.last)}` : "");
  const pickServices = picker(byId("pick-service"), {
    label: "service", all: "all that report the types", chosen: () => state().services, choose: (names) => context.change({ services: names, only: [] }),
    choices: () => services.map((each) => ({ name: each.name, note: serviceNote(each), dim: each.gone })),
  });
  const pickTypes = picker(byId("pick-type"), {
    label: "type", all: "all types", chosen: () => state().types, choose: (names) => context.change({ types: names, only: [] }),
    choices: () => types.map((name) => {
      const missing = state().services.length > 0 && !state().services.some((service) => has(name).includes(service));
      return { name, note: missing ? "not of these services" : "", dim: missing };
    }),
  });

  const groups = [...document.querySelectorAll("#chart-by [data-by]")];
  groups.forEach((button) => button.addEventListener("click", () => context.change({ by: button.dataset.by })));
  byId("chart-compare").addEventListener("change", (event) => context.change({ compare: event.target.value }));
  byId("chart-zone").addEventListener("click", () => context.change({ local: !state().local }, { replace: true }));
  byId("chart-p95").addEventListener("click", () => context.change({ p95: !state().p95 }));
  byId("chart-table").addEventListener("click", () => context.change({ table: !state().table }, { replace: true }));
  byId("chart-refresh").addEventListener("click", context.refresh);
  byId("chart-live").addEventListener("click", context.pause);
  byId("chart-share").addEventListener("click", context.share);
  byId("chart-csv").addEventListener("click", () => { close(); context.csv(); });

  const menus = [...document.querySelectorAll(".chart-bar details.menu")];
  function close() { menus.forEach((menu) => { menu.open = false; }); }
  document.addEventListener("pointerdown", (event) => document.querySelectorAll("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; }));
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest?.("details.menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
  });

  function exports() {
    const link = byId("chart-rows-csv"), body = context.body(), limit = context.setup.export_limit;
    if (!context.bounds()) return;
    const rows = (body?.series ?? []).reduce((sum, one) => sum + one.count.reduce((all, count) => all + (count ?? 0), 0), 0);
    link.href = context.rows();
    link.replaceChildren("Raw rows, CSV ", h("small", {}, rows > limit ? `the newest ${limit.toLocaleString("en-US")} of ${rows.toLocaleString("en-US")}` : counted(rows, "row")));
  }

  function render() {
    const now = state(), length = context.bounds() ? context.bounds().end - context.bounds().start : 0;
    pickServices.refresh();
    pickTypes.refresh();
    groups.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.by === now.by)));
    const split = groups.find((button) => button.dataset.by === "instance");
    split.title = length > SPLIT_LONGEST ? "Up to 24 hours" : "A line for each instance";
    byId("chart-compare").value = now.compare;
    byId("chart-zone").textContent = context.write().zone;
    byId("chart-p95").setAttribute("aria-pressed", String(now.p95));
    byId("chart-table").setAttribute("aria-pressed", String(now.table));
    const live = byId("chart-live"), isOn = isLive(now) && !context.isPaused();
    live.disabled = !isLive(now);
    live.setAttribute("aria-pressed", String(isOn));
    live.textContent = isOn && length ? `every ${span(paceOf(length))}` : isLive(now) ? "paused" : "ended";
    exports();
    bar.render();
  }
  return { render, services: pickServices.open, types: pickTypes.open };
}
