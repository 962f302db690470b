"""Comparing rollups with the raw rows: DROP fires no trigger, and tables are restored from elsewhere."""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from metrics.rollup_sql import SAME, UNSEALED, figures, total
from metrics.rollups import day_start, lock, mark, refresh
from metrics.sealing import prune_late
from utxoiq_admin.core import cache

SAMPLE_DAYS = 3
EXPIRE_BATCH = 1_000  # days of a series, 24 times as many hours: 0.1 s
SUMS_AGREE = 1e-9  # relative to the sum of sizes: the order of adding is not the same

_ROWS = """(SELECT service_name, metric_type, unit, metric_value, "timestamp",
    date_bin('1 hour', "timestamp", 'epoch') AS hour
  FROM system_metrics WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s) AS m"""

# One statement, so one snapshot: marks, raw rows and rollups of the same moment. EXCEPT and full joins are hashed,
# whatever the planner thinks of the marks.
_DIFFERENT = f"""
WITH raw AS MATERIALIZED ({figures(_ROWS)}),
kept AS MATERIALIZED (SELECT * FROM metric_rollup_hours WHERE hour >= %(start)s AND hour < %(end)s),
packed AS MATERIALIZED (
  SELECT service_name, metric_type, unit, d.day::timestamp AT TIME ZONE 'UTC' + (slot - 1) * interval '1 hour' AS hour,
         hour_rows[slot] AS rows, hour_totals[slot] AS total, hour_lowest[slot] AS lowest,
         hour_highest[slot] AS highest
  FROM metric_rollup_days d CROSS JOIN generate_series(1, 24) AS slot
  WHERE d.day >= (%(start)s::timestamptz AT TIME ZONE 'UTC')::date
    AND d.day < (%(end)s::timestamptz AT TIME ZONE 'UTC')::date AND hour_rows[slot] IS NOT NULL),
whole AS (
  SELECT service_name, metric_type, unit, (hour AT TIME ZONE 'UTC')::date AS day, sum(rows)::bigint AS rows,
         {total("total")} AS total, min(lowest) AS lowest, max(highest) AS highest, max(last_at) AS last_at,
         min(hour) AS hour
  FROM kept GROUP BY 1, 2, 3, 4),
sketches AS (
  SELECT service_name, metric_type, unit, day, array_agg(bin ORDER BY bin) AS bins,
         array_agg(n ORDER BY bin) AS bin_rows
  FROM (SELECT service_name, metric_type, unit, (hour AT TIME ZONE 'UTC')::date AS day, u.bin, sum(u.n)::int AS n
        FROM kept, unnest(bins, bin_rows) AS u(bin, n) GROUP BY 1, 2, 3, 4, 5) AS merged
  GROUP BY 1, 2, 3, 4),
different AS (
  SELECT service_name, metric_type, unit, hour FROM raw FULL JOIN kept USING (service_name, metric_type, unit, hour)
  WHERE (raw.rows, raw.lowest, raw.highest, raw.last_at, raw.bins, raw.bin_rows) IS DISTINCT FROM
        (kept.rows, kept.lowest, kept.highest, kept.last_at, kept.bins, kept.bin_rows)
     OR abs(raw.total / 4 - kept.total / 4) >
        {SUMS_AGREE} * raw.rows * greatest(abs(raw.lowest / 4), abs(raw.highest / 4)) + 1e-300
  UNION
  SELECT service_name, metric_type, unit, hour FROM packed FULL JOIN kept USING (service_name, metric_type, unit, hour)
  WHERE (packed.rows, packed.total, packed.lowest, packed.highest) IS DISTINCT FROM
        (kept.rows, kept.total, kept.lowest, kept.highest)
  UNION
  SELECT service_name, metric_type, unit, whole.hour
  FROM whole JOIN sketches USING (service_name, metric_type, unit, day)
  LEFT JOIN metric_rollup_days d USING (service_name, metric_type, unit, day)
  WHERE (whole.rows, whole.lowest, whole.highest, whole.last_at, sketches.bins, sketches.bin_rows) IS DISTINCT FROM
        (d.rows, d.lowest, d.highest, d.last_at, d.bins, d.bin_rows)
     OR abs(whole.total / 4 - d.total / 4) >
        {SUMS_AGREE} * whole.rows * greatest(abs(whole.lowest / 4), abs(whole.highest / 4)) + 1e-300
  EXCEPT SELECT service_name, metric_type, unit, hour FROM metric_rollup_marks)
SELECT service_name, metric_type, unit, hour, (SELECT rows FROM raw WHERE {SAME.format("raw", "d")}),
       (SELECT rows FROM kept WHERE {SAME.format("kept", "d")})
FROM different d WHERE {UNSEALED.format("d")} ORDER BY hour, service_name, metric_type, unit
"""  # noqa: S608


