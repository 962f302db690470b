"""Ranges of time as pages and lists name them: presets such as 24h, or two absolute moments."""

from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta

EARLIEST = 1970

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


def parse_range(*, preset: str, start: str, end: str, default: str, now: datetime) -> TimeRange:
    """The range that an address names: `start` and `end` if either is given, else the preset, else `default`.

    Raises InvalidRange for an unknown preset, a time that cannot be read, or an end that is not after its start.
    """
    if start or end:
        last = parse_moment(end) if end else now
        first = parse_moment(start) if start else last - PRESETS[default][1]
        if first >= last:
            raise InvalidRange("the range ends before it starts")
        return TimeRange(first, last)
    name = preset or default
    if name not in PRESETS:
        raise InvalidRange(f"“{name[:20]}” is no range: choose one of {', '.join(PRESETS)}")
    return TimeRange(now - PRESETS[name][1], now, name)
