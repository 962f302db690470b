"""Data for the charts: per bucket the average, lowest and highest value of the raw rows, and honest gaps."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from django.db import connection, transaction

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

_BUCKETS = """
SELECT unit, (floor(extract(epoch FROM "timestamp") / %(step)s) * %(step)s)::bigint AS bucket,
       avg(metric_value), min(metric_value), max(metric_value), count(*), max("timestamp")
FROM system_metrics
WHERE service_name = %(service)s AND metric_type = %(type)s
  AND "timestamp" >= %(start)s AND "timestamp" < %(end)s
GROUP BY unit, bucket ORDER BY unit, bucket
"""


class RangeTooLong(ValueError):
    """A chart was asked for more time than LONGEST."""


@dataclass
class Series:
    """One (service, type, unit): parallel columns over `ChartData.times`; None where no row is."""

    unit: str
    avg: list[float | None] = field(default_factory=list)
    min: list[float | None] = field(default_factory=list)
    max: list[float | None] = field(default_factory=list)
    rows: int = 0


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
            "source": "raw rows",
        }


def step_for(length: timedelta) -> int:
    """Bucket width in seconds for a range of this length. Raises RangeTooLong above LONGEST."""
    for longest, step in _STEPS:
        if length <= longest:
            return step
    raise RangeTooLong(f"A chart shows at most {LONGEST.days} days; choose a shorter range.")


def chart_data(*, service: str, metric_type: str, chosen: TimeRange, now: datetime) -> ChartData:
    """The series of one service and metric type in the range, one per unit: units are never mixed.

    Where rows come rarer than the buckets (five-minute rows in one-minute buckets), the buckets are widened to
    the usual distance between rows, so that only what is missing is a gap. Raises RangeTooLong.
    """
    step = step_for(chosen.length)
    buckets = _read(service, metric_type, chosen, step)
    usual = _usual_distance(buckets, step)
    if usual > 1:
        step *= usual
        buckets = _read(service, metric_type, chosen, step)
    return _assemble(service, metric_type, chosen, step, buckets, now)


def _read(service: str, metric_type: str, chosen: TimeRange, step: int) -> list[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
        cursor.execute(
            _BUCKETS,
            {"service": service, "type": metric_type, "start": chosen.start, "end": chosen.end, "step": step},
        )
        return cursor.fetchall()


def _usual_distance(buckets: list[tuple[Any, ...]], step: int) -> int:
    """The median distance between neighbouring filled buckets of one unit, in buckets; 1 if unknown."""
    by_unit: dict[str, list[int]] = {}
    for unit, bucket, *_ in buckets:
        by_unit.setdefault(unit, []).append(bucket)
    distances = [b - a for starts in by_unit.values() for a, b in pairwise(starts)]
    if len(distances) < 3:
        return 1
    return max(1, round(median(distances) / step))


def _assemble(
    service: str,
    metric_type: str,
    chosen: TimeRange,
    step: int,
    buckets: list[tuple[Any, ...]],
    now: datetime,
) -> ChartData:
    first = int(chosen.start.timestamp() // step) * step
    last = int((chosen.end.timestamp() - 1e-6) // step) * step
    times = list(range(first, last + 1, step))
    series: dict[str, Series] = {}
    newest: datetime | None = None
    for unit, bucket, average, lowest, highest, count, latest in buckets:
        one = series.get(unit)
        if one is None:
            empty: list[float | None] = [None] * len(times)
            one = series[unit] = Series(unit, empty.copy(), empty.copy(), empty.copy())
        index = (bucket - first) // step
        one.avg[index], one.min[index], one.max[index] = average, lowest, highest
        one.rows += count
        newest = latest if newest is None else max(newest, latest)
    unfinished = datetime.fromtimestamp(last + step, UTC) > now
    return ChartData(
        service, metric_type, chosen.start, chosen.end, step, times, list(series.values()),
        sum(one.rows for one in series.values()), newest, unfinished,
    )  # fmt: skip
