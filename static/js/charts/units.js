// Values with their units, for people; and the steps of an axis in the unit's own numbers.

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const WORDS = { percent: " %", count: "", per_second: "/s", ratio: "" };
const PER_SECOND = /^(.*?)(?:_per_second|_per_sec|\/s)$/;

const isBytes = (unit) => /^bytes(_per_second|_per_sec|\/s)?$/.test(unit);

function digits(value, precision) {
  const size = Math.abs(value);
  if (size >= 1e15 || (size > 0 && size < 1e-4)) return value.toPrecision(3);
  return size >= 1000 ? Math.round(value).toLocaleString("en-US") : String(+value.toPrecision(precision));
}

/** "41.2 %", "182 ms", "9.4 MiB", "3 blocks/s"; an en dash for nothing. */
export function quantity(value, unit, precision = 4) {
  if (value == null) return "–";
  const rate = unit !== "per_second" && PER_SECOND.test(unit);
  if (isBytes(unit)) {
    let size = 0;
    while (Math.abs(value) >= 1024 && size < BINARY.length - 1) { value /= 1024; size++; }
    return `${+value.toPrecision(precision)} ${BINARY[size]}${rate ? "/s" : ""}`;
  }
  return digits(value, precision) + (WORDS[unit] ?? ` ${rate ? `${PER_SECOND.exec(unit)[1]}/s` : unit}`);
}

/** "2,880 rows", "1 row". */
export const counted = (number, word) => `${number.toLocaleString("en-US")} ${word}${number === 1 ? "" : "s"}`;

export const tick = (value, unit) => quantity(value, unit, 3);

/** The unit as a chart's title says it. */
export function unitName(unit) {
  return { per_second: "per second", bytes: "bytes", count: "count" }[unit] ?? unit;
}

/** Steps that an axis may take, or null for the usual ones: bytes go by powers of two. */
export function increments(unit) {
  return isBytes(unit) ? Array.from({ length: 60 }, (_, power) => 2 ** power) : null;
}

/** From zero, unless something is below; percent ends at 100; a threshold within reach is in sight. */
export function valueRange(low, high, unit, thresholds) {
  if (low == null) return [0, 1];
  const near = thresholds.filter((value) => value <= Math.max(high, 0) * 3 || (unit === "percent" && value <= 100));
  const top = Math.max(high, ...near), bottom = Math.min(0, low, ...near);
  if (top <= bottom) return [bottom, bottom + 1];
  const room = top + (top - bottom) * 0.08;
  return [bottom < 0 ? bottom - (top - bottom) * 0.04 : 0, unit === "percent" && low >= 0 && high <= 100 ? Math.min(100, room) : room];
}
