"""Rows come back from the archive, held for a while from being taken again."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models.functions import Now
from psycopg import sql

from metrics import partitions, sealing
from utxoiq_admin.core.leases import HeldLease, hold
from utxoiq_admin.retention import storage
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.policies import POLICIES, Policy
from utxoiq_admin.retention.proof import read_back
from utxoiq_admin.retention.rows import AS_LINES, BOUNDS, PINS
from utxoiq_admin.retention.runs import LEASE, TTL

SHOWN = 100

_LINES = "CREATE TEMPORARY TABLE retention_lines (line text NOT NULL) ON COMMIT DROP"
# A key that stands is left untouched, and so is feedback of a (insight, user) that was given again.
_INSERT = sql.SQL("""
INSERT INTO {table} SELECT r.* FROM retention_lines AS l
CROSS JOIN LATERAL json_populate_record(NULL::{table}, l.line::json) AS r
WHERE md5(l.line)::uuid <> ALL({superseded}::uuid[])
ON CONFLICT DO NOTHING""")
_SKIPPED = sql.SQL("""
SELECT l.line::json ->> 'id', count(*) OVER () FROM retention_lines AS l
WHERE md5(l.line)::uuid <> ALL({superseded}::uuid[]) AND NOT EXISTS (
  SELECT FROM {table} AS t WHERE t.id = (l.line::json ->> 'id')::uuid
    AND {time} = (l.line::json ->> {name})::timestamptz AND md5(row_to_json(t)::text) = md5(l.line))
LIMIT {limit}""")


class NotRestorable(Exception):
    """The object cannot be restored now; the message says why."""


@dataclass(frozen=True)
class Restored:
    """What came back. Others stand in the way of `skipped` rows; `named` are the ids of at most SHOWN of them."""

    rows: int
    already_there: int
    superseded: int
    skipped: int
    named: list[str]

    def in_words(self) -> str:
        """One line for a page or a terminal, and one for each row that was skipped."""
        counts = (
            f"{self.rows:,} rows restored, {self.already_there:,} stood there, {self.superseded:,} superseded, "
            f"{self.skipped:,} skipped"
        )
        lines = [counts, *(f"skipped {key}: another row stands in its place" for key in self.named)]
        if unnamed := self.skipped - len(self.named):
            lines.append(f"and {unnamed:,} more, skipped for the same reason")
        return "\n".join(lines)


def restore(*, archive: Archive, until: datetime, by: str, now: datetime) -> Restored:
    """Bring the object's rows back, and keep them from retention until `until`. All of them or none.

    Lines that a newer version superseded stay where they are. Raises NotRestorable, proof.Damaged,
    storage.StorageFailed, LeaseHeld while a run is under way.
    """
    if until <= now:
        raise NotRestorable("The date until which the rows are held lies in the past.")
    _check(archive)
    policy = POLICIES[archive.table]
    with hold(LEASE, ttl=TTL) as lease:
        if policy.in_months:
            partitions.ensure_months(list(partitions.months(archive.first_at.date(), archive.last_at.date())))
        return _bring_back(archive, policy, until, by, lease)


def _check(archive: Archive) -> None:
    if archive.state not in Archive.READABLE:
        raise NotRestorable(
            f"{archive.key} is {archive.get_state_display().lower()}: there is nothing to restore."
        )
    if archive.state == Archive.State.VERIFIED:
        raise NotRestorable(f"The rows of {archive.key} have not left the table yet.")


def _bring_back(archive: Archive, policy: Policy, until: datetime, by: str, lease: HeldLease) -> Restored:
    """The lines are held against the manifest as they come in, before the transaction may commit."""
    with sealing.uncounted(), connection.cursor() as cursor:
        cursor.execute(PINS)
        cursor.execute(BOUNDS)
        lease.check()
        current = Archive.objects.select_for_update().get(pk=archive.pk)
        _check(current)
        cursor.execute(_LINES)
        with (
            storage.opened(archive.key) as packed,
            cursor.copy(sql.SQL("COPY retention_lines FROM STDIN {}").format(AS_LINES)) as copy,
        ):
            for block in read_back(packed, archive, policy.time):
                copy.write(block)
        names = {
            "table": sql.Identifier(policy.table),
            "superseded": sql.Literal(current.superseded),
            "time": sql.Identifier("t", policy.time),
            "name": sql.Literal(policy.time),
            "limit": sql.Literal(SHOWN),
        }
        cursor.execute(_INSERT.format(**names))
        rows, wanted = int(cursor.rowcount), archive.rows - len(current.superseded)
        found: list[tuple[str, int]] = []
        if rows < wanted:
            cursor.execute(_SKIPPED.format(**names))
            found = cursor.fetchall()
        skipped = found[0][1] if found else 0
        current.state, current.hold_until, current.restored_by = Archive.State.RESTORED, until, by
        current.save()
        Archive.objects.filter(pk=archive.pk).update(restored_at=Now())
    return Restored(
        rows, wanted - rows - skipped, len(current.superseded), skipped, [key for key, _ in found]
    )
