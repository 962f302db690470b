"""Figures of series over time, each bucket exact, at the cost of the points drawn rather than of the rows stored.

One statement, so one snapshot: buckets without a pending mark come from the rollups, those with one from their raw
rows, and rows that came late into a sealed day are added on top. A smaller statement is tried first: it reads the
rollups, and says in the same snapshot whether anything is pending or late. See docs/rollups.md.
"""

import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import connection

from metrics.raw_reads import read_rows
from metrics.rollup_reads import UNSETTLED, raw_buckets, rolled_up, settled
from metrics.series_gaps import Gaps, find
from metrics.sketch import merge, percentiles

HOUR, DAY = 3600, 86_400
SHARES = (0.5, 0.95, 0.99)
_HEADER = 20  # bytes: dimensions, flags, type, length, lower bound
_WHOLE_DAY = {code: struct.Struct(">" + f"4x{code}" * 24) for code in "qd"}


class Source(StrEnum):
    RAW = "raw rows"
    HOURLY = "hourly"
    DAILY = "daily"


@dataclass(frozen=True)
class Request:
    """What to read: the series of these services and types, whole buckets of `step` seconds from `start` to `end`.

    `step` is a multiple of the source's own bucket; `start` and `end` are multiples of `step` since 1970.
    """

    services: tuple[str, ...]
    types: tuple[str, ...]
    start: int
    end: int
    step: int
    source: Source
    sketches: bool = False
    gaps_until: int | None = None  # also tell what is missing, in buckets that are over by this time

    @property
    def base(self) -> int:
        """The width that rows of the source have, of which each bucket holds one or several."""
        return {Source.RAW: self.step, Source.HOURLY: HOUR, Source.DAILY: DAY}[self.source]

    @property
    def times(self) -> list[int]:
        return list(range(self.start, self.end, self.step))


