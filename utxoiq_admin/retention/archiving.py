"""The way of a row: spooled, uploaded, verified by reading back, deleted by proof. A slice of a day at a time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from django.db import OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from psycopg import errors

from metrics import partitions, sealing
from utxoiq_admin.core.leases import HeldLease
from utxoiq_admin.retention import manifests, storage
from utxoiq_admin.retention.models import Archive, Run, RunTable
from utxoiq_admin.retention.policies import Policy
from utxoiq_admin.retention.proof import Damaged, exhaust, read_back
from utxoiq_admin.retention.removal import Removed, remove_rows
from utxoiq_admin.retention.rows import Due, due
from utxoiq_admin.retention.spool import Spool, spooled

ATTEMPTS = 5  # to get rows' locks, 2 s each
GIVE_UP = 3  # objects in a row that the storage did not give: it is the storage, not the object


class Contended(Exception):
    """Other transactions kept rows or a partition locked; nothing was deleted."""


class Place(Protocol):
    """Says where the run is. Raises LeaseLost at once; Stopped only `between` two slices, each of which ends whole."""

    def __call__(self, step: str, *, between: bool = False) -> None: ...


@dataclass
class Work:
    """What the steps of one table share."""

    run: Run
    policy: Policy
    figures: RunTable
    lease: HeldLease
    now: datetime
    at: Place
    slices: int = 0

    def count(self, **changes: int) -> None:
        """Add to the table's figures, in the transaction that is open."""
        RunTable.objects.filter(pk=self.figures.pk).update(
            **{name: F(name) + amount for name, amount in changes.items()}
        )


def archive_table(work: Work) -> list[str]:
    """Everything that is due in one table and in no verified object yet."""
    give_up_unfinished(work)
    for each in due(work.policy, work.now):
        for day in each.days():
            _archive_day(work, each, day)
    return []


@transaction.atomic
def give_up_unfinished(work: Work) -> None:
    """Objects that an earlier run did not verify are none; their rows are still in the table."""
    work.lease.check()
    Archive.objects.filter(state=Archive.State.WRITING, table=work.policy.table).exclude(run=work.run).update(
        state=Archive.State.FAILED,
        error="Its run ended before it was verified; its rows stayed in the table.",
    )


def finish(work: Work) -> list[str]:
    """Rows of verified objects that a crash left in the table, and restored ones whose hold is over, leave now.

    An object that cannot be read, or whose rows are locked, keeps no other from it; it is tried again in the next run.
    """
    faults, unread = [], 0
    for archive in Archive.objects.to_finish(work.policy.table, work.now).iterator(chunk_size=100):
        work.at(
            f"{work.policy.table}: {archive.first_at:%Y-%m-%d}, reading {archive.key} again", between=True
        )
        try:
            _remove(work, archive)
            unread = 0
        except (Damaged, Contended) as error:
            faults.append(str(error))
        except storage.StorageFailed as error:
            faults.append(str(error))
            unread += 1
            if unread == GIVE_UP:
                break
    return faults


def _archive_day(work: Work, due: Due, day: datetime) -> None:
    end = day + timedelta(days=1)
    if work.policy.in_months:
        work.at(f"{due.policy.table}: {day:%Y-%m-%d}, sealing its rollups", between=True)
        sealing.seal(start=day, end=end)
    start = day
    while True:
        work.at(f"{due.policy.table}: {start:%Y-%m-%d %H:%M}, reading rows", between=True)
        with spooled(due, start, end) as spool:
            if not spool.tally.rows:
                return
            archive = _written(work, spool)
        removed = _remove(work, archive, _verify(work, archive))
        # Only forward: a row that was edited meanwhile, and stayed, is for the next run. Somebody who edits all the
        # time would have this one archive the row for ever.
        if archive.rows < spool.limit or (not removed.rows and start == archive.last_at):
            return
        start = archive.last_at


