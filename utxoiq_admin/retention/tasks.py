"""Celery's doors to `retention`; on the queue of long jobs."""

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from utxoiq_admin.core.task_runs import recorded
from utxoiq_admin.retention import restoring, runs, services
from utxoiq_admin.retention import watch as watching
from utxoiq_admin.retention.models import Archive


@recorded(runs.TASK)
def run(run: str | None = None) -> str:
    """By the schedule at 02:00 UTC, or a run that somebody asked for."""
    return services.perform(run_id=UUID(run)) if run else services.run_nightly()


@recorded("retention.watch")
def watch() -> str:
    """Every five minutes: a run that crashed is marked and taken over."""
    return watching.watch()


@recorded("retention.restore")
def restore(archive: str, until: str, by: str) -> str:
    """The rows of one object come back, as somebody asked for on its page."""
    done = restoring.restore(
        archive=Archive.objects.get(pk=archive),
        until=datetime.fromisoformat(until),
        by=by,
        now=timezone.now(),
    )
    return done.in_words()
