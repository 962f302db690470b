// The page by keyboard; `?` lists the keys.

import { byId } from "./dom.js";

/** `does` maps a key to what it does; nothing happens while somebody types, or with ctrl, alt or cmd held. */
export function keys(does) {
  const help = byId("chart-keys");
  byId("chart-help").addEventListener("click", () => help.showModal());
  help.addEventListener("click", (event) => { if (event.target === help) help.close(); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || help.open) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    const action = event.key === "?" ? () => help.showModal() : does[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
