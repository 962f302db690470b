"""What leaves the archive: objects whose time is over, and after a week those that were never verified."""

from datetime import timedelta

from django.db.models.functions import Now

from utxoiq_admin.retention import storage
from utxoiq_admin.retention.archiving import Work
from utxoiq_admin.retention.models import Archive

SWEEP_AFTER = timedelta(days=7)
BATCH = 100


def expire(work: Work) -> None:
    """Remove the table's objects that are in the archive for longer than its setting; their manifest rows stay.

    Only objects whose rows left the table: restored ones wait for their hold.
    """
    if not work.policy.archive_days:
        return
    oldest = work.now - timedelta(days=work.policy.archive_days)
    over = Archive.objects.filter(
        table=work.policy.table, state=Archive.State.ARCHIVED, verified_at__lt=oldest
    ).order_by("verified_at", "id")
    for archive in over.iterator(chunk_size=BATCH):
        work.at(f"{archive.table}: removing {archive.key} from the archive")
        _remove_object(archive)
        with_state = Archive.objects.filter(pk=archive.pk, state=Archive.State.ARCHIVED)
        with_state.update(state=Archive.State.REMOVED, removed_at=Now())
        work.count(objects_removed=1)


def sweep(work: Work) -> None:
    """Remove what attempts left behind that were never verified, a week after them."""
    left = Archive.objects.filter(
        table=work.policy.table,
        state=Archive.State.FAILED,
        removed_at=None,
        created_at__lt=work.now - SWEEP_AFTER,
    ).order_by("created_at")
    for archive in left.iterator(chunk_size=BATCH):
        work.at(f"{archive.table}: sweeping {archive.key}, which was never verified")
        _remove_object(archive)
        Archive.objects.filter(pk=archive.pk).update(removed_at=Now())
        work.count(objects_removed=1)


def _remove_object(archive: Archive) -> None:
    """The object first: killed in between, the next run finds the row as it was, and removes nothing twice."""
    storage.remove(archive.key)
    storage.remove(archive.manifest_key)
