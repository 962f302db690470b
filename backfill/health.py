"""What can be wrong with backfill jobs: failed in the last day, silent, stalled, or waiting long for a worker."""

from datetime import datetime, timedelta

from django.urls import reverse

from backfill.models import BackfillJob
from backfill.standing import Standing, standing_of
from backfill.verdicts import State
from utxoiq_admin.core.display import first_line, span
from utxoiq_admin.core.health import Check, Level

FAILED_WITHIN = timedelta(hours=24)
WAITS_LONG = timedelta(minutes=15)
SHOWN = 20
LOOKED_AT = 200  # open jobs; a platform has a handful


def job_checks(now: datetime) -> list[Check]:
    """One check for each job that failed in the last day (cancelled ones are no fault) or does not get on."""
    failed = BackfillJob.objects.failed_since(now - FAILED_WITHIN, cancelled=False)[:SHOWN]
    running = BackfillJob.objects.filter(status=BackfillJob.Status.RUNNING)[:LOOKED_AT]
    troubled = [check for each in standing_of(running) if (check := _trouble(each))]
    checks = [_failed(job) for job in failed] + troubled
    return checks or [Check("jobs", Level.OK, "no job failed in 24 h")]


def _failed(job: BackfillJob) -> Check:
    reason = first_line(job.error_message, otherwise="no reason given")
    ended: datetime = job.ended_at  # type: ignore[attr-defined]  # annotated by failed_since
    return Check("job failed", Level.BROKEN, f"job {job} failed: {reason}", ended, _url(job), "job")


def _trouble(each: Standing) -> Check | None:
    state, since = each.verdict.state, each.verdict.since
    length = span((each.now - since).total_seconds()) if since else ""
    if state == State.SILENT:
        text = f"job {each.job}: nothing heard for {length}, at {int(each.job.share)} %"
        return Check("job silent", Level.BROKEN, text, since, _url(each.job), "job")
    if state == State.STALLED:
        text = f"job {each.job}: no progress for {length}, worker still calling"
        return Check("job stalled", Level.SOON, text, since, _url(each.job), "job")
    if state == State.WAITING and since and each.now - since > WAITS_LONG:
        text = f"job {each.job}: no worker has claimed it for {length}"
        return Check("job waiting", Level.SOON, text, since, _url(each.job), "job")
    return None


def _url(job: BackfillJob) -> str:
    return reverse("job", args=[job.pk])
