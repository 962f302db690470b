// The chart page: the address says what to show, the loader fetches it, the page draws it, and says how old it is.

import { NONE, fetchAnnotations, list } from "./annotations.js";
import { byId } from "./dom.js";
import { drawnCsv, rowsAddress, shareAddress } from "./exports.js";
import { keys } from "./keys.js";
import { Loader, Pulse, Refused, SignedOut, paceOf } from "./loader.js";
import { Page } from "./page.js";
import { ranges } from "./ranges.js";
import { COMPARISONS, GROUPINGS, SPLIT_LONGEST, asked, format, parse } from "./state.js";
import { age, clock, isLive, resolve, span, writer } from "./time.js";
import { toolbar } from "./toolbar.js";
import { views } from "./views.js";

const setup = JSON.parse(byId("chart-setup").textContent);
const root = byId("charts"), told = byId("chart-state"), message = byId("chart-message");
const NAMED = 5; // services without rows
const LAST = `charts last view ${setup.user}`;
clock.set(setup.now);

let state = first(), body = null, bounds = null, contact = null, isPaused = false, clicked = performance.now();
const loader = new Loader(setup.urls.data);

const context = {
  annotations: NONE, span, setup,
  state: () => state, write: () => writer(state.local), query: () => format(state),
  bounds: () => bounds, body: () => body, asked: () => asked(state, setup.services), isPaused: () => isPaused,
  change, open: (query) => { state = parse(query); write(false); load(); }, back, copy,
  zoom: (wanted) => bar.zoom(wanted), rowsList,
  share: () => copy(shareAddress(state, bounds), told),
  csv: () => page.holders.length && drawnCsv(page.holders, context),
  // Of the buckets drawn, which may begin before the range does: as many rows as the page says.
  rows: () => rowsAddress(setup.urls.rows, asked(state, setup.services), body ?? bounds, writer(state.local)),
  refresh: () => load({ isRefresh: true }),
  pause: () => { isPaused = !isPaused; tools.render(); pulse.wake(); },
};

/** The address; with nothing chosen the view used last, else the service that looks worst. */
function first() {
  const here = parse(location.search);
  if (here.services.length || here.types.length) return here;
  const last = location.search ? "" : localStorage.getItem(LAST);
  const kept = last && parse(last);
  if (kept && (kept.services.length || kept.types.length)) return kept;
  return { ...here, services: setup.worst ? [setup.worst] : [] };
}

function write(replace) {
  const depth = history.state?.depth ?? 0, address = `?${format(state)}`;
  if (replace) history.replaceState({ depth }, "", address);
  else history.pushState({ depth: depth + 1 }, "", address);
  localStorage.setItem(LAST, format(state));
}

/** Another state. What only changes how the figures look is drawn at once; all else is asked for. */
function change(patch, { replace = false } = {}) {
  clicked = performance.now();
  state = { ...state, ...patch };
  write(replace);
  const names = Object.keys(patch), looks = ["only", "table", "thresholds", "local"];
  const isSame = names.every((name) => looks.includes(name)) && !(patch.local != null && /\/[dwMy]/.test(state.from + state.to));
  if (!isSame || !body) return load();
  tools.render();
  if (names.length === 1 && names[0] === "only") page.isolate();
  else page.redraw();
  list(byId("chart-events"), context);
  tell();
}

function back() {
  if (history.state?.depth) history.back();
  else bar.out();
}

async function load({ isRefresh = false } = {}) {
  if (isRefresh && loader.isBusy) return; // it is on its way
  if (!isRefresh) tools.render();
  const names = asked(state, setup.services);
  if (!names.services.length || !names.types.length) return say("Nothing is chosen.", "Choose a service or a type above.");
  try { bounds = resolve(state); } catch (error) { return say("This range cannot be drawn.", error.message); }
  const isSplit = state.by === "instance" && bounds.end - bounds.start <= SPLIT_LONGEST;
  const query = new URLSearchParams({ start: new Date(bounds.start * 1000).toISOString(), end: new Date(bounds.end * 1000).toISOString() });
  names.services.forEach((name) => query.append("service", name));
  names.types.forEach((name) => query.append("type", name));
  if (isSplit) query.set("by", "instance");
  if (state.p95) query.set("percentiles", "1");
  if (state.compare) query.set("compare", state.compare);
  root.setAttribute("aria-busy", "true");
  try {
    const answer = await loader.load(query);
    if (answer) arrived(answer, names, isSplit);
  } catch (error) {
    if (error instanceof Refused && !(error instanceof SignedOut)) say("This cannot be drawn.", error.message, false, error.url);
    else lost(error);
  }
}