# A day goes with its hours. Only sealed ones: what has raw rows has its rollup.
_EXPIRE = """
WITH days AS (
  DELETE FROM metric_rollup_days WHERE ctid = ANY(ARRAY(
    SELECT d.ctid FROM metric_rollup_days d JOIN metric_sealed_days s USING (day) WHERE d.day < %s LIMIT %s))
  RETURNING service_name, metric_type, unit, day),
hours AS (
  DELETE FROM metric_rollup_hours h USING days d
  WHERE (h.service_name, h.metric_type, h.unit) = (d.service_name, d.metric_type, d.unit)
    AND h.hour >= d.day::timestamp AT TIME ZONE 'UTC' AND h.hour < (d.day + 1)::timestamp AT TIME ZONE 'UTC')
SELECT count(*) FROM days
"""


@dataclass(frozen=True)
class Difference:
    """A bucket without a mark whose rollup is not what its raw rows say."""

    service_name: str
    metric_type: str
    unit: str
    hour: datetime
    raw_rows: int | None
    rollup_rows: int | None

    def __str__(self) -> str:
        name = f"{self.hour:%Y-%m-%d %H:00} {self.service_name} {self.metric_type} ({self.unit})"
        if self.raw_rows == self.rollup_rows:
            return f"{name}: {self.raw_rows or 0} rows, of which the hour's or the day's rollup says other figures"
        return f"{name}: {self.raw_rows or 0} rows, the rollup says {self.rollup_rows or 0}"


@dataclass
class Verified:
    days: list[date] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)


def verify_day(day: date) -> list[Difference]:
    """The buckets of a UTC day that differ from their raw rows; those with a mark or sealed are not looked at."""
    start = day_start(day)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        cursor.execute(_DIFFERENT, {"start": start, "end": start + timedelta(days=1)})
        return [Difference(*row) for row in cursor.fetchall()]


def hot_days(now: datetime) -> list[date]:
    """The UTC days that raw rows may stand in, oldest first: the hot window, and tomorrow for clocks ahead of ours."""
    today = now.astimezone(UTC).date()
    return [today - timedelta(days=n) for n in range(settings.RETENTION_METRICS_DAYS, -2, -1)]


def verify(
    *, now: datetime, sample: int | None = None, repair: bool = False, chance: Any = random
) -> Verified:
    """Compare every hot day (or `sample` of them, by chance) with the raw rows; with `repair`, compute what differs."""
    days = hot_days(now)
    if sample is not None:
        days = sorted(chance.sample(days, min(sample, len(days))))
    done = Verified(days)
    for day in days:
        found = verify_day(day)
        done.differences += found
        if repair and found:
            mark([(d.service_name, d.metric_type, d.unit, d.hour) for d in found])
            refresh()
            # What DROP changed told no listener.
            cache.bump(*{f"service:{d.service_name}" for d in found})
    if repair:
        prune_late()
    return done


def expire(*, now: datetime) -> int:
    """Remove the rollups of sealed days older than the setting, in bounded batches; how many days of a series."""
    oldest = now.astimezone(UTC).date() - timedelta(days=settings.ROLLUPS_METRICS_DAYS)
    removed = 0
    while batch := _expire_once(oldest):
        removed += batch
    return removed


@transaction.atomic
def _expire_once(oldest: date) -> int:
    lock()
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRE, [oldest, EXPIRE_BATCH])
        return int(cursor.fetchone()[0])
