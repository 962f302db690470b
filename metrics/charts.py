"""Data for the charts: per bucket the average, lowest and highest value, and honest gaps.

Long ranges are read from the hourly rollups, which are exact (`reading`), in whole buckets; short ones from raw rows.

An empty bucket is a gap only where rows are missing: a bucket that is empty because rows come every five minutes, or
a second late, is no gap. So the silence between two rows is held against the usual distance of those around it.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from django.db import connection, transaction

from metrics.reading import HOUR, Request, Source, read
from utxoiq_admin.core.time_range import TimeRange

# Longest range -> bucket: at most some 1,500 points, about one for each pixel that a chart is wide.
_STEPS = (
    (timedelta(hours=24), 60),
    (timedelta(days=2), 120),
    (timedelta(days=7), 600),
    (timedelta(days=30), 3600),
    (timedelta(days=90), 3 * 3600),
    (timedelta(days=366), 12 * 3600),
)
LONGEST = timedelta(days=366)
TIMEOUT_MS = 10_000

RHYTHM = 3  # silences on either side of one that say what is usual there
MISSING = 1.5  # a silence this many times the usual one is a gap

# Not avg(): one value beyond 1e154, which the table may hold, makes it fail for every row beside it.
AVERAGE = "sum(greatest(least(metric_value, 1e300), -1e300)) / count(*)"

_BUCKETS = f"""
SELECT unit, (floor(extract(epoch FROM "timestamp") / %(step)s) * %(step)s)::bigint AS bucket,
       {AVERAGE}, min(metric_value), max(metric_value), count(*), min("timestamp"), max("timestamp")
FROM system_metrics
WHERE service_name = %(service)s AND metric_type = %(type)s
  AND "timestamp" >= %(start)s AND "timestamp" < %(end)s
GROUP BY unit, bucket ORDER BY unit, bucket
"""  # noqa: S608


class RangeTooLong(ValueError):
    """A chart was asked for more time than LONGEST."""


@dataclass
class Series:
    """One (service, type, unit): parallel columns over `ChartData.times`; None where no row is. `between` are the
    places of the empty buckets in which nothing is missing: rows come rarer there than buckets."""

    unit: str
    avg: list[float | None] = field(default_factory=list)
    min: list[float | None] = field(default_factory=list)
    max: list[float | None] = field(default_factory=list)
    between: list[int] = field(default_factory=list)
    rows: int = 0


@dataclass
class Bucket:
    """The rows of one unit in one bucket; `place` counts buckets from the first of the range."""

    place: int
    avg: float
    min: float
    max: float
    rows: int
    first: datetime
    last: datetime


@dataclass
class ChartData:
    """What a chart draws. `times` are bucket starts (Unix seconds, UTC), `step` their width in seconds;
    `unfinished` says that the last bucket still fills; `data_to` is the newest row's time."""

    service: str
    type: str
    start: datetime
    end: datetime
    step: int
    times: list[int]
    series: list[Series]
    rows: int
    data_to: datetime | None
    unfinished: bool
    source: Source

    def as_json(self) -> dict[str, Any]:
        """Columns ready for uPlot."""
        return {
            "service": self.service,
            "type": self.type,
            "start": self.start.timestamp(),
            "end": self.end.timestamp(),
            "step": self.step,
            "times": self.times,
            "series": [vars(series) for series in self.series],
            "rows": self.rows,
            "data_to": self.data_to.timestamp() if self.data_to else None,
            "unfinished": self.unfinished,
            "source": self.source.value,
        }


def step_for(length: timedelta) -> int:
    """Bucket width in seconds for a range of this length. Raises RangeTooLong above LONGEST."""
    for longest, step in _STEPS:
        if length <= longest:
            return step
    raise RangeTooLong(f"A chart shows at most {LONGEST.days} days; choose a shorter range.")


def chart_data(*, service: str, metric_type: str, chosen: TimeRange, now: datetime) -> ChartData:
    """The series of one service and metric type in the range, one per unit: units are never mixed.

    Raises RangeTooLong.
    """
    step = step_for(chosen.length)
    first = int(chosen.start.timestamp() // step) * step
    last = int((chosen.end.timestamp() - 1e-6) // step) * step
    times = list(range(first, last + 1, step))
    source = Source.HOURLY if step >= HOUR else Source.RAW
    data_to: datetime | None
    if source == Source.RAW:
        found = _read(service, metric_type, chosen, step, first)
        data_to = max((buckets[-1].last for buckets in found.values()), default=None)
    else:
        found, data_to = _read_hours(Request((service,), (metric_type,), first, last + step, step, source))
    return ChartData(
        service=service,
        type=metric_type,
        start=chosen.start,
        end=chosen.end,
        step=step,
        times=times,
        series=[_series(unit, buckets, len(times)) for unit, buckets in found.items()],
        rows=sum(bucket.rows for buckets in found.values() for bucket in buckets),
        data_to=data_to,
        unfinished=last + step > now.timestamp(),
        source=source,
    )


def _read(
    service: str, metric_type: str, chosen: TimeRange, step: int, first: int
) -> dict[str, list[Bucket]]:
    """The buckets that have rows, in order, by unit."""
    values: dict[str, Any] = {
        "service": service,
        "type": metric_type,
        "start": chosen.start,
        "end": chosen.end,
        "step": step,
    }
    found: dict[str, list[Bucket]] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
        cursor.execute(_BUCKETS, values)
        for unit, bucket, *figures in cursor.fetchall():
            found.setdefault(unit, []).append(Bucket((bucket - first) // step, *figures))
    return found


def _read_hours(request: Request) -> tuple[dict[str, list[Bucket]], datetime | None]:
    """The same from the rollups, and the newest row's time; a bucket's rows count as spread over all of it."""
    answer = read(request)
    bounds = [datetime.fromtimestamp(at, UTC) for at in (*request.times, request.end)]
    found: dict[str, list[Bucket]] = {}
    for one in answer.series:
        columns = zip(one.average, one.lowest, one.highest, one.rows, strict=True)
        found[one.unit] = [
            Bucket(place, average, lowest, highest, rows, bounds[place], bounds[place + 1])
            for place, (average, lowest, highest, rows) in enumerate(columns)
            if rows is not None and average is not None and lowest is not None and highest is not None
        ]
    return found, answer.data_to


def _series(unit: str, buckets: list[Bucket], length: int) -> Series:
    empty: list[float | None] = [None] * length
    one = Series(unit, empty.copy(), empty.copy(), empty.copy(), _between(buckets))
    for bucket in buckets:
        one.avg[bucket.place], one.min[bucket.place], one.max[bucket.place] = (
            bucket.avg,
            bucket.min,
            bucket.max,
        )
        one.rows += bucket.rows
    return one


def _between(buckets: list[Bucket]) -> list[int]:
    """The places of empty buckets whose silence is the usual one: by the three silences before, or after, it.

    Either side may explain it, so that a chart is whole where one rhythm meets another.
    """
    silences = [(later.first - earlier.last).total_seconds() for earlier, later in pairwise(buckets)]
    places: list[int] = []
    for number, (earlier, later) in enumerate(pairwise(buckets)):
        if later.place - earlier.place < 2:
            continue
        around = (silences[max(0, number - RHYTHM) : number], silences[number + 1 : number + 1 + RHYTHM])
        usual = max((median(side) for side in around if side), default=0.0)
        if silences[number] <= MISSING * usual:
            places.extend(range(earlier.place + 1, later.place))
    return places
