"""Rows leave their table, by proof: exactly those that stand, unchanged, in an object that was read back just now.

Danger: here rows are deleted for good. What keeps it safe, in this order:
1. The object is read back and held against its manifest, each time, directly before the deletion. Whatever happened
   to it since it was verified is found here, and nothing is deleted. Where this run has unpacked it before, that its
   bytes have the same sha256 is enough.
2. The transaction checks the lease first: a run that was taken over commits nothing.
3. A row goes only if its key and the md5 of all its columns stand in the proof. Edited since, it stays; its line in
   the object is noted as superseded, and the row is archived again.
4. The deletion and the manifest's new state commit together.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now
from psycopg import sql

from metrics import sealing
from metrics.models import SealedDay
from utxoiq_admin.core.leases import HeldLease
from utxoiq_admin.retention import manifests, storage
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.policies import Policy, midnight
from utxoiq_admin.retention.proof import PROOF_END, PROOF_START, exhaust, read_back, unchanged
from utxoiq_admin.retention.rows import BOUNDS, PINS, SAME_CONTENT, same_key, source_of

_TEMPORARY = """
CREATE TEMPORARY TABLE retention_proof (id uuid NOT NULL, at timestamptz NOT NULL, digest uuid NOT NULL)
ON COMMIT DROP
"""

# Names and times as constants of the slice: the planner reads its rows by time, and hashes the proof.
_MATCHING = sql.SQL(
    "FROM {source} AS t JOIN retention_proof AS p ON {key} AND {content} WHERE {time} >= {first} AND {time} <= {last}"
)
_DELETE = sql.SQL(
    "DELETE FROM {source} AS t USING retention_proof AS p "
    "WHERE {key} AND {content} AND {time} >= {first} AND {time} <= {last}"
)
_SUPERSEDED = sql.SQL("SELECT p.digest FROM {source} AS t JOIN retention_proof AS p ON {key}")


@dataclass(frozen=True)
class Removed:
    """What one object's removal came to."""

    rows: int
    superseded: int


def proof_of(archive: Archive, policy: Policy, *, verified: bytearray | None = None) -> bytearray:
    """Read the object back and hold it against its manifest; the proof for COPY. Raises Damaged, StorageFailed.

    `verified` is the proof that this run made of it before: it is good still if the object's bytes are.
    """
    if verified:
        with storage.opened(archive.key) as packed:
            if unchanged(packed, archive):
                return verified
    proof = bytearray()
    with storage.opened(archive.key) as packed:
        exhaust(read_back(packed, archive, policy.time, proof=proof))
    return proof


def remove_rows(
    archive: Archive, policy: Policy, lease: HeldLease, *, count: Any, verified: bytearray | None = None
) -> Removed:
    """Delete the object's rows that stand in the table unchanged; `count(removed)` runs in the same transaction.

    `verified` as in `proof_of`.

    Raises Damaged or StorageFailed (nothing was deleted), LeaseLost, OperationalError where locks are contended.
    """
    proof = proof_of(archive, policy, verified=verified)
    source = source_of(policy, archive.first_at)
    with sealing.uncounted(), connection.cursor() as cursor:
        cursor.execute(PINS)
        cursor.execute(BOUNDS)
        lease.check()
        current = Archive.objects.select_for_update().get(pk=archive.pk)
        if current.state not in (Archive.State.VERIFIED, Archive.State.RESTORED):
            return Removed(0, 0)
        removed, superseded = _delete(cursor, policy, source, archive, proof) if source else (0, [])
        current.state = Archive.State.ARCHIVED
        current.rows_deleted += removed
        current.superseded = sorted({*current.superseded, *superseded})
        current.hold_until = None
        current.save()
        if superseded:  # before the commit: the rows were edited, whatever becomes of this transaction
            manifests.write(current)
        Archive.objects.filter(pk=archive.pk).update(deleted_at=Now())
        done = Removed(removed, len(superseded))
        count(done)
    return done


def _delete(
    cursor: Any, policy: Policy, source: str, archive: Archive, proof: bytearray
) -> tuple[int, list[UUID]]:
    cursor.execute(_TEMPORARY)
    with cursor.copy("COPY retention_proof FROM STDIN (FORMAT BINARY)") as copy:
        for part in (PROOF_START, proof, PROOF_END):
            copy.write(part)
    names = _names(policy, source, archive.first_at, archive.last_at)
    if policy.in_months:
        _check_sealed(archive)
        _count_late(cursor, names)
    cursor.execute(_DELETE.format(**names))
    removed = int(cursor.rowcount)
    if removed == archive.rows:
        return removed, []
    cursor.execute(_SUPERSEDED.format(**names))
    return removed, [row[0] for row in cursor.fetchall()]


def _names(policy: Policy, source: str, first: datetime, last: datetime) -> dict[str, Any]:
    return {
        "source": sql.Identifier(source),
        "key": same_key(policy),
        "content": SAME_CONTENT,
        "time": sql.Identifier("t", policy.time),
        "first": sql.Literal(first),
        "last": sql.Literal(last),
    }


def _check_sealed(archive: Archive) -> None:
    """Deleting leaves no mark: it must be certain that the rollups of the day are final."""
    day = midnight(archive.first_at).date()
    if not SealedDay.objects.filter(day=day).exists():
        raise RuntimeError(
            f"{day} is not sealed: deleting its rows would leave wrong figures. Nothing was deleted."
        )


def _count_late(cursor: Any, names: dict[str, Any]) -> None:
    """Late rows enter the rollup in the transaction that deletes them; locked, so that they are the same rows."""
    late = sql.SQL(" AND EXISTS (SELECT FROM metric_late_rows l WHERE l.id = t.id AND l.{0} = t.{0})").format(
        sql.Identifier("timestamp")
    )
    cursor.execute(
        sql.SQL('SELECT t.id, t."timestamp" ')
        + _MATCHING.format(**names)
        + late
        + sql.SQL(" FOR UPDATE OF t")
    )
    if keys := cursor.fetchall():
        sealing.merge_late(keys)
