// Replaces a fragment from the server at a fixed pace; greys it when the server cannot be reached.
(() => {
  const box = document.getElementById("live");
  if (!box) return;
  let contact = Date.now();
  const age = () => {
    const seconds = Math.round((Date.now() - contact) / 1000);
    return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
  };
  const show = () => box.querySelectorAll("[data-age]").forEach((place) => { place.textContent = age(); });
  async function refresh() {
    // Not under the hands of somebody who is about to confirm.
    if (document.hidden || box.querySelector("details[open]")) return;
    try {
      const response = await fetch(box.dataset.live, { signal: AbortSignal.timeout(10_000) });
      if (response.redirected) { location.reload(); return; }
      if (!response.ok) throw new Error(String(response.status));
      const fresh = await response.text();
      const chosen = new Set([...box.querySelectorAll("input:checked")].map((each) => each.value));
      const active = document.activeElement, held = active?.name === "job" ? active.value : null;
      const focused = box.contains(active) ? active.id : "";
      const kept = [...box.querySelectorAll("[data-keep]")];
      box.innerHTML = fresh;
      // What scripts draw into stays as it is; the fresh one is an empty place for it.
      kept.forEach((each) => document.getElementById(each.id)?.replaceWith(each));
      // What a person had chosen stays chosen, and where they were by keyboard.
      box.querySelectorAll("input[name=job]").forEach((each) => {
        each.checked = chosen.has(each.value);
        if (each.value === held) each.focus();
      });
      if (focused) document.getElementById(focused)?.focus();
      contact = Date.now();
      box.classList.remove("stale");
    } catch {
      box.classList.add("stale");
      box.dataset.contact = `no contact since ${new Date(contact).toISOString().slice(11, 19)} UTC`;
    }
    show();
  }
  setInterval(show, 1000);
  setInterval(refresh, Number(box.dataset.every) * 1000);
  document.addEventListener("visibilitychange", refresh);
})();
