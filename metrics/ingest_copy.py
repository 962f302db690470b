"""Put rows into `system_metrics` by binary COPY.

Danger: two writers that hold each other's keys deadlock. Rows come in key order from every batch, and what still
meets a writer in another order (plain SQL) is retried.

COPY names the parent table. [5,000 rows: parent 31 ms, partition by name 31 ms; text instead of binary 34 ms, with
25 instead of 9 ms of it on our side. A row packed by hand instead of by psycopg saves 2 ms more: not worth it.]
"""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, IntegrityError, connection, transaction
from psycopg import errors

from metrics.partitions import listing
from metrics.rows import Row

ATTEMPTS = 4
COLUMNS = ("id", "service_name", "metric_type", "metric_value", "unit", '"timestamp"', "metric_metadata")
TYPES = (
    "uuid",
    "varchar",
    "varchar",
    "float8",
    "varchar",
    "timestamptz",
    "bytea",
)  # jsonb comes ready, as bytes
_NAMES = ", ".join(COLUMNS)
_COPY = f"COPY {{}} ({_NAMES}) FROM STDIN (FORMAT BINARY)"
# One per connection, emptied at each commit: making one per batch would leave dead rows in the catalogue.
_STAGING = "CREATE TEMP TABLE IF NOT EXISTS metrics_staging (LIKE system_metrics) ON COMMIT DELETE ROWS"
_MERGE = f"""
INSERT INTO system_metrics ({_NAMES}) SELECT {_NAMES} FROM pg_temp.metrics_staging ORDER BY "timestamp", id
ON CONFLICT DO NOTHING
"""  # noqa: S608  (column names of our own)


class NoPartition(Exception):
    """There is no partition for the time of some of the rows; none was stored."""


def store(rows: Sequence[Row], *, may_exist: bool) -> int:
    """Store the rows in one transaction; how many were new. `may_exist`: some ids were made by the sender.

    Raises NoPartition, and OperationalError where it is not known whether the rows are stored.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                return _store(rows, may_exist=may_exist)
        except DatabaseError as error:
            if _is_missing_partition(error.__cause__):
                raise NoPartition from error
            conflict = isinstance(error.__cause__, errors.DeadlockDetected | errors.SerializationFailure)
            if not conflict or attempt == ATTEMPTS or connection.in_atomic_block:
                raise
            # Not for security: the two that met must not meet again.
            time.sleep(random.uniform(0.005, 0.05) * attempt)  # noqa: S311
    raise AssertionError("unreachable")


def covered(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows that have a partition, and those that have none."""
    spans = [(each.start, each.end) for each in listing()]
    places: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        places[not any(start <= row.timestamp < end for start, end in spans)].append(row)
    return places


def _store(rows: Sequence[Row], *, may_exist: bool) -> int:
    if not may_exist:
        _copy(rows, "system_metrics")
        return len(rows)
    try:
        with transaction.atomic():
            _copy(rows, "system_metrics")
            return len(rows)
    except IntegrityError as error:
        if not isinstance(error.__cause__, errors.UniqueViolation):
            raise
    return _store_new(rows)


def _store_new(rows: Sequence[Row]) -> int:
    """Store those rows whose key is not there yet."""
    with connection.cursor() as cursor:
        cursor.execute(_STAGING)
        _copy(rows, "pg_temp.metrics_staging")
        cursor.execute(_MERGE)
        new = cursor.rowcount
        # In a transaction that goes on, the next batch must not find these.
        if transaction.get_connection().savepoint_ids:
            cursor.execute("TRUNCATE pg_temp.metrics_staging")
        return new


def _copy(rows: Sequence[Row], table: str) -> None:
    with connection.cursor() as cursor, _copying(cursor, _COPY.format(table)) as copy:
        copy.set_types(TYPES)
        write = copy.write_row
        for row in rows:
            write(row[:-1])


@contextmanager
def _copying(cursor: Any, statement: str) -> Iterator[Any]:
    # Django wraps the errors of the call, but not those of the block.
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        yield copy


def _is_missing_partition(cause: BaseException | None) -> bool:
    # The same SQLSTATE as a check's, which has a name.
    return isinstance(cause, errors.CheckViolation) and cause.diag.constraint_name is None
