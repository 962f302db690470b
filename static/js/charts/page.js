// The charts on the page: one section for each panel of the answer, kept from one answer to the next.

import { flags } from "./annotations.js";
import { h } from "./dom.js";
import { picture } from "./exports.js";
import { foot, legend, legendAt } from "./legend.js";
import { panelsOf, thresholdsOf } from "./panels.js";
import { draw, show } from "./plot.js";
import { summary, table } from "./table.js";
import { tooltip } from "./tooltip.js";

const FOCUSABLE = "a[href], button, summary, input, [tabindex='0']";

export class Page {
  constructor(root, context) {
    Object.assign(this, { root, context, holders: [] });
    this.context.onCursor = (holder, u) => {
      legendAt(holder, u.cursor.idx);
      tooltip(holder, u, context);
    };
    let resizing;
    addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => this.redraw(), 150); });
    new MutationObserver(() => this.redraw()).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  }

  /** Draws an answer: sections that stay keep their place, their plots take the new figures. */
  draw(body) {
    const before = new Map(this.holders.map((holder) => [holder.panel.key, holder]));
    this.holders = panelsOf(body, this.context.state()).map((panel) => Object.assign(before.get(panel.key) ?? this.section(), { panel, body }));
    const kept = new Set(this.holders);
    before.forEach((holder) => { if (!kept.has(holder)) { holder.plot?.destroy(); holder.element.remove(); } });
    this.holders.forEach((holder, place) => {
      if (this.root.children[place] !== holder.element) this.root.insertBefore(holder.element, this.root.children[place] ?? null);
    });
    this.redraw();
  }

  clear() {
    this.holders.forEach((holder) => { holder.plot?.destroy(); holder.element.remove(); });
    this.holders = [];
  }

  section() {
    const holder = { plot: null, at: [] };
    holder.head = h("h2");
    holder.actions = h("div", { class: "chart-actions" });
    holder.box = h("div", { class: "chart-plots", "aria-hidden": "true" });
    holder.said = h("p", { class: "sr" });
    holder.table = h("div");
    holder.legend = h("div", { class: "chart-legend" });
    holder.foot = h("p", { class: "chart-foot" });
    holder.element = h("section", { class: "metric-chart" }, h("div", { class: "chart-head" }, holder.head, holder.actions),
      holder.box, holder.said, holder.table, holder.legend, holder.foot);
    holder.tip = h("div", { class: "chart-tip" });
    holder.tip.hidden = true;
    holder.box.append(holder.tip);
    holder.element.holder = holder;
    return holder;
  }

  /** The same figures in another form: theme, width, zone, table, thresholds. */
  redraw() {
    const { context } = this, state = context.state();
    for (const holder of this.holders) {
      const { panel } = holder, resume = place(holder);
      holder.head.textContent = panel.title;
      holder.actions.replaceChildren(threshold(holder, context),
        h("button", { type: "button", class: "link", "aria-label": `${panel.title} as a picture`, onclick: () => picture(holder, context, foot(holder, context)) }, "png"),
        h("a", { class: "link", href: context.rowsList(panel), "aria-label": `Rows of ${panel.title}` }, "rows"));
      holder.said.textContent = summary(panel);
      legend(holder, context);
      holder.foot.textContent = foot(holder, context);
      holder.box.hidden = state.table;
      holder.table.replaceChildren(...(state.table ? [table(holder, context)] : []));
      if (!state.table) {
        draw(holder, context);
        flags(holder, context);
      }
      resume();
    }
  }

  /** Some series are isolated, or no more. */
  isolate() {
    for (const holder of this.holders) {
      const resume = place(holder);
      legend(holder, this.context);
      if (this.context.state().table) holder.table.replaceChildren(table(holder, this.context));
      else show(holder, this.context.state());
      resume();
    }
  }

  /** Events and reasons came after the figures. */
  annotate() {
    for (const holder of this.holders) {
      if (this.context.state().table) {
        const resume = place(holder);
        holder.table.replaceChildren(table(holder, this.context));
        resume();
      } else if (holder.plot) {
        holder.plot.redraw(false);
        flags(holder, this.context);
      }
    }
  }
}

/** Where somebody is in a chart's section: the button with the keyboard, how far the table is scrolled. Call it to go back. */
function place(holder) {
  const focused = holder.element.contains(document.activeElement) ? document.activeElement : null;
  const part = focused && [holder.actions, holder.legend, holder.table].find((each) => each.contains(focused));
  const number = part ? [...part.querySelectorAll(FOCUSABLE)].indexOf(focused) : -1, typed = focused?.matches("input") ? focused.value : null;
  const { scrollTop = 0, scrollLeft = 0 } = holder.table.firstElementChild ?? {};
  return () => {
    holder.table.firstElementChild?.scrollTo(scrollLeft, scrollTop);
    const again = number < 0 || document.activeElement === focused ? null : part.querySelectorAll(FOCUSABLE)[number];
    if (again && typed != null) again.value = typed;
    again?.focus({ preventScroll: true });
  };
}

/** The line to stay below, for each type of the chart. */
function threshold(holder, context) {
  const { panel } = holder, set = new Map(thresholdsOf(panel, context.state()));
  const fields = panel.types.map((type) => h("label", {}, `${type} above`, h("input", {
    type: "number", step: "any", value: set.get(type) ?? "", placeholder: "no line", "data-type": type,
    onchange: (event) => {
      const next = new Map(context.state().thresholds), value = event.target.value.trim();
      if (value === "") next.delete(type);
      else next.set(type, Number(value));
      context.change({ thresholds: next }, { replace: true });
    },
  }), panel.unit));
  const text = set.size ? `line at ${[...set.values()].join(", ")}` : "line";
  const before = holder.actions.querySelector("details");
  return h("details", { class: "menu", open: before?.open ?? false }, h("summary", { class: "link", title: "A threshold: a line across the chart" }, text), h("div", { class: "menu-pop" }, ...fields));
}
