"""Services whose average of a metric type is above a threshold: the description's "high CPU usage" for any type."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from metrics import catalogue
from metrics.raw_reads import read_rows
from metrics.reading import DAY, HOUR, Request, Source, finite, read
from utxoiq_admin.core.time_range import TimeRange

RAW_LONGEST = timedelta(hours=6)
HOURLY_LONGEST = timedelta(days=31)
LONGEST = timedelta(days=366)

# The description's example, by unit besides, which are never mixed; idx_metrics_type_time serves it. Sums of finite
# values that overflow would fail: each is held inside 1e300.
_RAW = """
SELECT service_name, unit, count(*), sum(greatest(least(metric_value, 1e300), -1e300)),
       min(metric_value), max(metric_value)
FROM system_metrics
WHERE metric_type = %(type)s AND "timestamp" > %(start)s AND (%(end)s::timestamptz IS NULL OR "timestamp" < %(end)s)
GROUP BY 1, 2
"""


class WindowTooLong(ValueError):
    """More than LONGEST was asked for; the message says so."""


@dataclass(frozen=True)
class Usage:
    """One service and unit in the window."""

    service: str
    unit: str
    rows: int
    average: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Answer:
    """`above`: those over the threshold, the highest first; `reporting`: how many services have a row of the type.

    `start` and `end` are what was really read: from hours or days on, the window widened to whole ones.
    """

    above: list[Usage]
    reporting: int
    start: datetime
    end: datetime
    source: Source


def high_usage(*, metric_type: str, threshold: float, window: TimeRange) -> Answer:
    """The services whose average of `metric_type` in the window is above `threshold`, in the type's own unit.

    Exact. A window that ends now takes in rows ahead of this machine's clock, as the example does. Raises
    WindowTooLong.
    """
    if window.length > LONGEST:
        raise WindowTooLong(f"A window has at most {LONGEST.days} days; choose a shorter one.")
    if window.length <= RAW_LONGEST:
        found, start, end, source = _raw(metric_type, window), window.start, window.end, Source.RAW
    else:
        source = Source.HOURLY if window.length <= HOURLY_LONGEST else Source.DAILY
        found, start, end = _rolled_up(metric_type, window, source)
    above = sorted(
        (each for each in found if each.average > threshold), key=lambda each: (-each.average, each.service)
    )
    return Answer(above, len({each.service for each in found}), start, end, source)


def _raw(metric_type: str, window: TimeRange) -> list[Usage]:
    end = None if window.preset else window.end
    rows = read_rows(_RAW, {"type": metric_type, "start": window.start, "end": end})
    return [
        Usage(service, unit, count, total / count, lowest, highest)
        for service, unit, count, total, lowest, highest in rows
    ]


def _rolled_up(metric_type: str, window: TimeRange, source: Source) -> tuple[list[Usage], datetime, datetime]:
    step = HOUR if source == Source.HOURLY else DAY
    first = int(window.start.timestamp() // step) * step
    last = -int(-window.end.timestamp() // step) * step
    names = tuple(catalogue.service_names())
    series = read(Request(names, (metric_type,), first, last, step, source)).series
    found = []
    for one in series:
        rows = sum(filter(None, one.rows))
        total = finite(sum(filter(None, one.total)))
        lowest = min(value for value in one.lowest if value is not None)
        highest = max(value for value in one.highest if value is not None)
        found.append(Usage(one.service_name, one.unit, rows, total / rows, lowest, highest))
    return found, datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)
