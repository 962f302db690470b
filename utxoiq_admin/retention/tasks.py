"""Celery's door to `retention`; on the queue of long jobs."""

from uuid import UUID

from utxoiq_admin.core.task_runs import recorded
from utxoiq_admin.retention import runs, services


@recorded(runs.TASK)
def run(run: str | None = None) -> str:
    """By the schedule at 02:00 UTC, or a run that somebody asked for."""
    return services.perform(run_id=UUID(run)) if run else services.run_nightly()
