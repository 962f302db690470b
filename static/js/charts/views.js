// Views that the visitor saved under a name: opened, shared by their address, replaced, deleted.

import { byId, h } from "./dom.js";

export function views(url, context) {
  const menu = byId("chart-views"), list = byId("chart-views-list"), form = byId("chart-views-form"), told = byId("chart-views-told");
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;

  async function send(address, fields = {}) {
    const body = new URLSearchParams({ csrfmiddlewaretoken: token, ...fields });
    const response = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.error ?? `The server answered ${response.status}. Nothing was changed.`);
    return answer;
  }

  async function render() {
    try {
      const response = await fetch(url, { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(`The server answered ${response.status}.`);
      const { views: mine } = await response.json();
      list.replaceChildren(...mine.map((view) => h("li", {},
        h("a", { class: "link", href: `?${view.query}`, onclick: (event) => open(event, view) }, view.name),
        h("button", { type: "button", class: "link", "aria-label": `Copy the address of ${view.name}`, onclick: () => context.copy(`${location.origin}${view.url}`, told) }, "share"),
        h("button", { type: "button", class: "link", "aria-label": `Delete ${view.name}`, onclick: () => remove(view) }, "delete"))));
      if (!mine.length) list.append(h("li", { class: "age" }, "No views saved yet."));
    } catch (error) { told.textContent = error.message; }
  }

  function open(event, view) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    menu.open = false;
    context.open(view.query);
  }

  async function remove(view) {
    if (!confirm(`Delete the view “${view.name}”? Its address stops working for everybody.`)) return;
    try { await send(view.delete); told.textContent = `${view.name} is deleted.`; } catch (error) { told.textContent = error.message; }
    await render();
  }

  menu.addEventListener("toggle", () => { if (menu.open) { told.textContent = ""; render(); form.elements.name.focus(); } });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const saved = await send(url, { name: form.elements.name.value, query: context.query() });
      told.textContent = `Saved as ${saved.name}.`;
      form.elements.name.value = "";
    } catch (error) { told.textContent = error.message; }
    await render();
  });
}
