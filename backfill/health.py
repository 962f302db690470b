"""What can be wrong with backfill jobs, from the jobs' own rows."""

from datetime import datetime, timedelta

from django.urls import reverse

from backfill.models import BackfillJob
from utxoiq_admin.core.display import span
from utxoiq_admin.core.health import Check, Level

FAILED_WITHIN = timedelta(hours=24)
OVERDUE_AFTER = timedelta(minutes=10)
SHOWN = 20


def job_checks(now: datetime) -> list[Check]:
    """One check for each job that failed in the last day or runs on past its own estimate; newest first."""
    failed = BackfillJob.objects.failed_since(now - FAILED_WITHIN)[:SHOWN]
    overdue = BackfillJob.objects.overdue(now - OVERDUE_AFTER)[:SHOWN]
    checks = [_failed(job) for job in failed] + [_overdue(job, now) for job in overdue]
    return checks or [Check("jobs", Level.OK, "no job failed in 24 h")]


def _failed(job: BackfillJob) -> Check:
    reason = (job.error_message or "no reason given").strip().splitlines()[0][:120]
    return Check(
        "job failed", Level.BROKEN, f"job {job} failed: {reason}", job.completed_at, _url(job), "job"
    )


def _overdue(job: BackfillJob, now: datetime) -> Check:
    late = span((now - job.estimated_completion).total_seconds()) if job.estimated_completion else ""
    text = (
        f"job {job} should have ended {late} ago by its own estimate; at {job.progress_percentage or 0:.0f} %"
    )
    return Check("job overdue", Level.SOON, text, job.estimated_completion, _url(job), "job")


def _url(job: BackfillJob) -> str:
    return reverse("admin:backfill_backfilljob_change", args=[job.pk])
