// Events and reasons for gaps, which other parts of the application tell; without them the charts are drawn all the same.

import { h } from "./dom.js";

const MOST_SERVICES = 20; // of which the server explains gaps
const NEAR = 20; // pixels: events closer than this share a flag
export const MOST_LINES = 16; // flags with a line down the chart: more would hide what the chart is for
const GLYPHS = { ok: "✓", info: "▲", warn: "!", bad: "✖" };
const CAUSES = { silent: "silent", not_ingesting: "not ingesting", archived: "in the archive" };

export const NONE = { marks: [], gaps: [] };

/** What is known of the range; NONE where nobody tells, or the telling fails. */
export async function fetchAnnotations(url, { start, end, step, services }, signal) {
  if (!url || !services.length) return NONE;
  const query = new URLSearchParams({ start: new Date(start * 1000).toISOString(), end: new Date(end * 1000).toISOString(), step });
  services.slice(0, MOST_SERVICES).forEach((name) => query.append("service", name));
  try {
    const response = await fetch(`${url}?${query}`, { signal, headers: { Accept: "application/json" } });
    if (!response.ok) return NONE;
    const body = await response.json();
    return {
      marks: (body.marks ?? []).map((mark) => ({ ...mark, time: Date.parse(mark.at) / 1000 })),
      gaps: (body.gaps ?? []).map((gap) => ({ ...gap, from: Date.parse(gap.start) / 1000, to: Date.parse(gap.end) / 1000 })),
    };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return NONE;
  }
}

/** Where events stand on a chart: those that would cover each other together, the worst of them first. */
export function places(u, marks) {
  const found = [];
  for (const mark of marks) {
    const left = u.valToPos(mark.time, "x"), last = found.at(-1);
    if (left < 0 || left > u.over.clientWidth) continue;
    if (last && left - last.left < NEAR) last.marks.push(mark);
    else found.push({ left, marks: [mark] });
  }
  for (const place of found) place.worst = place.marks.find((mark) => mark.level === "bad") ?? place.marks[0];
  return found;
}

/** Flags over a chart, each a link. */
export function flags(holder, context) {
  const { plot } = holder;
  plot.over.querySelectorAll(".chart-flag").forEach((flag) => flag.remove());
  for (const { left, marks: together, worst } of places(plot, context.annotations.marks)) {
    const text = together.map((mark) => `${context.write().minute(mark.time)} ${mark.label}`).join("\n");
    const glyph = together.length > 1 ? together.length : GLYPHS[worst.level] ?? "▲";
    // Under the pointer only: the list below the charts says the same to everybody.
    const flag = h("a", { class: `chart-flag flag-${worst.level}`, href: worst.url || null, title: text, tabindex: -1, "aria-hidden": "true" }, String(glyph));
    flag.style.left = `${left}px`;
    plot.over.append(flag);
  }
}

/** The same as words, below the charts. */
export function list(box, context) {
  const { marks, gaps } = context.annotations, write = context.write();
  const lines = [
    ...marks.map((mark) => ({ at: mark.time, level: mark.level, text: mark.label, url: mark.url })),
    ...gaps.map((gap) => ({ at: gap.from, until: gap.to, level: gap.cause === "silent" ? "bad" : "info", text: gap.text || CAUSES[gap.cause], url: gap.url })),
  ].sort((a, b) => b.at - a.at);
  const summary = [marks.length && `${marks.length} ${marks.length > 1 ? "events" : "event"}`, gaps.length && `${gaps.length} ${gaps.length > 1 ? "gaps" : "gap"} explained`].filter(Boolean);
  box.hidden = !lines.length;
  const open = box.open;
  box.replaceChildren(
    h("summary", {}, summary.join(" · ")),
    h("ul", {}, ...lines.map((line) => h("li", { class: `event-${line.level}` },
      h("time", {}, write.minute(line.at) + (line.until ? ` to ${write.minute(line.until)}` : "")), " ",
      line.url ? h("a", { class: "link", href: line.url }, line.text) : line.text))),
  );
  box.open = open;
}

/** Why a service has no rows at a moment, or "". */
export function reasonAt(annotations, service, at, step) {
  return annotations.gaps.find((gap) => gap.service === service && gap.from < at + step && gap.to > at)?.text ?? "";
}
