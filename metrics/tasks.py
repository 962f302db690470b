"""Celery's doors to the services of `metrics`."""

from metrics import partitions
from utxoiq_admin.core.task_runs import recorded


@recorded("metrics.maintain_partitions")
def maintain_partitions() -> str:
    """Daily: the partitions of the hot window and of the months ahead stand."""
    return f"made {', '.join(partitions.ensure()) or 'none: all stand'}"