@dataclass
class Series:
    """Parallel columns, one place for each bucket; None where no row is.

    `last` is the newest row's time; `moments` those of a raw bucket's first and last row, since the range's start.
    """

    service_name: str
    metric_type: str
    unit: str
    rows: list[int | None]
    total: list[float | None]
    lowest: list[float | None]
    highest: list[float | None]
    sketch: dict[int, dict[int, int]] = field(default_factory=dict)
    last: datetime | None = None
    moments: dict[int, tuple[float, float]] = field(default_factory=dict)
    gaps: Gaps = field(default_factory=Gaps)

    @classmethod
    def empty(cls, key: tuple[str, str, str], places: int) -> "Series":
        return cls(*key, [None] * places, [None] * places, [None] * places, [None] * places)

    def clear(self, place: int) -> None:
        self.rows[place] = self.total[place] = self.lowest[place] = self.highest[place] = None
        self.sketch.pop(place, None)

    def add(self, place: int, rows: int, total: float, lowest: float, highest: float, sketch: Any) -> None:
        """Count more rows in a bucket."""
        before = self.rows[place]
        if before is None:
            self.rows[place], self.total[place] = rows, total
            self.lowest[place], self.highest[place] = lowest, highest
        else:
            self.rows[place] = before + rows
            self.total[place] = finite((self.total[place] or 0.0) + total)
            self.lowest[place] = min(self.lowest[place], lowest)  # type: ignore[type-var]
            self.highest[place] = max(self.highest[place], highest)  # type: ignore[type-var]
        if sketch[0] is not None:
            merge(self.sketch.setdefault(place, {}), *sketch)

    def lay(self, place: int, columns: tuple[list[Any], ...]) -> None:
        """Lay a day's packed hours over the buckets from `place` on, those that are inside."""
        first, last = max(0, -place), min(24, len(self.rows) - place)
        for mine, packed in zip((self.rows, self.total, self.lowest, self.highest), columns, strict=True):
            mine[place + first : place + last] = packed[first:last]  # type: ignore[index]

    def widened(self, width: int) -> "Series":
        """The same rows in buckets `width` times as wide."""
        places = len(self.rows) // width
        wide = Series.empty((self.service_name, self.metric_type, self.unit), places)
        wide.last, wide.gaps = self.last, self.gaps.widened(self.rows, width)
        columns = zip(self.rows, self.total, self.lowest, self.highest, strict=True)
        for place, (rows, total, lowest, highest) in enumerate(columns):
            if rows is not None:
                sketch = self.sketch.get(place)
                pair = (sketch.keys(), sketch.values()) if sketch else (None, None)
                wide.add(place // width, rows, total, lowest, highest, pair)  # type: ignore[arg-type]
        return wide

    @property
    def average(self) -> list[float | None]:
        return [None if n is None else t / n for n, t in zip(self.rows, self.total, strict=True)]  # type: ignore[operator]

    def percentiles(self) -> list[list[float | None]]:
        """A column for each of SHARES."""
        found = [
            percentiles(self.sketch.get(place, {}), SHARES, lowest=lowest or 0.0, highest=highest or 0.0)
            for place, (lowest, highest) in enumerate(zip(self.lowest, self.highest, strict=True))
        ]
        return [list(column) for column in zip(*found, strict=True)]


@dataclass
class Answer:
    request: Request
    series: list[Series]
    data_to: datetime | None


def tell_gaps(request: Request, series: list[Series]) -> None:
    """Tell what is missing in each series, where the request asks for it."""
    if request.gaps_until is None:
        return
    over = (request.gaps_until - request.start) // request.base
    for one in series:
        one.gaps = find(one.rows, one.moments, request.base, over)


def finite(value: float) -> float:
    """JSON knows no infinity: a sum beyond the largest number stands at it, as in metric_total()."""
    return min(max(value, -1.797e308), 1.797e308)


def unpacked(array: bytes, code: str) -> list[Any]:
    """The elements of a day's array as array_send() writes it: a header, then each one's size and bytes.

    Three times as quick as having 100 numbers a day written as text and read again.
    """
    if len(array) == _HEADER + 24 * 12:
        return list(_WHOLE_DAY[code].unpack_from(array, _HEADER))
    found: list[Any] = []
    place = _HEADER
    while place < len(array):
        size = int.from_bytes(array[place : place + 4], "big", signed=True)
        place += 4
        found.append(None if size < 0 else struct.unpack_from(f">{code}", array, place)[0])
        place += max(size, 0)
    return found


def read(request: Request) -> Answer:
    """The series that have a row in the range, by name."""
    rows = _fetch(request)
    pending = {row[1:5] for row in rows if row[0] == "pending"}
    pending_days = {(*row[1:4], int(row[4]) // DAY) for row in rows if row[0] == "pending"}
    places = (request.end - request.start) // request.base
    found: dict[tuple[str, str, str], Series] = {}
    data_to: datetime | None = None
    for kind, service, metric_type, unit, at, *rest in rows:
        key = (service, metric_type, unit)
        series = found.get(key) or found.setdefault(key, Series.empty(key, places))
        place = (at - request.start) // request.base
        if kind == "packed":
            hours = unpacked(rest[7], "q")
            series.lay(place, (hours, *(unpacked(each, "d") for each in rest[8:11])))
            rest[4] = _last_before(request.end, at, hours, rest[4])
            if rest[4] is None:
                continue
        elif kind == "pending":
            if request.source == Source.HOURLY:
                series.clear(place)
            continue
        elif not (kind == "day" and (*key, at // DAY) in pending_days) and not (
            kind == "hour" and (service, metric_type, unit, at) in pending
        ):
            series.add(place, rest[0], rest[1], rest[2], rest[3], rest[5:7])
        if kind == "raw" and request.source == Source.RAW and request.gaps_until is not None:
            series.moments[place] = (rest[7] - request.start, rest[4].timestamp() - request.start)
        series.last = rest[4] if series.last is None else max(series.last, rest[4])
        data_to = rest[4] if data_to is None else max(data_to, rest[4])
    width = request.step // request.base
    kept = [each for _, each in sorted(found.items()) if any(n is not None for n in each.rows)]
    tell_gaps(request, kept)
    end = datetime.fromtimestamp(request.end, UTC)
    for each in kept:
        each.last = min(each.last or end, end)  # a day's last row may lie beyond the range
    series_list = [each.widened(width) for each in kept] if width > 1 else kept
    return Answer(request, series_list, min(data_to, end) if data_to else None)


def _last_before(end: int, day: int, hours: list[int | None], last: datetime) -> datetime | None:
    """The time of a packed day's newest row before `end`: where the newest lies beyond it, the end of its hour."""
    if last.timestamp() < end:
        return last
    starts = [day + HOUR * n for n, rows in enumerate(hours) if rows and day + HOUR * n < end]
    return datetime.fromtimestamp(min(starts[-1] + HOUR, end), UTC) if starts else None


def _fetch(request: Request) -> list[tuple[Any, ...]]:
    start, end = datetime.fromtimestamp(request.start, UTC), datetime.fromtimestamp(request.end, UTC)
    parameters: dict[str, Any] = {
        "services": list(request.services),
        "types": list(request.types),
        "start": start,
        "end": end,
        "first_day": start.date(),
        "last_day": (end - timedelta(microseconds=1)).date(),
        "width": f"{request.step} seconds",
    }
    if request.source == Source.RAW:
        return read_rows(raw_buckets(request.sketches), parameters)
    wanted = {"daily": request.source == Source.DAILY, "sketches": request.sketches}
    with connection.cursor() as cursor:
        cursor.execute(settled(**wanted), parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    if any(row[0] == UNSETTLED for row in rows):
        return read_rows(rolled_up(**wanted), parameters)
    return rows
