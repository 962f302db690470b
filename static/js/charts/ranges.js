// The range: presets, the box that takes whatever is typed or pasted, recent ranges, shifting and zooming.

import { byId, h } from "./dom.js";
import { fixed, range, resolve, writer } from "./time.js";

const KEPT = 8;

const recents = {
  key: "charts recent ranges",
  read() { try { return JSON.parse(localStorage.getItem(this.key)) ?? []; } catch { return []; } },
  add({ from, to }) {
    const others = this.read().filter((each) => each.from !== from || each.to !== to);
    localStorage.setItem(this.key, JSON.stringify([{ from, to }, ...others].slice(0, KEPT)));
  },
};

/** A range in words: relative ones as they are, moments in the zone shown. */
export function words({ from, to, local }) {
  const write = writer(local), text = (part) => (part.startsWith("now") ? part : write.minute(Date.parse(part) / 1000));
  return `${text(from)} to ${text(to)}`;
}

export function ranges(context) {
  const box = byId("chart-range"), recent = byId("chart-recent"), problem = byId("chart-range-problem");
  const set = (bounds) => { recents.add(bounds); context.change(bounds); };
  const presetOf = (state) => (state.to === "now" && /^now-(\d+[smhdwMy])$/.exec(state.from)?.[1]) || "";
  const presets = [...document.querySelectorAll("#chart-presets [data-preset]")];

  presets.forEach((button) => button.addEventListener("click", () => context.change({ from: `now-${button.dataset.preset}`, to: "now" })));
  byId("chart-range-form").addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      set(range(box.value, { local: context.state().local }));
      complain("");
      box.blur();
    } catch (error) { complain(error.message); }
  });
  box.addEventListener("focus", () => box.select());
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") { render(); box.blur(); } });
  recent.addEventListener("change", () => { if (recent.value) set(JSON.parse(recent.value)); });

  function complain(text) {
    problem.textContent = text;
    problem.hidden = !text;
    box.setAttribute("aria-invalid", String(Boolean(text)));
  }

  function render() {
    const state = context.state(), preset = presetOf(state);
    presets.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.preset === preset)));
    box.value = box.title = words(state);
    complain("");
    recent.replaceChildren(h("option", { value: "" }, "recent"), ...recents.read().map((each) =>
      h("option", { value: JSON.stringify(each) }, words({ ...each, local: state.local }))));
    recent.hidden = !recents.read().length;
  }

  function scaled(by, around) {
    const { start, end } = resolve(context.state()), length = end - start;
    return by(start, end, length, around);
  }
  const actions = {
    earlier: () => context.change(fixed(scaled((start, end, length) => ({ start: start - length / 2, end: end - length / 2 })))),
    later: () => context.change(fixed(scaled((start, end, length) => ({ start: start + length / 2, end: end + length / 2 })))),
    out: () => context.change(fixed(scaled((start, end, length) => ({ start: start - length / 2, end: end + length / 2 })))),
    zoom: (bounds) => set(fixed({ start: Math.floor(bounds.start), end: Math.ceil(bounds.end) })),
    focus: () => box.focus(),
    preset: (number) => presets[number]?.click(),
  };
  for (const [id, action] of [["chart-earlier", "earlier"], ["chart-later", "later"], ["chart-out", "out"]]) byId(id).addEventListener("click", actions[action]);
  byId("chart-back").addEventListener("click", context.back);
  return { render, complain, ...actions };
}
