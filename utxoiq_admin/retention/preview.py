"""What a run would do, without doing it: rows and dates for each table, counted up to a limit."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from psycopg import sql

from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.policies import POLICIES
from utxoiq_admin.retention.rows import Due, due

COUNT_LIMIT = 1_000_000  # rows a table; some 0.2 s
TIMEOUT_MS = 10_000


@dataclass
class TablePreview:
    """Rows that would be archived and deleted; `exact` is False above COUNT_LIMIT. Objects that would be removed."""

    table: str
    cutoff: datetime
    rows: int = 0
    exact: bool = True
    first_at: datetime | None = None
    last_at: datetime | None = None
    to_finish: int = 0
    held: list[tuple[datetime, datetime]] = field(default_factory=list)
    objects_to_remove: int = 0

    @property
    def does_something(self) -> bool:
        return bool(self.rows or self.to_finish or self.objects_to_remove)


@transaction.atomic
def preview(*, now: datetime, tables: list[str] | None = None) -> list[TablePreview]:
    """For each table (all without `tables`), what a run at `now` would take. Reads indexes, writes nothing."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
    return [_of(table, now) for table in tables or POLICIES]


def _of(table: str, now: datetime) -> TablePreview:
    policy = POLICIES[table]
    found = TablePreview(table, policy.cutoff(now))
    found.held = list(Archive.objects.held(table, now).values_list("first_at", "last_at"))
    found.to_finish = Archive.objects.to_finish(table, now).count()
    if policy.archive_days:
        oldest = now - timedelta(days=policy.archive_days)
        over = Archive.objects.filter(table=table, state=Archive.State.ARCHIVED, verified_at__lt=oldest)
        found.objects_to_remove = over.count()
    for each in due(policy, now):
        _count(found, each, COUNT_LIMIT - found.rows)
    return found


def _count(found: TablePreview, each: Due, left: int) -> None:
    if left < 0:
        return
    time = sql.Identifier("t", each.policy.time)
    query = sql.SQL(
        "SELECT count(*), min(at), max(at) FROM (SELECT {0} AS at FROM {1} AS t WHERE {2} ORDER BY {0} LIMIT {3}) s"
    ).format(time, sql.Identifier(each.source), each.condition(), sql.Literal(left + 1))
    with connection.cursor() as cursor:
        cursor.execute(query)
        rows, first, last = cursor.fetchone()
    found.exact = found.exact and rows <= left
    found.rows += min(rows, left)
    found.first_at = found.first_at or first
    found.last_at = last or found.last_at
