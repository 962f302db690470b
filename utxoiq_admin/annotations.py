"""The joint between the charts and those who know what happened: what each app has to say about a range of time.

A further app joins with a class and a line in `PROVIDERS`: alerts, with their beginnings and ends.
"""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse

from backfill.models import BackfillJob
from metrics import annotations
from metrics.annotations import Cause, Level, Mark, May, Reason
from utxoiq_admin.core.display import first_line
from utxoiq_admin.core.standstill import standstills
from utxoiq_admin.retention.models import Archive, Run

TABLE = "system_metrics"
STOOD_STILL = "this application, or its database, was not running: nothing was taken in"


class Jobs:
    """Backfill jobs that started, finished or failed."""

    def marks(self, start: datetime, end: datetime, *, may: May, limit: int) -> Sequence[Mark]:
        if not may("backfill.view_backfilljob"):
            return []
        found = [
            mark
            for job in BackfillJob.objects.touching(start, end)[:limit]
            for mark in _of_job(job)
            if start <= mark.at < end
        ]
        return sorted(found, key=lambda mark: mark.at)[-limit:]

    def reasons(self, start: datetime, end: datetime, *, now: datetime) -> Sequence[Reason]:
        return []


def _of_job(job: BackfillJob) -> list[Mark]:
    url = reverse("job", args=[job.pk])
    marks = [Mark(job.started_at, "job_started", f"job {job} started", url)]
    if job.completed_at and job.status == BackfillJob.Status.FAILED:
        reason = first_line(job.error_message, otherwise="no reason given")
        marks.append(Mark(job.completed_at, "job_failed", f"job {job} failed: {reason}", url, Level.BAD))
    elif job.completed_at and job.status == BackfillJob.Status.COMPLETED:
        marks.append(Mark(job.completed_at, "job_finished", f"job {job} finished", url, Level.OK))
    return marks


class Ingest:
    """Whether this application could take anything in: its own heartbeats."""

    def marks(self, start: datetime, end: datetime, *, may: May, limit: int) -> Sequence[Mark]:
        return []

    def reasons(self, start: datetime, end: datetime, *, now: datetime) -> Sequence[Reason]:
        return [
            Reason(since, until, Cause.NOT_INGESTING, STOOD_STILL)
            for since, until in standstills(start, end, now=now)
        ]


class Retention:
    """Retention's runs as they ended, and the rows that its manifests say have left the table."""

    LEVELS: dict[str, Level] = {Run.State.SUCCEEDED: Level.OK, Run.State.STOPPED: Level.WARN}

    def marks(self, start: datetime, end: datetime, *, may: May, limit: int) -> Sequence[Mark]:
        if not may("retention.view_run"):
            return []
        return [
            Mark(
                run.finished_at,
                "retention_run",
                f"retention {run.state}",
                reverse("retention"),
                level=self.LEVELS.get(run.state, Level.BAD),
            )
            for run in Run.objects.ended_between(start, end)[:limit]
            if run.finished_at
        ]

    def reasons(self, start: datetime, end: datetime, *, now: datetime) -> Sequence[Reason]:
        found = Archive.objects.away(TABLE, start, end).values_list("first_at", "last_at", "state")
        return [_left(first, last, Archive.State(state)) for first, last, state in found]


def _left(first: datetime, last: datetime, state: Archive.State) -> Reason:
    where = "were removed from the archive" if state == Archive.State.REMOVED else "are in the archive"
    query = urlencode({"table": TABLE, "from": f"{first:%Y-%m-%d}", "to": f"{last:%Y-%m-%d}"})
    url = f"{reverse('archives')}?{query}"
    return Reason(first, last, Cause.ARCHIVED, f"rows of this time {where}", url)


PROVIDERS: dict[str, annotations.Provider] = {"jobs": Jobs(), "ingest": Ingest(), "retention": Retention()}


def register_all() -> None:
    for name, provider in PROVIDERS.items():
        annotations.register(name, provider)
