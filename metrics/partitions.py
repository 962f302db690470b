"""Monthly partitions of `system_metrics`: make ahead, list, drop.

Danger: a careless lock here stops all ingest. `CREATE TABLE … PARTITION OF` waits behind every open read and
queues every writer behind itself, so a partition is made beside the table and attached (SHARE UPDATE EXCLUSIVE,
which neither reads nor writes conflict with). Dropping does need ACCESS EXCLUSIVE on the parent: it waits for
it only LOCK_TIMEOUT_MS at a time, which is the longest that ingest can be held up.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction
from psycopg import errors, sql

TABLE = "system_metrics"
MONTHS_AHEAD = 3
LOCK_TIMEOUT_MS = 200
ATTEMPTS = 10
_ADVISORY_KEY = 7_021_001  # one maker at a time; the number has no meaning beyond being ours
_NAME = re.compile(rf"{TABLE}_\d{{4}}_\d{{2}}")

T = TypeVar("T")


class PartitionBusy(Exception):
    """A partition could not be changed because other transactions kept their locks on it."""


@dataclass(frozen=True)
class Partition:
    """One partition: bounds are UTC month starts, `rows` the planner's estimate (None before any ANALYZE)."""

    name: str
    start: datetime
    end: datetime
    bytes: int
    rows: int | None


def month_start(moment: date) -> date:
    return date(moment.year, moment.month, 1)


def next_month(month: date) -> date:
    return month_start(month + timedelta(days=31))


def months(first: date, last: date) -> Iterator[date]:
    """The first days of all months from `first`'s to `last`'s, both included."""
    month = month_start(first)
    while month <= last:
        yield month
        month = next_month(month)


def partition_name(month: date) -> str:
    return f"{TABLE}_{month:%Y_%m}"


def window(now: datetime | None = None) -> tuple[date, date]:
    """First and last month that must exist: the hot window's start, and MONTHS_AHEAD after this month."""
    today = (now or datetime.now(UTC)).astimezone(UTC).date()
    last = month_start(today)
    for _ in range(MONTHS_AHEAD):
        last = next_month(last)
    return month_start(today - timedelta(days=settings.RETENTION_METRICS_DAYS)), last


def listing() -> list[Partition]:
    """All attached partitions by time."""
    with connection.cursor() as cursor:
        cursor.execute(
            r"""
            SELECT c.relname,
                   (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\)'))[1]::timestamptz,
                   (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1]::timestamptz,
                   pg_total_relation_size(c.oid),
                   nullif(c.reltuples, -1)::bigint
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = to_regclass(%s)
            ORDER BY 2
            """,
            [TABLE],
        )
        return [Partition(*row) for row in cursor.fetchall()]


def missing(now: datetime | None = None) -> list[date]:
    """Months of the window that have no partition yet."""
    covered = [(p.start, p.end) for p in listing()]

    def is_covered(month: date) -> bool:
        moment = datetime(month.year, month.month, 1, tzinfo=UTC)
        return any(start <= moment < end for start, end in covered)

    return [month for month in months(*window(now)) if not is_covered(month)]


def covered_until() -> datetime | None:
    """The moment up to which rows can be written; None when there is no partition at all."""
    return max((p.end for p in listing()), default=None)


def ensure(*, now: datetime | None = None) -> list[str]:
    """Make every partition of the window that is missing; return the names made, by time.

    Safe to run twice at once: makers queue on an advisory lock and the second finds nothing missing.
    Raises PartitionBusy when another change of the table kept its lock for the whole of ATTEMPTS.
    """
    return ensure_months(missing(now))


def ensure_months(wanted: list[date]) -> list[str]:
    """Make the partitions of the whole months in which these days lie; those that exist are left alone."""
    wanted_months = sorted({month_start(day) for day in wanted})
    return [name for month in wanted_months if (name := _retried(partial(_make, month)))]


def drop_empty(name: str, *, first: Callable[[], None] = lambda: None) -> bool:
    """Detach and drop the partition if it holds no row; return whether it was dropped.

    `first` is called first in the transaction that drops it: what it raises, a lost lease say, keeps the partition.

    The look for rows is made under the partition's ACCESS EXCLUSIVE lock, in the transaction that drops it.
    Raises ValueError for a name that is no partition of ours, PartitionBusy when readers keep it locked.
    """
    if not _NAME.fullmatch(name) or name not in {p.name for p in listing()}:
        raise ValueError(f"{name} is no partition of {TABLE}; `manage.py partitions` lists them")
    return _retried(partial(_drop_empty, name, first))


def _drop_empty(name: str, first: Callable[[], None]) -> bool:
    table, parent = sql.Identifier(name), sql.Identifier(TABLE)
    with transaction.atomic(), connection.cursor() as cursor:
        first()
        cursor.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
        cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table))
        if cursor.fetchone()[0]:
            return False
        cursor.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(parent, table))
        cursor.execute(sql.SQL("DROP TABLE {}").format(table))
    return True


def _make(month: date) -> str | None:
    name = partition_name(month)
    table, parent = sql.Identifier(name), sql.Identifier(TABLE)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_KEY])
        if name in {p.name for p in listing()}:
            return None
        cursor.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(table, parent))
        for definition in _trigger_definitions(cursor):
            cursor.execute(definition.replace(f"ON public.{TABLE} ", f"ON public.{name} "))
        cursor.execute(
            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                parent,
                table,
                sql.Literal(f"{month} 00:00:00+00"),
                sql.Literal(f"{next_month(month)} 00:00:00+00"),
            )
        )
    return name


def _trigger_definitions(cursor: object) -> list[str]:
    """CREATE TRIGGER statements of the parent's own triggers: a parent's statement trigger does not fire for a
    statement that names a partition, so each partition carries the same ones."""
    cursor.execute(  # type: ignore[attr-defined]
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal",
        [TABLE],
    )
    return [row[0] for row in cursor.fetchall()]  # type: ignore[attr-defined]


def _retried(work: Callable[[], T]) -> T:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work()
        except (OperationalError, DatabaseError) as error:
            if not isinstance(error.__cause__, (errors.LockNotAvailable, errors.DeadlockDetected)):
                raise
            if attempt == ATTEMPTS:
                raise PartitionBusy(
                    f"{TABLE} stayed locked by other transactions through {ATTEMPTS} attempts of "
                    f"{LOCK_TIMEOUT_MS} ms; nothing was changed. Look for long transactions and run it again."
                ) from error
            time.sleep(0.05 * attempt)
    raise AssertionError("unreachable")
