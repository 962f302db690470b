// Moments and ranges: what people type and paste, what it means now, and how it is written, in UTC or local time.

const RELATIVE = /^now((?:[+-]\d{1,6}[smhdwMy])*)(?:\/([smhdwMy]))?$/;
const ISO = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?) ?(Z|UTC|[+-]\d{2}:?\d{2})?)?$/i;
const EPOCH = /^\d{9,10}(\.\d+)?$|^\d{12,13}$/;
const LENGTH = /^(\d{1,6}) ?([smhdwMy])$/;
const HALF_HOUR = 1800;
const two = (n) => String(n).padStart(2, "0");

/** The server's clock, in seconds: a browser's own may be wrong. */
export const clock = {
  ahead: 0,
  set(now) { this.ahead = now - Date.now() / 1000; },
  now() { return Date.now() / 1000 + this.ahead; },
};

function move(date, amount, unit, zone) {
  if (unit === "d" || unit === "w") date[`set${zone}Date`](date[`get${zone}Date`]() + amount * (unit === "w" ? 7 : 1));
  else if (unit === "M") date[`set${zone}Month`](date[`get${zone}Month`]() + amount);
  else if (unit === "y") date[`set${zone}FullYear`](date[`get${zone}FullYear`]() + amount);
  else date.setTime(date.getTime() + amount * { s: 1, m: 60, h: 3600 }[unit] * 1000);
}

function floor(date, unit, zone) {
  const at = "smhdwMy".indexOf(unit);
  if (at >= 3) date[`set${zone}Hours`](0, 0, 0, 0);
  else if (at === 2) date[`set${zone}Minutes`](0, 0, 0);
  else if (at === 1) date[`set${zone}Seconds`](0, 0);
  else date.setUTCMilliseconds(0);
  if (unit === "w") move(date, -((date[`get${zone}Day`]() + 6) % 7), "d", zone);
  if (unit === "M" || unit === "y") date[`set${zone}Date`](1);
  if (unit === "y") date[`set${zone}Month`](0);
}

function relative(text, { now, local, isEnd }) {
  const found = RELATIVE.exec(text);
  if (!found) return null;
  const zone = local ? "" : "UTC", date = new Date(now * 1000);
  for (const step of found[1].match(/[+-]\d+[smhdwMy]/g) ?? []) move(date, Number(step.slice(0, -1)), step.at(-1), zone);
  if (found[2]) {
    floor(date, found[2], zone);
    if (isEnd) move(date, 1, found[2], zone); // "to now/d" is until the day's end
  }
  return date.getTime() / 1000;
}

function absolute(text, local) {
  if (EPOCH.test(text)) return Number(text) / (text.length >= 12 && !text.includes(".") ? 1000 : 1);
  const found = ISO.exec(text);
  if (!found) return null;
  const [, day, time = "00:00", given] = found;
  const zone = given ? (/^(z|utc)$/i.test(given) ? "Z" : given.replace(/^([+-]\d{2}):?(\d{2})$/, "$1:$2")) : local ? "" : "Z";
  const seconds = Date.parse(`${day}T${time.replace(",", ".")}${zone}`) / 1000;
  return Number.isNaN(seconds) ? null : seconds;
}

const iso = (seconds) => new Date(Math.round(seconds * 1000)).toISOString().replace(/\.000Z$/, "Z");

/** A moment in seconds; throws with what is accepted. */
export function moment(text, context) {
  const found = relative(text, context) ?? absolute(text, context.local);
  if (found == null || !Number.isFinite(found)) {
    throw new Error(`“${text.slice(0, 40)}” is no time: write now-6h, now/d, 2026-11-24 14:00 or Unix seconds.`);
  }
  return found;
}

/** {start, end} in seconds of the range from..to; throws for what is none. */
export function resolve({ from, to, local }, now = clock.now()) {
  const start = moment(from, { now, local }), end = moment(to, { now, local, isEnd: true });
  if (start >= end) throw new Error("The range ends before it starts.");
  return { start, end };
}

/** {from, to} of what somebody typed or pasted: a length, one moment, or two of them. Throws. */
export function range(text, { local, now = clock.now() }) {
  const plain = text.trim().replace(/^from\s+/i, "");
  const parts = plain.split(/\s+(?:to|until|-|–|—)\s+|\s*(?:→|\.\.+|[;\t\n]|,\s)\s*|(?<=[\dZ])\/(?=\d)/i).filter(Boolean);
  const one = (part) => (RELATIVE.test(part) ? part : iso(moment(part, { now, local })));
  if (parts.length === 2) {
    const found = { from: one(parts[0].trim()), to: one(parts[1].trim()) };
    resolve({ ...found, local }, now);
    return found;
  }
  const length = LENGTH.exec(plain);
  if (length) return { from: `now-${length[1]}${length[2]}`, to: "now" };
  if (/^today$/i.test(plain)) return { from: "now/d", to: "now/d" };
  if (/^yesterday$/i.test(plain)) return { from: "now-1d/d", to: "now-1d/d" };
  if (RELATIVE.test(plain)) return { from: plain, to: plain.includes("/") ? plain : "now" };
  const at = moment(plain, { now, local });
  return { from: iso(at - HALF_HOUR), to: iso(at + HALF_HOUR) };
}

/** The same range without "now" in it. */
export const fixed = (bounds) => ({ from: iso(bounds.start), to: iso(bounds.end) });

export const isLive = (state) => state.to.startsWith("now");

function offset(date) {
  const minutes = -date.getTimezoneOffset(), size = Math.abs(minutes);
  return { text: `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`, minutes };
}

/** How times are written: in UTC, or where the browser is. */
export function writer(local) {
  const zone = local ? "" : "UTC";
  const get = (date, part) => two(date[`get${zone}${part}`]());
  const at = (seconds) => new Date(seconds * 1000);
  const day = (seconds) => { const d = at(seconds); return `${d[`get${zone}FullYear`]()}-${two(d[`get${zone}Month`]() + 1)}-${get(d, "Date")}`; };
  const time = (seconds) => { const d = at(seconds); return `${get(d, "Hours")}:${get(d, "Minutes")}:${get(d, "Seconds")}`; };
  const name = local ? Intl.DateTimeFormat().resolvedOptions().timeZone : "UTC";
  return {
    name, day, time, local,
    zone: local ? `${name}, UTC${offset(at(clock.now())).text}` : "UTC",
    stamp: (seconds) => `${day(seconds)} ${time(seconds)}`,
    minute: (seconds) => `${day(seconds)} ${time(seconds).slice(0, 5)}`,
    /** The time alone where it is of the last 24 hours, else with its day. */
    recent: (seconds) => (Math.abs(clock.now() - seconds) < 86_400 ? time(seconds) : `${day(seconds)} ${time(seconds).slice(0, 5)}`),
    iso: (seconds) => `${day(seconds)}T${time(seconds)}${local ? offset(at(seconds)).text : "Z"}`,
  };
}

/** How long ago, in whole units. */
export const age = (seconds) => {
  const [size, unit] = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([each]) => seconds >= each) ?? [1, "s"];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit} ago`;
};

/** A length of time in its largest unit. */
export function span(seconds) {
  for (const [size, unit] of [[86_400, "d"], [3600, "h"], [60, "min"]]) if (seconds >= size) return `${+(seconds / size).toFixed(1)} ${unit}`;
  return `${Math.round(seconds)} s`;
}
