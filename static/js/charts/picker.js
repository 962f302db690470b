// Choosing several of a list: a button that says what is chosen, a box to search in, arrows and Enter to choose.

import { h } from "./dom.js";

/** `choices()` gives {name, note, dim}; `chosen()` the names; `choose(names)` is told. `all` is what none means. */
export function picker(root, { label, all, choices, chosen, choose }) {
  const id = root.id;
  let at = 0, shown = [];
  const button = h("button", { type: "button", class: "button-plain picker-button", "aria-haspopup": "listbox", "aria-expanded": "false", "aria-controls": `${id}-pop` });
  const search = h("input", {
    type: "search", role: "combobox", "aria-label": `Search ${label}s`, "aria-controls": `${id}-list`, "aria-expanded": "true",
    "aria-autocomplete": "list", placeholder: `search ${label}s`, autocomplete: "off", spellcheck: "false",
  });
  const list = h("ul", { id: `${id}-list`, role: "listbox", "aria-multiselectable": "true", "aria-label": `${label}s` });
  const none = h("button", { type: "button", class: "link", onclick: () => { choose([]); render(); search.focus(); } }, all);
  const pop = h("div", { class: "picker-pop", id: `${id}-pop` }, search, list, h("p", { class: "picker-foot" }, none, h("span", {}, "Enter chooses, Alt+Enter only this")));
  pop.hidden = true;
  root.append(button, pop);

  function title() {
    const names = chosen();
    button.replaceChildren(h("span", { class: "picker-label" }, label), " ",
      names.length ? names.slice(0, 2).join(", ") : all, names.length > 2 ? ` +${names.length - 2}` : "");
    button.title = names.join(", ");
  }

  function render() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), names = chosen();
    const known = choices(), missing = names.filter((name) => !known.some((each) => each.name === name)).map((name) => ({ name, note: "no rows", dim: true }));
    shown = [...missing, ...known].filter((each) => words.every((word) => each.name.toLowerCase().includes(word)));
    at = Math.min(at, Math.max(0, shown.length - 1));
    list.replaceChildren(...shown.map((each, place) => h("li", {
      role: "option", id: `${id}-${place}`, "aria-selected": String(names.includes(each.name)), class: [place === at && "picker-at", each.dim && "picker-dim"].filter(Boolean).join(" ") || null,
      onclick: (event) => toggle(each.name, event.altKey),
    }, each.name, each.note ? h("span", { class: "age" }, ` ${each.note}`) : null)));
    if (!shown.length) list.append(h("li", { class: "picker-none", role: "option", "aria-disabled": "true", "aria-selected": "false" }, "Nothing has such a name."));
    search.setAttribute("aria-activedescendant", shown.length ? `${id}-${at}` : "");
    title();
  }

  function toggle(name, alone) {
    const names = chosen();
    if (alone) choose([name]);
    else choose(names.includes(name) ? names.filter((each) => each !== name) : [...names, name]);
    at = Math.max(0, shown.findIndex((each) => each.name === name));
    render();
  }

  function step(by) {
    at = shown.length ? (at + by + shown.length) % shown.length : 0;
    render();
    list.children[at]?.scrollIntoView({ block: "nearest" });
  }

  function open(wanted) {
    pop.hidden = !wanted;
    button.setAttribute("aria-expanded", String(wanted));
    if (wanted) { search.value = ""; at = 0; render(); search.focus(); }
  }

  button.addEventListener("click", () => open(pop.hidden));
  search.addEventListener("input", () => { at = 0; render(); });
  root.addEventListener("keydown", (event) => {
    if (pop.hidden) { if (event.key === "ArrowDown") { event.preventDefault(); open(true); } return; }
    const does = {
      ArrowDown: () => step(1), ArrowUp: () => step(-1), Escape: () => { open(false); button.focus(); },
      Enter: () => event.target === search && shown[at] && toggle(shown[at].name, event.altKey),
    }[event.key];
    if (!does || (event.key === "Enter" && event.target !== search)) return;
    event.preventDefault();
    event.stopPropagation();
    does();
  });
  root.addEventListener("focusout", (event) => { if (!root.contains(event.relatedTarget) && event.relatedTarget) open(false); });
  document.addEventListener("pointerdown", (event) => { if (!root.contains(event.target)) open(false); });
  title();
  return { refresh: title, open: () => open(true) };
}