function arrived({ body: fresh, server, transfer }, names, isSplit) {
  const begun = performance.now();
  clock.set(fresh.now);
  contact = fresh.now;
  body = fresh;
  message.hidden = true;
  root.classList.remove("stale");
  root.removeAttribute("aria-busy");
  const notes = [...fresh.notes];
  if (state.by === "instance" && !isSplit) notes.push("Instances are told apart up to 24 hours: choose a shorter range.");
  const heard = new Set(fresh.series.map((one) => one.service)), unheard = names.services.filter((each) => !heard.has(each));
  if (heard.size && unheard.length) notes.push(`No rows in this range: ${unheard.slice(0, NAMED).join(", ")}${unheard.length > NAMED ? ` and ${unheard.length - NAMED} more` : ""}.`);
  byId("chart-notes").textContent = notes.join(" ");
  page.draw(fresh);
  if (!fresh.series.length) say("No rows in this range.", "Choose a longer range, or another service above.", true);
  tell();
  tools.render();
  pulse.rest();
  root.dispatchEvent(new CustomEvent("charts:drawn", { detail: { clicked, begun, server, transfer } }));
  annotate(names.services);
}

async function annotate(services) {
  const asking = body;
  const found = await fetchAnnotations(setup.urls.annotations, { start: body.start, end: body.end, step: body.step, services });
  if (asking !== body) return;
  context.annotations = found;
  page.annotate();
  list(byId("chart-events"), context);
}

/** Instead of charts: why there are none. */
function say(title, text, isAnswer = false, url = "") {
  if (!isAnswer) { loader.cancel(); body = null; }
  page.clear();
  context.annotations = NONE;
  byId("chart-events").hidden = true;
  root.removeAttribute("aria-busy");
  message.querySelector("strong").textContent = title;
  message.querySelector("span").textContent = text;
  const link = message.querySelector("a");
  link.hidden = !url;
  link.href = url || "#";
  message.hidden = false;
  if (!isAnswer) { contact = null; tell(); pulse.rest(); }
}

let problem = "";
function lost(error) {
  problem = error instanceof SignedOut ? `${error.message} ` : "";
  root.classList.add("stale");
  root.removeAttribute("aria-busy");
  tell();
  pulse.rest();
}

/** What the page knows of its own age. */
function tell() {
  const isLost = root.classList.contains("stale"), zone = writer(state.local);
  told.classList.toggle("state-lost", isLost);
  const at = contact ? `${zone.time(contact)} ${zone.name}` : "";
  told.textContent = isLost ? `${problem}last contact ${at ? `${at}, ${age(clock.now() - contact)}` : "never"}` : at && `refreshed ${at}`;
}

async function copy(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    place.textContent = "Copied.";
  } catch { prompt("Copy this address:", text); }
}

/** The list of the rows behind a chart. */
function rowsList(panel) {
  const query = new URLSearchParams({ from: new Date(bounds.start * 1000).toISOString(), to: new Date(bounds.end * 1000).toISOString() });
  if (panel.services.length === 1) query.set("service", panel.services[0]);
  if (panel.types.length === 1) query.set("type", panel.types[0]);
  return `${root.dataset.rows}?${query}`;
}

const page = new Page(root, context);
const bar = ranges(context);
const tools = toolbar(context, bar);
const pulse = new Pulse({
  work: () => load({ isRefresh: true }),
  pace: () => (!isPaused && isLive(state) && bounds ? paceOf(bounds.end - bounds.start) : 0),
  isLost: () => root.classList.contains("stale"),
});
const next = (values, value) => values[(values.indexOf(value) + 1) % values.length];
keys({
  "[": bar.earlier, "]": bar.later, ArrowLeft: bar.earlier, ArrowRight: bar.later, z: bar.out, b: back, Backspace: back, f: bar.focus,
  s: tools.services, y: tools.types, g: () => change({ by: next(GROUPINGS, state.by) }), c: () => change({ compare: next(COMPARISONS, state.compare) }),
  u: () => change({ local: !state.local }, { replace: true }), p: () => change({ p95: !state.p95 }), t: () => change({ table: !state.table }, { replace: true }),
  r: context.refresh, l: context.pause, a: () => change({ only: [] }, { replace: true }), x: context.share, e: context.csv,
  ...Object.fromEntries(setup.presets.map((_, place) => [String(place + 1), () => bar.preset(place)])),
});
views(setup.urls.views, context);
addEventListener("popstate", () => { clicked = performance.now(); state = parse(location.search); load(); });
setInterval(() => { if (!document.hidden && root.classList.contains("stale")) tell(); }, 1000);
write(true);
load();
