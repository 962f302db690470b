"""What leaves the archive: objects whose time is over, and after a week those that were never verified."""

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from utxoiq_admin.retention import storage
from utxoiq_admin.retention.archiving import Work
from utxoiq_admin.retention.models import Archive

SWEEP_AFTER = timedelta(days=7)
BATCH = 100


def expire(work: Work) -> list[str]:
    """Remove the table's objects that are in the archive for longer than its setting; their manifest rows stay.

    Only objects whose rows left the table: restored ones wait for their hold.
    """
    if not work.policy.archive_days:
        return []
    oldest = work.now - timedelta(days=work.policy.archive_days)
    over = Archive.objects.filter(
        table=work.policy.table, state=Archive.State.ARCHIVED, verified_at__lt=oldest
    ).order_by("verified_at", "id")
    for archive in over.iterator(chunk_size=BATCH):
        work.at(f"{archive.table}: removing {archive.key} from the archive", between=True)
        _remove_object(work, archive, state=Archive.State.REMOVED)
    return []


def sweep(work: Work) -> list[str]:
    """Remove what attempts left behind that were never verified, a week after them."""
    left = Archive.objects.filter(
        table=work.policy.table,
        state=Archive.State.FAILED,
        removed_at=None,
        created_at__lt=work.now - SWEEP_AFTER,
    ).order_by("created_at")
    for archive in left.iterator(chunk_size=BATCH):
        work.at(f"{archive.table}: sweeping {archive.key}, which was never verified", between=True)
        _remove_object(work, archive, state=Archive.State.FAILED)
    return []


@transaction.atomic
def _remove_object(work: Work, archive: Archive, *, state: Archive.State) -> None:
    """The object, then its row's word of it: killed in between, the next run finds the row as it was.

    The row is locked meanwhile, and the lease checked, so that nobody restores what is being removed.
    """
    work.lease.check()
    current = Archive.objects.select_for_update().filter(pk=archive.pk, state=archive.state, removed_at=None)
    if current.first() is None:
        return
    storage.remove(archive.key)
    storage.remove(archive.manifest_key)
    Archive.objects.filter(pk=archive.pk).update(state=state, removed_at=Now())
    work.count(objects_removed=1)
