"""Hourly and daily rollups, exact under any writer: triggers mark buckets, one refresher computes them from raw rows.

Safety, since a wrong figure would be read for two years:
- The refresher's lock is taken in a statement of its own. The statement after it has a younger snapshot, which sees
  all that the refresher before it did. Two at once would each compute from what the other cannot see.
- Marks are taken first, then their buckets computed, never the other way round, in one transaction. A mark and its
  rows commit together: the rows of every mark that was taken are seen by the computing, and rows that it does not see
  have a mark that was not taken. That one stays, and until it is taken readers compute the bucket from raw rows.
- READ COMMITTED only: in an older snapshot the first would not hold, and it is refused.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from metrics.rollup_sql import COLUMNS, PLACES, SAME, UNSEALED, figures, raw_rows, total

logger = logging.getLogger(__name__)
BATCH = 5_000  # marks a pass: some 300,000 raw rows and 0.7 s when minute rows fill every bucket
LOCK = 7_021_002  # one refresher at a time; the number has no meaning beyond being ours

_SET = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS.split(", "))

_TAKE = f"""
WITH taken AS (
  DELETE FROM metric_rollup_marks WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM metric_rollup_marks
    WHERE (%(start)s::timestamptz IS NULL OR hour >= %(start)s) AND (%(end)s::timestamptz IS NULL OR hour < %(end)s)
    ORDER BY hour LIMIT %(batch)s))
  RETURNING service_name, metric_type, unit, hour)
SELECT (SELECT count(*) FROM taken), array_agg(service_name), array_agg(metric_type), array_agg(unit), array_agg(hour)
FROM (SELECT DISTINCT * FROM taken t WHERE {UNSEALED.format("t")}) AS buckets
"""  # noqa: S608

# The arrays stand in the text, so that the planner knows how many buckets there are: what it says of the marks, whose
# table is nearly empty at one time and full at another, would mislead it.
_HOURS = f"""
WITH buckets AS MATERIALIZED (
  SELECT * FROM unnest(%(services)s::text[], %(types)s::text[], %(units)s::text[], %(hours)s::timestamptz[])
    AS b(service_name, metric_type, unit, hour)),
places AS MATERIALIZED ({PLACES.format("buckets")}),
fresh AS MATERIALIZED ({figures(raw_rows("places"))}),
empty AS (
  SELECT service_name, metric_type, unit, hour FROM buckets EXCEPT
  SELECT service_name, metric_type, unit, hour FROM fresh),
gone AS (DELETE FROM metric_rollup_hours h USING empty WHERE {SAME.format("h", "empty")})
INSERT INTO metric_rollup_hours AS h (service_name, metric_type, unit, hour, {COLUMNS})
SELECT service_name, metric_type, unit, hour, {COLUMNS} FROM fresh
ON CONFLICT (service_name, metric_type, hour, unit) DO UPDATE SET {_SET}
"""  # noqa: S608

_PACKED = "hour_rows, hour_totals, hour_lowest, hour_highest"
# A day is made of its 24 hours, which nobody else writes while the refresher's lock is held.
_DAYS = f"""
WITH days AS MATERIALIZED (
  SELECT * FROM unnest(%(services)s::text[], %(types)s::text[], %(units)s::text[], %(days)s::date[])
    AS d(service_name, metric_type, unit, day)),
hours AS MATERIALIZED (
  SELECT d.day, h.* FROM days d CROSS JOIN LATERAL (
    SELECT * FROM metric_rollup_hours r
    WHERE r.service_name = d.service_name AND r.metric_type = d.metric_type AND r.unit = d.unit
      AND r.hour >= d.day::timestamp AT TIME ZONE 'UTC' AND r.hour < (d.day + 1)::timestamp AT TIME ZONE 'UTC'
    OFFSET 0) h),
sketches AS (
  SELECT service_name, metric_type, unit, day, array_agg(bin ORDER BY bin) AS bins,
         array_agg(n ORDER BY bin) AS bin_rows
  FROM (SELECT service_name, metric_type, unit, day, u.bin, sum(u.n)::int AS n
        FROM hours, unnest(bins, bin_rows) AS u(bin, n) GROUP BY 1, 2, 3, 4, 5) AS merged
  GROUP BY 1, 2, 3, 4),
packed AS (
  SELECT service_name, metric_type, unit, d.day, sum(h.rows)::bigint AS rows, {total("h.total")} AS total,
         min(h.lowest) AS lowest, max(h.highest) AS highest, max(h.last_at) AS last_at,
         array_agg(h.rows ORDER BY slot) AS hour_rows, array_agg(h.total ORDER BY slot) AS hour_totals,
         array_agg(h.lowest ORDER BY slot) AS hour_lowest, array_agg(h.highest ORDER BY slot) AS hour_highest
  FROM (SELECT d.*, slot, d.day::timestamp AT TIME ZONE 'UTC' + slot * interval '1 hour' AS hour
        FROM days d, generate_series(0, 23) AS slot) AS d
  LEFT JOIN hours h USING (service_name, metric_type, unit, hour)
  GROUP BY service_name, metric_type, unit, d.day),
