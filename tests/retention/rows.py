"""Rows of the three tables that are due, and what the database and the archive hold of them together."""

import contextlib
import gzip
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import md5
from uuid import UUID

from django.db import connection

from metrics.partitions import ensure_months, listing, months, window
from utxoiq_admin.retention import runs, services, storage
from utxoiq_admin.retention.models import Archive, Run
from utxoiq_admin.retention.policies import POLICIES

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
# Far enough back that every table's rows are due.
OLD = datetime(2024, 3, 10, tzinfo=UTC)
TABLES = tuple(POLICIES)
# What breaks lines, quoting and numbers, if anything does.
ODD = [
    "plain",
    'a "quoted" \\ back',
    "new\nline\tand\r",
    "ünïcödé 比特币 🟠",
    "\x01\x02\x7f",
    '"id":"x","timestamp":"2020"',
    "",
]


def fill(days: int = 3, rows: int = 40, *, start: datetime = OLD) -> None:
    """`rows` rows a day and table, with odd words in them; nothing stands in a sealed day."""
    ensure_months(list(months(start.date(), (start + days * DAY).date())))
    values = {"start": start, "days": days, "rows": rows, "odd": ODD, "kinds": len(ODD)}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO system_metrics (service_name, metric_type, metric_value, unit, "timestamp", metric_metadata)
            SELECT 's' || r %% 3, 'cpu', 0.1 * r * (CASE r %% 3 WHEN 0 THEN 1e-300 ELSE 1e300 END), 'percent',
                   %(start)s::timestamptz + d * interval '1 day' + r * interval '1 day' / %(rows)s,
                   CASE WHEN r %% 4 = 0 THEN NULL
                        ELSE jsonb_build_object('timestamp', '2020', 'n', 1.10,
                                                'odd', (%(odd)s::text[])[1 + r %% %(kinds)s])
                   END
            FROM generate_series(0, %(days)s - 1) d, generate_series(0, %(rows)s - 1) r""",
            values,
        )
        cursor.execute(
            """
            INSERT INTO insight_feedback (insight_id, user_id, rating, comment, created_at, updated_at)
            SELECT 'i' || %(start)s::date || d || '-' || r, 'u', 1 + r %% 5,
                   (%(odd)s::text[])[1 + r %% %(kinds)s], at, at
            FROM generate_series(0, %(days)s - 1) d, generate_series(0, %(rows)s - 1) r,
                 LATERAL (SELECT %(start)s::timestamptz + d * interval '1 day' + r * interval '1 s' AS at) t""",
            values,
        )
        cursor.execute(
            """
            INSERT INTO backfill_jobs
              (job_type, start_block, end_block, current_block, status, error_message, started_at)
            SELECT 'blocks', r, r + 9, r, 'completed', (%(odd)s::text[])[1 + r %% %(kinds)s],
                   %(start)s::timestamptz + d * interval '1 day' + r * interval '1 min'
            FROM generate_series(0, %(days)s - 1) d, generate_series(0, %(rows)s / 4 - 1) r""",
            values,
        )


def drop_old_partitions() -> None:
    """So that other tests find those of the hot window and no others."""
    with connection.cursor() as cursor:
        for partition in listing():
            if partition.start.date() < window(NOW)[0]:
                cursor.execute(f"DROP TABLE {partition.name}")


def in_database(table: str) -> Counter[str]:
    """The rows of a table as lines."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT row_to_json(t)::text FROM {table} t")
        return Counter(row[0] for row in cursor.fetchall())


def everything() -> dict[str, Counter[str]]:
    return {table: in_database(table) for table in TABLES}


def lines(archive: Archive) -> list[str]:
    with storage.opened(archive.key) as packed:
        return gzip.decompress(packed.read()).decode().split("\n")[:-1]


def in_archive(table: str) -> Counter[str]:
    """Lines of a table that stand in verified objects and nowhere else: not superseded, not in the table too."""
    found: Counter[str] = Counter()
    for archive in Archive.objects.filter(table=table, state=Archive.State.ARCHIVED):
        gone = set(archive.superseded)
        found.update(line for line in lines(archive) if UUID(md5(line.encode()).hexdigest()) not in gone)
    return found


def held_together() -> dict[str, Counter[str]]:
    """Every row, wherever it is; in both places it counts twice."""
    return {table: in_database(table) + in_archive(table) for table in TABLES}


def run(*, now: datetime = NOW, tables: tuple[str, ...] = ()) -> Run:
    """One whole run; what fails in it is told by its row."""
    asked, _ = runs.request(trigger=Run.Trigger.COMMAND, by="tests", clock=now, tables=tables, send=False)
    with contextlib.suppress(services.RunFailed):
        services.perform(run_id=asked.pk)
    return Run.objects.get(pk=asked.pk)


def manifest(first: datetime, last: datetime) -> Archive:
    """What stands there once metrics of that time have left, without any object."""
    return Archive.objects.create(
        table="system_metrics",
        key=f"{first}",
        state=Archive.State.ARCHIVED,
        first_at=first,
        last_at=last,
        rows=1,
        bytes=1,
        checksum="0" * 32,
        verified_at=last,
    )


def row_ids(table: str) -> set[str]:
    return {json.loads(line)["id"] for line in in_database(table)}
