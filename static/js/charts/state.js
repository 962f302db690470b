// What the page shows, as its address says it: the address is the state, so back, share and reload simply work.

export const GROUPINGS = ["type", "service", "instance"];
export const COMPARISONS = ["", "previous", "day", "week"];
export const SPLIT_LONGEST = 24 * 3600; // seconds; splitting by instance reads raw rows
const DEFAULT = { from: "now-6h", to: "now" };
const THRESHOLDS = new Map([["cpu", 80]]);

const among = (value, allowed) => (allowed.includes(value) ? value : allowed[0]);

/** The state of a query string. */
export function parse(search) {
  const query = new URLSearchParams(search);
  const preset = /^\d{1,4}[smhdwMy]$/.exec(query.get("range") ?? "");
  return {
    services: [...new Set(query.getAll("service").filter(Boolean))],
    types: [...new Set(query.getAll("type").filter(Boolean))],
    by: among(query.get("by"), GROUPINGS),
    from: query.get("from") || (preset ? `now-${preset[0]}` : DEFAULT.from),
    to: query.get("to") || DEFAULT.to,
    compare: among(query.get("compare") ?? "", COMPARISONS),
    local: query.get("tz") === "local",
    p95: query.get("p95") === "1",
    thresholds: thresholds(query.getAll("threshold")),
    only: query.getAll("only").filter(Boolean),
    table: query.get("table") === "1",
  };
}

function thresholds(given) {
  if (!given.length) return new Map(THRESHOLDS);
  return new Map(given.flatMap((text) => {
    const at = text.lastIndexOf(":"), value = Number(text.slice(at + 1));
    return at > 0 && text.slice(at + 1).trim() && Number.isFinite(value) ? [[text.slice(0, at), value]] : [];
  }));
}

/** The query string of a state; what is as usual is left out. */
export function format(state) {
  const query = new URLSearchParams();
  state.services.forEach((name) => query.append("service", name));
  state.types.forEach((name) => query.append("type", name));
  if (state.by !== GROUPINGS[0]) query.set("by", state.by);
  query.set("from", state.from);
  query.set("to", state.to);
  if (state.compare) query.set("compare", state.compare);
  if (state.local) query.set("tz", "local");
  if (state.p95) query.set("p95", "1");
  const same = state.thresholds.size === THRESHOLDS.size && [...THRESHOLDS].every(([type, value]) => state.thresholds.get(type) === value);
  if (!same && !state.thresholds.size) query.set("threshold", "");
  if (!same) state.thresholds.forEach((value, type) => query.append("threshold", `${type}:${value}`));
  state.only.forEach((key) => query.append("only", key));
  if (state.table) query.set("table", "1");
  return query.toString();
}

/** The names to ask for: nothing chosen of one kind means all that the others have. */
export function asked(state, catalogue) {
  const chosen = catalogue.filter((each) => state.services.includes(each.name));
  const types = state.types.length ? state.types : [...new Set(chosen.flatMap((each) => each.kinds.map(([type]) => type)))].sort();
  const services = state.services.length ? state.services
    : catalogue.filter((each) => !each.gone && each.kinds.some(([type]) => state.types.includes(type))).map((each) => each.name);
  return { services, types };
}
