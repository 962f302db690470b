// What stands under the pointer: the bucket, and each series in it, highest first.

import { reasonAt } from "./annotations.js";
import { h } from "./dom.js";
import { changeText, isShown, unfinished } from "./panels.js";
import { quantity } from "./units.js";

const MOST = 12; // series told; of up to FEW all that is known
const FEW = 4;

export function tooltip(holder, u, context) {
  const { panel, body, tip } = holder, place = u.cursor.idx;
  const mine = holder.box.matches(":hover");
  if (place == null || !mine || u.cursor.left < 0) { tip.hidden = true; return; }
  const at = body.start + place * body.step, write = context.write();
  const shown = panel.series.filter((one) => isShown(one, panel, context.state().only));
  const known = shown.filter((one) => one.avg[place] != null).sort((a, b) => b.avg[place] - a.avg[place]);
  const rows = known.slice(0, MOST).flatMap((one) => row(one, place, panel.unit, body, known.length <= FEW));
  const silent = shown.filter((one) => one.avg[place] == null && !one.between.includes(place));
  tip.replaceChildren(
    h("p", { class: "tip-time" }, `${write.stamp(at)} ${write.local ? write.name : "UTC"} · ${context.span(body.step)}`,
      place >= unfinished(body) ? h("em", {}, " still filling") : null),
    h("table", {}, ...rows),
    ...(known.length > MOST ? [h("p", {}, `and ${known.length - MOST} more`)] : []),
    ...silent.slice(0, 3).map((one) => h("p", { class: "tip-gap" }, `${one.label}: ${reasonAt(context.annotations, one.service, at, body.step) || "no rows"}`)),
  );
  tip.hidden = false;
  const room = holder.box.clientWidth, x = u.cursor.left + u.over.offsetLeft;
  tip.style.left = `${x > room / 2 ? Math.max(0, x - tip.offsetWidth - 14) : Math.min(x + 14, room - tip.offsetWidth)}px`;
  tip.style.top = `${u.over.offsetTop + u.over.clientHeight + 42}px`; // under the lines, never over them
}

function row(one, place, unit, body, isWhole) {
  const q = (value) => quantity(value, unit), before = one.before?.avg[place];
  const extra = [
    one.p95?.[place] != null && `p50 ${q(one.p50[place])} · p95 ${q(one.p95[place])} · p99 ${q(one.p99[place])}`,
    body.compare && before != null && `before ${q(before)}${before ? ` (${changeText(((one.avg[place] - before) / Math.abs(before)) * 100)})` : ""}`,
    `${one.count[place].toLocaleString("en-US")} ${one.count[place] === 1 ? "row" : "rows"}${one.holes.includes(place) ? ", some are missing" : ""}`,
  ].filter(Boolean).join(" · ");
  const swatch = h("span", { class: "swatch" });
  swatch.style.setProperty("--swatch", `var(${one.colour})`);
  const line = h("tr", {}, h("th", {}, swatch, one.label), h("td", { class: "num" }, q(one.avg[place])), h("td", { class: "tip-extra" }, one.count[place] > 1 ? `${q(one.min[place])} to ${q(one.max[place])}` : ""));
  return isWhole ? [line, h("tr", {}, h("td", { colspan: 3, class: "tip-extra tip-more" }, extra))] : [line];
}
