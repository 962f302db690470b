// Asks the server for the figures: one request at a time, the overtaken one cancelled, and none from a hidden tab.

const TIMEOUT = 20_000;
const RETRY = 5; // seconds between attempts while the server is not heard
// A range up to so many seconds is refreshed each so many.
const PACES = [[3600, 10], [6 * 3600, 30], [24 * 3600, 60], [7 * 86_400, 120], [Infinity, 300]];

export const paceOf = (length) => PACES.find(([longest]) => length <= longest)[1];

/** What the server refuses, in its own words: asking again would not help. */
export class Refused extends Error {
  constructor(text, url = "") { super(text); this.url = url; }
}
export class SignedOut extends Refused {}

export class Loader {
  constructor(url) { this.url = url; this.flight = null; }

  get isBusy() { return this.flight !== null; }

  cancel() { this.flight?.abort(); this.flight = null; }

  /** The answer, with what it took in ms; null when a later request overtook this one. */
  async load(query) {
    this.cancel();
    const flight = (this.flight = new AbortController()), sent = performance.now();
    const late = setTimeout(() => flight.abort("late"), TIMEOUT);
    try {
      const response = await fetch(`${this.url}?${query}`, { signal: flight.signal, headers: { Accept: "application/json" }, redirect: "error" });
      if (response.status === 403) throw new SignedOut("You are signed out, or may not see charts any more.");
      const isAnswer = response.headers.get("Content-Type")?.startsWith("application/json");
      if (!isAnswer) throw new Error(`The server answered ${response.status}.`);
      const body = await response.json();
      if (response.status === 422) throw new Refused(body.error, body.url);
      if (!response.ok) throw new Error(`The server answered ${response.status}.`);
      const server = Number(/dur=([\d.]+)/.exec(response.headers.get("Server-Timing") ?? "")?.[1] ?? 0);
      return { body, server, transfer: performance.now() - sent - server };
    } catch (error) {
      if (flight.signal.aborted && flight.signal.reason !== "late") return null;
      throw error;
    } finally {
      clearTimeout(late);
      if (this.flight === flight) this.flight = null;
    }
  }
}

/** Calls `work` at the range's pace while the page is seen; `pace()` is 0 when nothing is to be refreshed. */
export class Pulse {
  constructor({ work, pace, isLost }) {
    Object.assign(this, { work, pace, isLost, timer: null, last: 0 });
    document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(this.timer) : this.wake()));
    addEventListener("online", () => this.wake());
  }

  /** Something was asked just now: the next time is a whole pace away. */
  rest() {
    this.last = performance.now();
    clearTimeout(this.timer);
    const pace = this.isLost() ? RETRY : this.pace();
    if (pace && !document.hidden) this.timer = setTimeout(() => this.work(), pace * 1000);
  }

  /** Seen again, stopped or going on: what is older than the pace is asked for at once. */
  wake() {
    clearTimeout(this.timer);
    const pace = this.isLost() ? RETRY : this.pace();
    if (!pace || document.hidden) return;
    const left = Math.max(0, pace * 1000 - (performance.now() - this.last));
    this.timer = setTimeout(() => this.work(), this.isLost() ? 0 : left);
  }
}
