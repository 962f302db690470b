"""How demo rows get into the tables and out of them again: COPY in, bounded deletions out."""

import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from psycopg import sql

from utxoiq_admin.demo.curves import SERIES, Curve
from utxoiq_admin.demo.plan import RECENT, Plan, minute_of, moment_of

COARSE = 5  # minutes between two rows before RECENT
METRIC_COLUMNS = ("id", "timestamp", "service_name", "metric_type", "unit", "metric_metadata", "metric_value")
DELETE_SPAN = timedelta(hours=6)  # some 22,000 one-minute rows, under 0.3 s
DELETE_ROWS = 5_000


def quick_commit() -> None:
    """For this transaction: do not wait for the disk. A crash may lose it whole, markers included.

    Jobs that it deletes take their coverage along: what the demo never ingested must not count as done.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off; SET LOCAL utxoiq.forget = 'on'")


def copy_rows(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows by COPY; return how many."""
    count = 0
    with connection.cursor() as cursor, cursor.copy(_copy_statement(table, columns)) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def copy_metrics(plan: Plan, first: datetime, end: datetime, *, recent_from: datetime) -> int:
    """Write all series' rows, first <= timestamp < end: each minute since `recent_from`, each fifth before."""
    start, stop, border = minute_of(first), minute_of(end), minute_of(recent_from)
    minutes = [m for m in range(start, stop) if m >= border or m % COARSE == 0]
    # A time-ordered id (UUIDv7) is the moment, then bits of the series: unique without keeping anything.
    heads = [_head(minute) for minute in minutes]
    lines = [
        f"{prefix}{tail.format(moment)}{value}\n"
        for series in SERIES
        for tail in [_tail(plan, series)]
        for (prefix, moment), value in zip(heads, Curve(plan, series).values(minutes), strict=True)
        if value is not None
    ]
    if lines:
        with (
            connection.cursor() as cursor,
            cursor.copy(_copy_statement("system_metrics", METRIC_COLUMNS)) as copy,
        ):
            copy.write("".join(lines))
    return len(lines)


def delete_metrics(first: datetime, end: datetime, *, between_coarse: bool = False) -> int:
    """Remove demo rows with first <= timestamp < end, or only those that five-minute rows leave out."""
    condition = 'AND (extract(epoch FROM "timestamp")::bigint / 60) %% 5 <> 0' if between_coarse else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""DELETE FROM system_metrics WHERE "timestamp" >= %s AND "timestamp" < %s
                AND metric_metadata @> '{{"demo": true}}' {condition}""",  # noqa: S608
            [first, end],
        )
        return int(cursor.rowcount)


def delete_some(table: str, condition: str, parameters: Sequence[Any] = ()) -> int:
    """Remove at most DELETE_ROWS rows that meet a condition of this package's own; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608
            f"SELECT ctid FROM {table} WHERE {condition} LIMIT {DELETE_ROWS}))",
            list(parameters),
        )
        return int(cursor.rowcount)


def metrics_span() -> tuple[datetime, datetime] | None:
    """The oldest and newest moment of any metric; None in an empty table."""
    with connection.cursor() as cursor:
        cursor.execute('SELECT min("timestamp"), max("timestamp") FROM system_metrics')
        first, last = cursor.fetchone()
    return (first, last) if first else None


def analyze() -> None:
    """Statistics for the planner: autovacuum never makes those of a partitioned table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE system_metrics, insight_feedback, insight_flags, insight_figures, insight_texts, backfill_jobs"
        )


def recent_border(now: datetime) -> datetime:
    """From here to `now` a row stands for each minute; it moves by whole hours, to thin once an hour."""
    return (now - RECENT).replace(minute=0, second=0, microsecond=0)


def _copy_statement(table: str, columns: Sequence[str]) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)


def _head(minute: int) -> tuple[str, str]:
    stamp = f"{minute * 60_000:012x}"
    return f"{stamp[:8]}-{stamp[8:]}-", f"{moment_of(minute):%Y-%m-%d %H:%M:%S}+00"


def _tail(plan: Plan, series: Any) -> str:
    """The rest of a COPY line after the id's time, a format string with one hole for the timestamp."""
    bits = plan.key("id", series.service, series.instance, series.metric_type)
    more = plan.key("id, first part", series.service, series.instance, series.metric_type)
    identity = str(uuid.UUID(int=(0x7 << 76) | (more & 0xFFF) << 64 | (0b10 << 62) | bits & ((1 << 62) - 1)))[
        14:
    ]
    metadata = (
        json.dumps({"instance_id": series.instance, "demo": True}).replace("{", "{{").replace("}", "}}")
    )
    return f"{identity}\t{{}}\t{series.service}\t{series.metric_type}\t{series.unit}\t{metadata}\t"
