"""Ranges of time as pages and lists name them: presets such as 24h, or two absolute moments."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta

EARLIEST = 1970
LENGTHS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
STEP = re.compile(r"([+-])(\d{1,6})([smhdwMy])")
RELATIVE = re.compile(r"now((?:[+-]\d{1,6}[smhdwMy])*)(?:/([smhdwMy]))?")

PRESETS: dict[str, tuple[str, timedelta]] = {
    "15m": ("15 m", timedelta(minutes=15)),
    "1h": ("1 h", timedelta(hours=1)),
    "6h": ("6 h", timedelta(hours=6)),
    "24h": ("24 h", timedelta(hours=24)),
    "7d": ("7 d", timedelta(days=7)),
    "30d": ("30 d", timedelta(days=30)),
    "90d": ("90 d", timedelta(days=90)),
}


class InvalidRange(ValueError):
    """The range in the address cannot be read; the message says what is accepted."""


@dataclass(frozen=True)
class TimeRange:
    """start <= t < end, both aware. `preset` is its name when it ends now, else ""."""

    start: datetime
    end: datetime
    preset: str = ""

    @property
    def length(self) -> timedelta:
        return self.end - self.start


def parse_moment(text: str) -> datetime:
    """An ISO 8601 time (without a zone: UTC), in UTC. Raises InvalidRange.

    Years from EARLIEST on, and none of the calendar's last: what is added to a moment, or taken off, is a time too.
    """
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidRange(f"“{text[:40]}” is no time: write it like 2026-11-24T14:00Z") from None
    if not EARLIEST <= moment.year < MAXYEAR:
        raise InvalidRange(f"“{text[:40]}” lies outside the years {EARLIEST} to {MAXYEAR - 1}")
    return moment


def parse_point(text: str, *, now: datetime, is_end: bool = False) -> datetime:
    """A moment, or one told from now as the charts' addresses do: now-6h, now/d (the day's start; as an end, its end).

    Raises InvalidRange.
    """
    found = RELATIVE.fullmatch(text.strip())
    if found is None:
        return parse_moment(text)
    moment = now.astimezone(UTC)
    try:
        for sign, amount, unit in STEP.findall(found[1]):
            moment = _moved(moment, int(sign + amount), unit)
        if found[2]:
            moment = _floored(moment, found[2])
            moment = _moved(moment, 1, found[2]) if is_end else moment
    except (OverflowError, ValueError):
        moment = datetime.max.replace(tzinfo=UTC)
    if not EARLIEST <= moment.year < MAXYEAR:
        raise InvalidRange(f"“{text[:40]}” lies outside the years {EARLIEST} to {MAXYEAR - 1}")
    return moment


def _moved(moment: datetime, amount: int, unit: str) -> datetime:
    if unit not in "My":
        return moment + amount * LENGTHS[unit]
    months = moment.year * 12 + moment.month - 1 + amount * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))


def _floored(moment: datetime, unit: str) -> datetime:
    begins = {"s": {}, "m": {"second": 0}, "h": {"second": 0, "minute": 0}}
    whole = {"microsecond": 0, **begins.get(unit, {"second": 0, "minute": 0, "hour": 0})}
    moment = moment.replace(**whole)  # type: ignore[arg-type]
    if unit == "w":
        return moment - timedelta(days=moment.weekday())
    if unit in "My":
        moment = moment.replace(day=1)
    return moment.replace(month=1) if unit == "y" else moment


def parse_range(*, preset: str, start: str, end: str, default: str, now: datetime) -> TimeRange:
    """The range that an address names: `start` and `end` (see parse_point) if either is given, else the preset, else
    `default`.

    Raises InvalidRange for an unknown preset, a time that cannot be read, or an end that is not after its start.
    """
    if start or end:
        last = parse_point(end, now=now, is_end=True) if end else now
        first = parse_point(start, now=now) if start else last - PRESETS[default][1]
        if first >= last:
            raise InvalidRange("the range ends before it starts")
        return TimeRange(first, last)
    name = preset or default
    if name not in PRESETS:
        raise InvalidRange(f"“{name[:20]}” is no range: choose one of {', '.join(PRESETS)}")
    return TimeRange(now - PRESETS[name][1], now, name)
