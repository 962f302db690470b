"""Stretches in which a service reported nothing at all, whatever its types.

Two ways to look, by the width of the chart's buckets: under an hour by raw rows, with probes of the index from row to
row (as many as the range has buckets, however many rows it has); from an hour on by the hours that the rollups hold,
which outlive the rows.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from metrics.reading import HOUR
from metrics.rhythm import silent_after, usual_intervals

LIMIT = 200  # gaps of one service

# Whether the service is older than the range: its raw rows from before it may be in the archive.
EARLIER = "EXISTS (SELECT FROM metric_rollup_days WHERE service_name = %(service)s AND day < %(first_day)s)"

# From a row to the last one within a gap's length after it; where there is none, over the gap to the next.
_WALK = f"""
WITH RECURSIVE walk(before, at) AS (
  SELECT coalesce(
           (SELECT "timestamp" FROM system_metrics WHERE service_name = %(service)s AND "timestamp" < %(start)s
            ORDER BY "timestamp" DESC LIMIT 1),
           CASE WHEN {EARLIER} THEN %(start)s END),
         (SELECT "timestamp" FROM system_metrics WHERE service_name = %(service)s
            AND "timestamp" >= %(start)s AND "timestamp" < %(end)s ORDER BY "timestamp" LIMIT 1)
  UNION ALL
  SELECT w.at, coalesce(
    (SELECT "timestamp" FROM system_metrics WHERE service_name = %(service)s AND "timestamp" > w.at
       AND "timestamp" <= w.at + %(longest)s AND "timestamp" < %(end)s ORDER BY "timestamp" DESC LIMIT 1),
    (SELECT "timestamp" FROM system_metrics WHERE service_name = %(service)s
       AND "timestamp" > w.at + %(longest)s AND "timestamp" < %(end)s ORDER BY "timestamp" LIMIT 1))
  FROM walk w WHERE w.at IS NOT NULL)
SELECT greatest(before, %(start)s), coalesce(at, %(end)s) FROM walk
WHERE before IS NOT NULL AND coalesce(at, %(end)s) - before > %(longest)s
ORDER BY 1 LIMIT %(limit)s
"""  # noqa: S608

# Hours with any row: packed in the days, marked (not computed yet), or come late into a sealed day.
_HOURS = f"""
WITH present(hour) AS (
  SELECT d.day::timestamp AT TIME ZONE 'UTC' + (slot - 1) * interval '1 hour'
  FROM metric_rollup_days d, unnest(d.hour_rows) WITH ORDINALITY AS packed(n, slot)
  WHERE d.service_name = %(service)s AND d.day >= %(first_day)s AND d.day <= %(last_day)s AND n IS NOT NULL
  UNION
  SELECT hour FROM metric_rollup_marks WHERE service_name = %(service)s AND hour >= %(start)s AND hour < %(end)s
  UNION
  SELECT date_bin('1 hour', r."timestamp", 'epoch') FROM metric_late_rows l
  JOIN system_metrics r ON r.id = l.id AND r."timestamp" = l."timestamp"
  WHERE l."timestamp" >= %(start)s AND l."timestamp" < %(end)s AND r.service_name = %(service)s),
edges(until, again) AS (
  SELECT hour + interval '1 hour', lead(hour, 1, %(end)s) OVER (ORDER BY hour) FROM present
  WHERE hour >= %(start)s AND hour < %(end)s
  UNION ALL
  SELECT %(start)s, coalesce((SELECT min(hour) FROM present WHERE hour >= %(start)s AND hour < %(end)s), %(end)s)
  WHERE {EARLIER})
SELECT until, again FROM edges WHERE again - until >= %(longest)s ORDER BY 1 LIMIT %(limit)s
"""  # noqa: S608


@dataclass(frozen=True)
class Gap:
    """No row of the service lies in start < t < end. `by_hours`: seen by the rollups' hours, so only to the hour."""

    service: str
    start: datetime
    end: datetime
    by_hours: bool
    silent_after: timedelta


def gaps(service: str, *, start: datetime, end: datetime, step: int) -> list[Gap]:
    """The service's gaps in [start, end) that a chart with buckets of `step` seconds shows, oldest first.

    Before its first row ever, and after `end`, nothing is missing. Neither is what its usual rhythm explains: it is
    learnt at both ends of the range.
    """
    rhythms = [usual_intervals({service: moment}).get(service) for moment in (start, end)]
    least = max(silent_after(usual) for usual in rhythms)
    longest = max(least, timedelta(seconds=step))
    by_hours = step >= HOUR
    # In whole hours, and without the one that is not over: what it lacks may yet come.
    first, last = (_hour(start), _hour(end)) if by_hours else (start, end)
    values: dict[str, Any] = {
        "service": service, "start": first, "end": last, "first_day": first.astimezone(UTC).date(),
        "last_day": last.astimezone(UTC).date(), "longest": longest, "limit": LIMIT,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_HOURS if by_hours else _WALK, values)
        return [Gap(service, since, until, by_hours, least) for since, until in cursor.fetchall()]


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
