"""Celery's doors to the services of `metrics`."""

from django.utils import timezone

from metrics import instances, partitions, rollup_verify, rollups
from utxoiq_admin.core.heartbeats import heard_task
from utxoiq_admin.core.task_runs import recorded


@recorded("metrics.maintain_partitions")
def maintain_partitions() -> str:
    """Daily: the partitions of the hot window and of the months ahead stand."""
    return f"made {', '.join(partitions.ensure()) or 'none: all stand'}"


@heard_task("metrics.refresh_rollups")
def refresh_rollups() -> str:
    """Every 5 s: buckets whose rows changed are computed anew."""
    return f"{rollups.refresh(wait=False).marks} marks taken"


@heard_task("metrics.note_instances")
def note_instances() -> str:
    """Each minute: which instances of which services report."""
    return f"{instances.note(now=timezone.now())} instances heard"


@recorded("metrics.verify_rollups")
def verify_rollups() -> str:
    """Nightly: some days by chance are compared with their raw rows and mended, and what is too old goes."""
    found = rollup_verify.verify(now=timezone.now(), sample=rollup_verify.SAMPLE_DAYS, repair=True)
    removed = rollup_verify.expire(now=timezone.now())
    days = ", ".join(f"{day}" for day in found.days)
    return (
        f"{len(found.differences)} buckets differed and were mended on {days}; {removed} series-days expired"
    )
