"""Celery's doors to the services of `metrics`."""

from celery import shared_task
from django.utils import timezone

from metrics import partitions, rollup_verify, rollups
from utxoiq_admin.core.heartbeats import beat
from utxoiq_admin.core.task_runs import recorded


@recorded("metrics.maintain_partitions")
def maintain_partitions() -> str:
    """Daily: the partitions of the hot window and of the months ahead stand."""
    return f"made {', '.join(partitions.ensure()) or 'none: all stand'}"


@shared_task(name="metrics.refresh_rollups")
def refresh_rollups() -> None:
    """Every 5 s: buckets whose rows changed are computed anew. A heartbeat stands for a row each: 17,280 a day."""
    done = rollups.refresh(wait=False)
    beat("rollups", {"marks": done.marks})


@recorded("metrics.verify_rollups")
def verify_rollups() -> str:
    """Nightly: some days by chance are compared with their raw rows and mended, and what is too old goes."""
    found = rollup_verify.verify(now=timezone.now(), sample=rollup_verify.SAMPLE_DAYS, repair=True)
    removed = rollup_verify.expire(now=timezone.now())
    days = ", ".join(f"{day}" for day in found.days)
    return (
        f"{len(found.differences)} buckets differed and were mended on {days}; {removed} series-days expired"
    )
