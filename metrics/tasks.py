"""Celery's doors to the services of `metrics`."""

from celery import shared_task

from metrics import partitions


@shared_task(name="metrics.maintain_partitions")
def maintain_partitions() -> None:
    """Daily: the partitions of the hot window and of the months ahead stand."""
    partitions.ensure()
