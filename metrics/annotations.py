"""What the charts may say about time: marks, and why rows are missing. Other apps tell by providers.

`metrics` knows nothing of jobs, retention or alerts. Each of them, through the top floor (utxoiq_admin/annotations.py),
registers a `Provider`: marks to draw at a moment, and reasons why rows of any service may be missing in a stretch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Protocol

from metrics.gaps import Gap, gaps
from utxoiq_admin.core.display import duration

MAX_MARKS = 200  # a chart is 1,500 pixels wide
MAX_SERVICES = 20
# A chart's range ends with the minute in which it was drawn; what explains it is asked a moment later.
JUST_NOW = timedelta(minutes=1)

May = Callable[[str], bool]


class Level(StrEnum):
    """How a mark looks; the label says the same as the colour."""

    INFO = "info"
    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Cause(StrEnum):
    SILENT = "silent"
    NOT_INGESTING = "not_ingesting"
    ARCHIVED = "archived"


@dataclass(frozen=True)
class Mark:
    """Something that happened: `kind` in snake case ("job_failed"), `label` a few words, `url` where to read more."""

    at: datetime
    kind: str
    label: str
    url: str = ""
    level: Level = Level.INFO


@dataclass(frozen=True)
class Reason:
    """In start <= t < end rows of every service may be missing, and why; `text` is shown, `url` leads on."""

    start: datetime
    end: datetime
    cause: Cause
    text: str
    url: str = ""


@dataclass(frozen=True)
class ExplainedGap:
    """A stretch in which a service has no row, and the cause."""

    service: str
    start: datetime
    end: datetime
    cause: Cause
    text: str
    url: str = ""


class Provider(Protocol):
    """What an app has to say about a range. Both are asked with start < end and must bound what they read."""

    def marks(self, start: datetime, end: datetime, *, may: May, limit: int) -> Sequence[Mark]:
        """At most `limit` marks in [start, end), the newest of them; only what a visitor who `may` is to know."""

    def reasons(self, start: datetime, end: datetime, *, now: datetime) -> Sequence[Reason]:
        """The stretches that overlap [start, end), in any order."""


_providers: dict[str, Provider] = {}


def register(name: str, provider: Provider) -> None:
    """Have the provider asked from now on; the same name again replaces the one before."""
    _providers[name] = provider


def unregister(name: str) -> None:
    _providers.pop(name, None)


def marks_between(start: datetime, end: datetime, *, may: May) -> tuple[list[Mark], bool]:
    """(the newest MAX_MARKS marks of all providers, oldest first; whether there were more)."""
    found = [
        mark
        for provider in _providers.values()
        for mark in provider.marks(start, end, may=may, limit=MAX_MARKS + 1)
    ]
    found.sort(key=lambda mark: mark.at)
    return found[-MAX_MARKS:], len(found) > MAX_MARKS


def explained_gaps(
    services: Sequence[str], *, start: datetime, end: datetime, step: int, now: datetime
) -> list[ExplainedGap]:
    """The gaps of each service that a chart of [start, end) with buckets of `step` seconds shows, told by cause."""
    end = min(end, now)
    if start >= end:
        return []
    reasons = _reasons(start, end, now)
    return [
        piece
        for service in services
        for gap in gaps(service, start=start, end=end, step=step)
        for piece in explain(gap, reasons, now=now)
    ]


def archived(start: datetime, end: datetime, *, now: datetime) -> Reason | None:
    """Why not all rows of [start, end) stand in the table: the first stretch that left it. None when none did."""
    found = [reason for reason in _reasons(start, end, now) if reason.cause == Cause.ARCHIVED]
    return min(found, key=lambda reason: reason.start, default=None)


def _reasons(start: datetime, end: datetime, now: datetime) -> list[Reason]:
    return [reason for provider in _providers.values() for reason in provider.reasons(start, end, now=now)]


def explain(gap: Gap, reasons: Iterable[Reason], *, now: datetime) -> list[ExplainedGap]:
    """The gap cut where its cause changes. What no reason covers was the service's own silence.

    Rollups outlive their rows: an hour that they lack was empty, wherever its rows are now.
    A silence too short to be one, beside another cause, belongs to it: nobody reports at the very second.
    """
    usable = [r for r in reasons if not (gap.by_hours and r.cause == Cause.ARCHIVED)]
    cuts = {gap.start, gap.end}
    for reason in usable:
        cuts |= {moment for moment in (reason.start, reason.end) if gap.start < moment < gap.end}
    edges = sorted(cuts)
    pieces: list[tuple[datetime, datetime, Reason | None]] = []
    for since, until in pairwise(edges):
        covering = [r for r in usable if r.start <= since and until <= r.end]
        # In the archive is said first: whether the rows were ever missing cannot be seen from here.
        pieces.append((since, until, min(covering, key=lambda r: r.cause != Cause.ARCHIVED, default=None)))
    return [_told(gap, *piece, now=now) for piece in _joined(pieces, gap)]


def _joined(
    pieces: list[tuple[datetime, datetime, Reason | None]], gap: Gap
) -> list[tuple[datetime, datetime, Reason | None]]:
    """Neighbours of one cause as one piece; short silences beside another cause as part of it."""
    others = [piece for piece in pieces if piece[2]]
    if not others:
        return pieces
    kept = [piece for piece in pieces if piece[2] or piece[1] - piece[0] >= gap.silent_after]
    joined: list[tuple[datetime, datetime, Reason | None]] = []
    for _, until, reason in kept:
        if joined and _cause(joined[-1][2]) == _cause(reason):
            joined[-1] = (joined[-1][0], until, joined[-1][2])
        else:
            joined.append((joined[-1][1] if joined else gap.start, until, reason))
    joined[-1] = (joined[-1][0], gap.end, joined[-1][2])
    return joined


def _cause(reason: Reason | None) -> Cause:
    return reason.cause if reason else Cause.SILENT


def _told(gap: Gap, start: datetime, end: datetime, reason: Reason | None, *, now: datetime) -> ExplainedGap:
    if reason:
        return ExplainedGap(gap.service, start, end, reason.cause, reason.text, reason.url)
    length = duration(end - start)
    text = (
        f"{gap.service} is silent for {length} now"
        if end > now - JUST_NOW
        else f"{gap.service} was silent for {length}"
    )
    return ExplainedGap(gap.service, start, end, Cause.SILENT, text)
