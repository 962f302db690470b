// The queue by keyboard: looking holds nothing; a verdict key claims, decides and draws the next item in one answer.
const root = document.getElementById("review");
const [list, pane, bar, said, note] = ["list", "item", "bar", "said", "note"].map((name) => document.getElementById(`review-${name}`));
const REFRESH_MS = 15_000, RENEW_MS = 60_000, AHEAD = 3;
const KEYS = { 1: "inaccurate", 2: "misleading", 3: "spam", 4: "nothing_wrong", 5: "escalated", 0: "already_gone" };
const previews = new Map(); // drawn ahead: insight -> promise of its fragment
// Two tabs of one person hold by one token: when one of them goes, the other keeps it.
const tabs = new BroadcastChannel("review");
tabs.onmessage = ({ data }) => { if (data.left && data.left === token()) setTimeout(renew, 500); };
let busy = false, lastEvent = "", looking = null;

const article = () => pane.querySelector("article");
const insight = () => article()?.dataset.insight ?? "";
const token = () => article()?.dataset.token ?? "";
const rows = () => [...list.querySelectorAll(".review-row")];
const cookie = (name) => document.cookie.split("; ").find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
const wish = () => JSON.stringify(Object.fromEntries(new FormData(document.getElementById("review-filters"))));
// A note outlives the session and the page: it is kept under the insight and the person.
const noteKey = () => `review-note:${root.dataset.person}:${insight()}`;
const keepNote = () => (note.value ? localStorage.setItem(noteKey(), note.value) : localStorage.removeItem(noteKey()));