def _written(work: Work, spool: Spool) -> Archive:
    """The manifest's row first: whatever happens, the object's key is known, and an unverified one is swept."""
    table, tally = work.policy.table, spool.tally
    work.slices += 1
    first, last = tally.first_at, tally.last_at
    key = (
        f"{table}/{first:%Y/%m}/{table}_{first:%Y%m%dT%H%M%S%f}_{last:%Y%m%dT%H%M%S%f}"
        f"_{work.run.pk.hex}-{work.slices}.jsonl.gz"
    )
    archive = Archive.objects.create(
        table=table,
        key=key,
        first_at=first,
        last_at=last,
        rows=tally.rows,
        bytes=spool.bytes,
        checksum=tally.checksum,
        sha256=spool.digest.hexdigest(),
        run=work.run,
    )
    work.at(f"{table}: {first:%Y-%m-%d}, uploading {tally.rows:,} rows")
    try:
        storage.upload(key, spool.file)
    except storage.StorageFailed as error:
        _failed(archive, str(error))
        raise
    return archive


def _verify(work: Work, archive: Archive) -> bytearray:
    """Read the object back and hold it against what was spooled; the proof of its rows.

    Raises Damaged, StorageFailed, LeaseLost.
    """
    proof = bytearray()
    work.at(f"{archive.table}: {archive.first_at:%Y-%m-%d}, reading {archive.rows:,} rows back")
    try:
        with storage.opened(archive.key) as packed:
            exhaust(read_back(packed, archive, work.policy.time, proof=proof))
    except (Damaged, storage.StorageFailed) as error:
        why = str(error) if isinstance(error, storage.StorageFailed) else f"{archive.key}: {error}"
        _failed(archive, f"{why}. It is not what was spooled; its rows stayed in the table.")
        raise Damaged(f"{why}. It is not what was spooled; nothing of it was deleted.") from error
    with transaction.atomic():
        # Whoever took over may have archived the same rows since: a second verified object would count them twice.
        work.lease.check()
        Archive.objects.filter(pk=archive.pk).update(state=Archive.State.VERIFIED, verified_at=Now())
    work.count(rows_verified=archive.rows, bytes_archived=archive.bytes)
    return proof


def _failed(archive: Archive, why: str) -> None:
    Archive.objects.filter(pk=archive.pk).update(state=Archive.State.FAILED, error=why)


def _remove(work: Work, archive: Archive, verified: bytearray | None = None) -> Removed:
    """The manifest beside the object, then its rows leave. Raises Damaged, StorageFailed, Contended.

    `verified` as in `proof_of`.
    """
    work.at(f"{archive.table}: {archive.first_at:%Y-%m-%d}, deleting {archive.rows:,} rows")
    manifests.write(archive)

    def count(removed: Removed) -> None:
        work.count(rows_deleted=removed.rows, rows_superseded=removed.superseded)

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return remove_rows(archive, work.policy, work.lease, count=count, verified=verified)
        except (Damaged, storage.Missing) as error:
            raise _damaged(work, archive, error) from error
        except OperationalError as error:
            if not isinstance(error.__cause__, errors.LockNotAvailable | errors.DeadlockDetected):
                raise
            if attempt == ATTEMPTS:
                raise Contended(
                    f"Rows of {archive.table} of {archive.first_at:%Y-%m-%d} stayed locked by other transactions "
                    f"through {ATTEMPTS} attempts of 2 s; they leave in the next run."
                ) from error
            work.at(f"{archive.table}: {archive.first_at:%Y-%m-%d}, waiting for rows that others have locked")
    raise AssertionError("unreachable")


def _damaged(work: Work, archive: Archive, error: Exception) -> Damaged:
    """It was verified once and is not found equal now: note it; the rows are archived anew. Raises LeaseLost."""
    why = str(error) if isinstance(error, storage.StorageFailed) else f"{archive.key}: {error}."
    told = f"{why} It was verified before; none of its rows was deleted now, and those that stand are archived anew."
    with transaction.atomic():
        # Whoever took over may have read it well and deleted its rows: called damaged, they would count as lost.
        work.lease.check()
        Archive.objects.standing(archive.table).filter(pk=archive.pk).update(
            state=Archive.State.DAMAGED, hold_until=None, error=told
        )
    return Damaged(told)


def drop_partitions(work: Work) -> list[str]:
    """Partitions of the months before the hot window go once they are empty; what stayed locked, in words."""
    faults = []
    oldest, _ = partitions.window(min(work.now, timezone.now()))
    for each in partitions.listing():
        if each.end.date() > oldest:
            continue
        work.at(f"{each.name}: dropping it if it is empty", between=True)
        try:
            if partitions.drop_empty(each.name, first=work.lease.check):
                work.count(partitions_dropped=1, bytes_freed=each.bytes)
        except partitions.PartitionBusy as error:
            faults.append(str(error))
    return faults