gone AS (
  DELETE FROM metric_rollup_days r USING packed p
  WHERE (r.service_name, r.metric_type, r.unit, r.day) = (p.service_name, p.metric_type, p.unit, p.day)
    AND p.rows IS NULL)
INSERT INTO metric_rollup_days (service_name, metric_type, unit, day, {COLUMNS}, {_PACKED})
SELECT service_name, metric_type, unit, day, {COLUMNS}, {_PACKED}
FROM packed JOIN sketches USING (service_name, metric_type, unit, day)
ON CONFLICT (service_name, metric_type, day, unit) DO UPDATE
  SET {_SET}, {", ".join(f"{name} = excluded.{name}" for name in _PACKED.split(", "))}
"""  # noqa: S608


class SnapshotTooOld(RuntimeError):
    """The rollups were to be refreshed in a transaction whose snapshot is older than the statement."""


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did; `complete` is False if another refresher held the lock, or the passes ran out."""

    marks: int = 0
    buckets: int = 0
    complete: bool = True

    def __add__(self, other: "Refreshed") -> "Refreshed":
        return Refreshed(self.marks + other.marks, self.buckets + other.buckets, other.complete)


def refresh(
    *, start: datetime | None = None, end: datetime | None = None, batch: int = BATCH, wait: bool = True
) -> Refreshed:
    """Bring the rollups up to date (those of hours in start <= hour < end); what it took.

    Each pass is a transaction of its own unless the caller has one open. Bulk loaders call it before they finish.
    With `wait=False` it leaves the work to another refresher that is at it.
    """
    done = Refreshed()
    while True:
        one = refresh_once(start=start, end=end, batch=batch, wait=wait)
        done += one
        if one.marks < batch:
            return done


@transaction.atomic
def refresh_once(
    *, start: datetime | None = None, end: datetime | None = None, batch: int = BATCH, wait: bool = True
) -> Refreshed:
    """One pass over at most `batch` marks."""
    if not lock(wait=wait):
        return Refreshed(complete=False)
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"start": start, "end": end, "batch": batch})
        marks, services, types, units, hours = cursor.fetchone()
        if services:
            # Rows of one hour lie side by side, which the planner cannot know of the index on service and time.
            cursor.execute("SET LOCAL random_page_cost = 1; SET LOCAL work_mem = '64MB'")
            cursor.execute(_HOURS, {"services": services, "types": types, "units": units, "hours": hours})
            buckets = zip(services, types, units, hours, strict=True)
            days = {(*series, hour.astimezone(UTC).date()) for *series, hour in buckets}
            rebuild_days(*map(list, zip(*sorted(days), strict=True)))
    return Refreshed(marks, len(services or ()))


def lock(*, wait: bool = True) -> bool:
    """Be the only one who writes rollups until the transaction ends; False if another is and `wait` is False.

    Whoever needs it calls it before the statement that reads, never in the same one. Raises SnapshotTooOld.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_isolation')")
        if cursor.fetchone()[0] != "read committed":
            raise SnapshotTooOld(
                "Rollups are refreshed in READ COMMITTED only: see the head of metrics/rollups.py."
            )
        if wait:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            return True
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def rebuild_days(services: list[str], types: list[str], units: list[str], days: list[date]) -> None:
    """Make these days of these series (parallel lists) from their hours; the lock must be held."""
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, {"services": services, "types": types, "units": units, "days": days})


def pending(*, limit: int | None = None) -> int:
    """How many marks wait for the refresher; with a limit, counted no further than to it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT FROM metric_rollup_marks LIMIT %s) AS marks", [limit])
        return int(cursor.fetchone()[0])


def day_start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def mark(rows: list[tuple[Any, ...]]) -> None:
    """Have these buckets (service, type, unit, hour) computed again."""
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO metric_rollup_marks VALUES (%s, %s, %s, %s)", rows)


def days_between(start: datetime, end: datetime) -> list[date]:
    """The UTC days from start to end, which must be midnights. Raises ValueError."""
    first, last = start.astimezone(UTC), end.astimezone(UTC)
    if first != day_start(first.date()) or last != day_start(last.date()) or first >= last:
        raise ValueError(f"{start} to {end} are no whole UTC days")
    return [first.date() + timedelta(days=n) for n in range((last - first).days)]