function say(text, bad = false) {
  said.textContent = text;
  said.classList.toggle("bad", bad);
}
function mark() {
  for (const row of rows()) row.toggleAttribute("aria-current", row.dataset.insight === insight());
  list.querySelector("[aria-current].review-row")?.scrollIntoView({ block: "nearest" });
  note.value = insight() ? localStorage.getItem(noteKey()) ?? "" : "";
  prefetch();
}
function drawItem(html) {
  pane.innerHTML = html;
  pane.scrollTop = 0;
  mark();
}
function drawList(html) {
  const chosen = new Set([...list.querySelectorAll("input:checked")].map((box) => box.closest("li").dataset.insight));
  const top = list.scrollTop;
  list.innerHTML = html;
  list.scrollTop = top;
  for (const row of rows()) {
    const box = row.querySelector("input");
    if (box && chosen.has(row.dataset.insight)) box.checked = true;
    row.toggleAttribute("aria-current", row.dataset.insight === insight());
  }
  countChosen();
}
async function post(action, fields = {}) {
  const body = new URLSearchParams({ wish: wish(), ...fields });
  const headers = { "X-CSRFToken": cookie("csrftoken") ?? root.querySelector("[name=csrfmiddlewaretoken]").value };
  const response = await fetch(`${root.dataset.base}${action}/`, { method: "POST", body, headers, signal: AbortSignal.timeout(15_000) });
  const answer = await response.json().catch(() => ({ error: { text: `The server answered ${response.status}. Nothing is known of what was done; look at the item again.` } }));
  return answer;
}
async function act(action, fields, after) {
  if (busy) return null;
  busy = true;
  bar.classList.add("busy");
  try {
    const answer = await post(action, fields);
    if (answer.list) drawList(answer.list);
    if (answer.item !== undefined) { looking = null; previews.clear(); drawItem(answer.item); }
    if (answer.error) say(answer.error.text, true);
    else { say(answer.said ?? ""); after?.(answer); }
    return answer;
  } catch {
    say("No answer from the server. Your note is kept; whether it was decided shows when the page is reached again.", true);
    return null;
  } finally {
    busy = false;
    bar.classList.remove("busy");
  }
}
function decide(verdict) {
  const shown = article();
  if (!shown) return;
  if (verdict === "escalated" && !note.value.trim()) {
    say("To escalate, write a note first: what should an administrator decide?", true);
    note.focus();
    return;
  }
  const key = noteKey();
  act("decide", { insight: insight(), token: token(), verdict, note: note.value, text: shown.dataset.text, seen: JSON.stringify(shown.dataset.seen ? shown.dataset.seen.split(",") : []) }, (answer) => {
    localStorage.removeItem(key);
    lastEvent = String(answer.done.event);
    say(`${answer.done.text} · u undo`);
  });
}
function undo(own) {
  const shown = article();
  const standing = shown?.dataset.state === "decided" || shown?.dataset.state === "escalated" ? shown.dataset.undoable : "";
  // What the line under the verdicts offers goes before what stands on the item drawn after it.
  const event = own ? "" : lastEvent || standing;
  act("undo", event ? { event } : {}, () => { lastEvent = ""; });
}
async function fragment(id) {
  const response = await fetch(`${root.dataset.item}?insight=${encodeURIComponent(id)}`);
  if (!response.ok || response.redirected) throw new Error(String(response.status));
  return response.text();
}
// The next three are drawn ahead, and their texts asked for, so that a step shows them at once.
function prefetch() {
  const all = rows().map((row) => row.dataset.insight), at = all.indexOf(insight());
  for (const id of all.slice(at + 1, at + 1 + AHEAD)) {
    if (!previews.has(id)) previews.set(id, fragment(id).catch(() => null));
  }
}
async function look(id) {
  looking = id;
  const html = (await (previews.get(id) ?? fragment(id).catch(() => null))) ?? (await fragment(id).catch(() => null));
  previews.delete(id);
  if (looking !== id) return;
  if (html === null) { say("No answer from the server. Sign in again in another tab if your session has ended.", true); return; }
  drawItem(html);
  lastEvent = "";
  say("");
  const address = new URL(location.href);
  address.searchParams.set("item", id);
  history.replaceState(null, "", address);
}
function step(by) {
  const all = rows().map((row) => row.dataset.insight);
  const next = all[Math.min(all.length - 1, Math.max(0, all.indexOf(looking ?? insight()) + by))];
  if (next && next !== insight()) look(next);
}
function open() {
  const url = article()?.dataset.original;
  if (url) window.open(url, "_blank", "noopener,noreferrer");
  else say("Where users read it is not known: INSIGHT_URL_TEMPLATE is not set.", true);
}
const DO = {
  next: () => act("next", { insight: insight() }),
  skip: () => insight() && act("skip", { insight: insight() }),
  undo: () => undo(false),
  help: () => document.getElementById("review-keys").showModal(),
  bulk: () => bulk(),
};
function countChosen() {
  const chosen = list.querySelectorAll("input:checked").length, button = list.querySelector("[data-do=bulk]");
  if (!button) return;
  button.hidden = chosen < 1;
  button.querySelector("[data-chosen]").textContent = chosen;
}
async function bulk() {
  const chosen = Object.fromEntries([...list.querySelectorAll("input:checked")].map((box) => [box.closest("li").dataset.insight, []]));
  const dialog = document.getElementById("review-bulk");
  await act("bulk", { items: JSON.stringify(chosen) }, (answer) => { dialog.innerHTML = answer.dialog; dialog.showModal(); });
}
function decideBulk(verdict) {
  const dialog = document.getElementById("review-bulk");
  const items = Object.fromEntries([...dialog.querySelectorAll("li")].map((row) => [row.dataset.insight, row.dataset.seen ? row.dataset.seen.split(",") : []]));
  const text = dialog.querySelector("#bulk-note").value;
  dialog.close();
  for (const box of list.querySelectorAll("input:checked")) box.checked = false;
  act("bulk", { items: JSON.stringify(items), verdict, note: text }, ({ report }) => {
    const left = report.refused.map((each) => `${each.insight}: ${each.text}`).join("; ");
    say(`${report.decided.length} decided${left ? ` · left alone: ${left}` : ""}`, Boolean(left));
  });
}
async function refresh() {
  if (document.hidden || busy) return;
  try {
    const response = await fetch(`${location.pathname}?${new URLSearchParams([...new URLSearchParams(location.search), ["live", "1"]])}`, { signal: AbortSignal.timeout(10_000) });
    if (response.redirected) { say("You are signed out. Sign in again in another tab; your note is kept.", true); return; }
    if (response.ok && !busy) drawList(await response.text());
  } catch { list.classList.add("stale"); return; }
  list.classList.remove("stale");
}
async function renew() {
  const shown = article();
  if (!token() || busy) return;
  try {
    const answer = await post("renew", { token: token() });
    if (article() !== shown) return;
    if (answer.until) shown.dataset.until = answer.until;
    else if (answer.error) say(answer.error.text, true);
    else { shown.dataset.token = ""; say("Your hold on this item has ended. A verdict takes it again, if nobody else has it.", true); }
  } catch {
    say(`No contact with the server: you hold this item until ${shown.dataset.until.slice(11, 16)} UTC.`, true);
  }
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape" && typing) { typing.blur(); return; }
  if (typing || event.altKey || event.metaKey || document.querySelector("dialog[open]") || event.repeat && !"jk".includes(event.key)) return;
  if (event.ctrlKey) {
    if (event.key === "z") { event.preventDefault(); undo(true); }
    return;
  }
  const actions = {
    j: () => step(1), k: () => step(-1), x: DO.next, s: DO.skip, u: DO.undo, o: open, "?": DO.help,
    n: () => note.focus(), "/": () => document.getElementById("review-find").focus(),
  };
  if (event.key in KEYS) decide(KEYS[event.key]);
  else if (event.key in actions) actions[event.key]();
  else if (event.key === "Enter" && !event.target.closest("a, button") && insight()) act("claim", { insight: insight() });
  else return;
  event.preventDefault();
});
root.addEventListener("click", (event) => {
  const target = event.target.closest("[data-verdict], [data-bulk-verdict], [data-do], [data-ignore], [data-heed], .review-row a");
  if (!target || event.ctrlKey || event.metaKey) return;
  const { verdict, bulkVerdict, do: what, ignore, heed } = target.dataset;
  if (verdict) decide(verdict);
  else if (bulkVerdict) decideBulk(bulkVerdict);
  else if (what) DO[what]();
  else if (ignore) act("ignore", { insight: insight(), user: ignore });
  else if (heed) act("ignore", { insight: insight(), user: heed, heed: "1" });
  else { event.preventDefault(); look(target.closest("li").dataset.insight); }
  target.blur();
});
list.addEventListener("change", countChosen);
note.addEventListener("input", keepNote);
document.getElementById("review-presets").addEventListener("change", (event) => {
  note.value = [note.value.trim(), event.target.value].filter(Boolean).join(" ");
  event.target.value = "";
  keepNote();
  event.target.blur();
});
addEventListener("pagehide", () => {
  if (!token()) return;
  const body = new FormData();
  body.set("token", token());
  body.set("leaving", "1");
  tabs.postMessage({ left: token() });
  body.set("csrfmiddlewaretoken", root.querySelector("[name=csrfmiddlewaretoken]").value);
  navigator.sendBeacon(`${root.dataset.base}release/`, body);
});
addEventListener("pageshow", (event) => event.persisted && location.reload());
// What stands above (a banner that may come and go) leaves the rest of the window to the queue.
const fit = () => root.style.setProperty("--review-top", `${root.getBoundingClientRect().top + scrollY + 12}px`);
addEventListener("resize", fit);
fit();
setInterval(refresh, REFRESH_MS);
setInterval(renew, RENEW_MS);
renew(); // the page before this one, a reload say, has let go of what it held
mark();
