"""Sealing: the rollups of old days become final, so that their raw rows may leave for the archive.

Danger: what is counted twice or dropped here is wrong for two years. In the order of a day's life:
1. `seal` brings the day's buckets up to date and seals them, in one transaction. It takes each day's lock, which every
   writer into that day shares until its commit: a writer is counted before the seal, or its trigger sees the seal.
2. Retention deletes the day's archived rows, and restore puts them back, inside `uncounted()`: no mark is left.
3. Rows that come after the seal are late. Their trigger names them in `metric_late_rows`, and readers add them on top.
4. Retention archives late rows like others. In the transaction that deletes them it calls `merge_late` first: a row
   leaves `metric_late_rows` and enters the rollup at once, exactly once whoever else tries.

Figures of a sealed day never shrink: changing or deleting a row that was counted before changes no sealed bucket.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from psycopg import errors

from metrics.rollup_sql import COLUMNS, figures, late_rows
from metrics.rollups import days_between, lock, rebuild_days, refresh_once

# Below PostgreSQL's deadlock_timeout of 1 s: in a deadlock with writers it is always the sealer that gives way.
LOCK_TIMEOUT_MS = 200
ATTEMPTS = 20
_DAY_LOCKS = 7_021_003  # the triggers' number: see migration 0004

_MERGE = f"""
WITH wanted AS (SELECT DISTINCT * FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) AS w(id, "timestamp")),
taken AS MATERIALIZED (
  DELETE FROM metric_late_rows l USING wanted w
  WHERE l.id = w.id AND l."timestamp" = w."timestamp" RETURNING l.id, l."timestamp"),
late AS ({figures(late_rows("true").replace("metric_late_rows", "taken"))}),
merged AS (
  SELECT l.service_name, l.metric_type, l.unit, l.hour, l.rows + coalesce(h.rows, 0) AS rows,
         l.total AS more, h.total AS before, least(l.lowest, h.lowest) AS lowest,
         greatest(l.highest, h.highest) AS highest, greatest(l.last_at, h.last_at) AS last_at, sketch.*
  FROM late l
  LEFT JOIN metric_rollup_hours h USING (service_name, metric_type, unit, hour)
  CROSS JOIN LATERAL (
    SELECT array_agg(bin ORDER BY bin) AS bins, array_agg(n ORDER BY bin) AS bin_rows
    FROM (SELECT bin, sum(n)::int AS n
          FROM unnest(l.bins || coalesce(h.bins, '{{}}'), l.bin_rows || coalesce(h.bin_rows, '{{}}')) AS u(bin, n)
          GROUP BY bin) AS summed) AS sketch),
kept AS (
  INSERT INTO metric_rollup_hours (service_name, metric_type, unit, hour, {COLUMNS})
  SELECT service_name, metric_type, unit, hour, rows,
         -- Halves never overflow where the whole would.
         least(greatest(more / 2 + coalesce(before, 0) / 2, -8.98e307), 8.98e307) * 2, lowest, highest, last_at,
         bins, bin_rows
  FROM merged
  ON CONFLICT (service_name, metric_type, hour, unit) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS.split(", "))})
SELECT coalesce((SELECT sum(rows) FROM late), 0)::bigint, array_agg(service_name), array_agg(metric_type),
       array_agg(unit), array_agg(day)
FROM (SELECT DISTINCT service_name, metric_type, unit, (hour AT TIME ZONE 'UTC')::date AS day FROM late) AS days
"""  # noqa: S608


class SealBusy(Exception):
    """Writers kept the days open for the whole of ATTEMPTS; nothing was sealed. Try again later."""


def seal(*, start: datetime, end: datetime) -> list[date]:
    """Seal the UTC days from `start` to `end` (midnights); the days that were not sealed before.

    Safe to repeat. In a caller's transaction the seal comes with its commit, and writers into these days wait until
    then. Raises SealBusy, ValueError for a range that is not whole days.
    """
    days = days_between(start, end)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _seal(days, start, end)
        except OperationalError as error:
            if not isinstance(error.__cause__, errors.LockNotAvailable):
                raise
            if attempt == ATTEMPTS:
                raise SealBusy(
                    f"{days[0]} to {days[-1]} stayed open to writers; nothing was sealed."
                ) from error
            time.sleep(0.05 * attempt)
    raise AssertionError("unreachable")


@transaction.atomic
def _seal(days: list[date], start: datetime, end: datetime) -> list[date]:
    # The refresher first, which may take its time: with the days' locks held, their writers wait.
    lock()
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_TIMEOUT_MS}ms"])
        for day in days:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s, %s::date - date '2000-01-01')", [_DAY_LOCKS, day]
            )
        # Rows of writers that commit from here on are late. What is marked so far is counted.
        while refresh_once(start=start, end=end).marks:
            pass
        cursor.execute("UPDATE metric_seal_clock SET sealings = sealings + 1")
        cursor.execute(
            "INSERT INTO metric_sealed_days (day) SELECT unnest(%s::date[]) ON CONFLICT DO NOTHING RETURNING day",
            [days],
        )
        sealed = sorted(row[0] for row in cursor.fetchall())
        cursor.execute("SET LOCAL lock_timeout = 0")
    return sealed


@contextmanager
def uncounted() -> Iterator[None]:
    """A transaction whose changes of `system_metrics` leave no mark: its rows are counted in sealed days.

    For retention's deletions and for restoring, of sealed days only; readers' caches are told all the same.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(current_setting('utxoiq.no_marks', true), '')")
        before = cursor.fetchone()[0]
        cursor.execute("SELECT set_config('utxoiq.no_marks', 'on', true)")
        yield
        cursor.execute("SELECT set_config('utxoiq.no_marks', %s, true)", [before])


def merge_late(keys: Sequence[tuple[UUID, datetime]]) -> int:
    """Count those of the rows (id, timestamp) that are late in their sealed buckets, and late no more; how many.

    In the transaction that deletes them, before it does, so that both happen or neither. Raises
    TransactionManagementError outside of one.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "merge_late() belongs into the transaction that deletes the rows."
        )
    lock()
    with connection.cursor() as cursor:
        parameters: Any = {"ids": [key[0] for key in keys], "times": [key[1] for key in keys]}
        # Their values must not change between being merged and being deleted; in key order, as every writer.
        cursor.execute(
            """SELECT FROM system_metrics m JOIN unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) AS w(id, "timestamp")
               USING (id, "timestamp") ORDER BY m.id, m."timestamp" FOR UPDATE OF m""",
            parameters,
        )
        cursor.execute(_MERGE, parameters)
        rows, *days = cursor.fetchone()
    if rows:
        rebuild_days(*days)
    return int(rows)


def late_keys(*, start: datetime, end: datetime, limit: int) -> list[tuple[UUID, datetime]]:
    """Keys of at most `limit` late rows with start <= timestamp < end that stand in the table, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT DISTINCT l.id, l."timestamp" FROM metric_late_rows l
               JOIN system_metrics m ON m.id = l.id AND m."timestamp" = l."timestamp"
               WHERE l."timestamp" >= %s AND l."timestamp" < %s ORDER BY l."timestamp", l.id LIMIT %s""",
            [start, end, limit],
        )
        return [(row[0], row[1]) for row in cursor.fetchall()]


def prune_late() -> int:
    """Forget the names of late rows that somebody deleted; a name and its row commit together, so none is missed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """DELETE FROM metric_late_rows l WHERE NOT EXISTS (
                 SELECT FROM system_metrics m WHERE m.id = l.id AND m."timestamp" = l."timestamp")"""
        )
        return int(cursor.rowcount)
