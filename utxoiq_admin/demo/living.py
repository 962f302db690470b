"""Keeping loaded demo data alive: the same plan, asked about a later moment.

Every step commits its rows with the marker that says so, under the state's lock; whoever finds the lock taken
leaves, because the other is doing the same work. Markers only grow: a clock set back finds everything done.
"""

import time
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from backfill.models import BackfillJob
from metrics import partitions
from utxoiq_admin.demo import insights, storage, voices
from utxoiq_admin.demo.jobs import CREATED_BY, KEPT, jobs_at
from utxoiq_admin.demo.loading import in_embedded_database, plan_of
from utxoiq_admin.demo.models import DemoState
from utxoiq_admin.demo.plan import Plan
from utxoiq_admin.demo.removal import remove_demo

# A run must end before its successor's message comes; what is left then is the successor's.
BUDGET_SECONDS = 20.0
RECENT_FILL = timedelta(hours=3)
COARSE_FILL = timedelta(days=1)


def keep_alive(*, now: datetime | None = None) -> int:
    """Bring the demo data up to `now`; return how many rows were written."""
    state = DemoState.objects.first()
    if state is None or not in_embedded_database():
        return 0
    if state.state == DemoState.State.REMOVING and state.interrupted:
        remove_demo()  # the task's message was lost, or whoever removed was killed
        return 0
    moment = now or timezone.now()
    if state.state == DemoState.State.PRESENT and (partitions.covered_until() or moment) <= moment:
        partitions.ensure(now=moment)
    end = time.monotonic() + BUDGET_SECONDS
    rows, more = _step(moment)
    while more and time.monotonic() < end:
        written, more = _step(moment)
        rows += written
    return rows


@transaction.atomic
def _step(now: datetime) -> tuple[int, bool]:
    """One bounded piece of what is missing: rows written, and whether there may be more to do."""
    storage.quick_commit()
    present = DemoState.objects.filter(state=DemoState.State.PRESENT)
    state = present.select_for_update(skip_locked=True).first()
    if state is None:
        return 0, False
    plan = plan_of(state)
    rows, more = _metrics(state, plan, now)
    if not more:
        rows += _events(state, plan, now)
        more = _trim(state, plan, now)
    state.rows += rows
    state.kept_alive_at = state.updated_at = now
    state.save()
    return rows, more


def _metrics(state: DemoState, plan: Plan, now: datetime) -> tuple[int, bool]:
    """The next stretch after the newest minute that is there; minutes end before they are written."""
    until = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    border = storage.recent_border(now)
    first = max(
        state.metrics_until or until, (now - timedelta(days=plan.days)).replace(second=0, microsecond=0)
    )
    if first >= until:
        return 0, False
    end = min(until, first + (RECENT_FILL if first >= border else COARSE_FILL))
    rows = storage.copy_metrics(plan, first, end, recent_from=border)
    state.metrics_until = end
    return rows, end < until


def _events(state: DemoState, plan: Plan, now: datetime) -> int:
    """What insights, feedback and jobs have done since they were last looked at."""
    last = state.events_until or now
    if now <= last:
        return 0
    first = max(last, now - timedelta(days=plan.days))
    numbers = insights.numbers_between(plan, first, now)
    fresh = [
        i for i in (insights.insight(plan, n) for n in numbers if n > 0) if first < i.published_at <= now
    ]
    rows = storage.copy_rows("insight_texts", insights.COLUMNS, (i.row() for i in fresh))
    rows += storage.copy_rows("insight_feedback", voices.COLUMNS, voices.feedback_between(plan, first, now))
    rows += _move_jobs(plan, last, now)
    state.events_until = now
    return rows


def _move_jobs(plan: Plan, last: datetime, now: datetime) -> int:
    """Start the jobs that are due, and move those that still stand as the plan left them.

    One that somebody paused or resumed by hand is theirs: it is left alone.
    """
    wanted = {job.id: job for job in jobs_at(plan, now)}
    standing = {job.id: job for job in BackfillJob.objects.filter(created_by=CREATED_BY)}
    for pk, job in wanted.items():
        stored, planned = standing.get(pk), job.fields_at(last)
        if stored and stored.status == planned["status"] in ("running", "paused"):
            fields = job.fields_at(now)
            if fields["current_block"] >= stored.current_block:
                # Matched by what was read: somebody may press a button at this very moment.
                BackfillJob.objects.filter(pk=pk, status=stored.status).update(**fields)
    new = [job.row_at(now) for pk, job in wanted.items() if pk not in standing and job.started_at > last]
    BackfillJob.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _trim(state: DemoState, plan: Plan, now: datetime) -> bool:
    """Keep the number of rows what it was at the load; return whether more is to be removed."""
    more = _thin(state, now)
    oldest = (now - timedelta(days=plan.days)).replace(minute=0, second=0, microsecond=0)
    if state.metrics_from and state.metrics_from < oldest:
        end = min(oldest, state.metrics_from + storage.DELETE_SPAN)
        storage.delete_metrics(state.metrics_from, end)
        state.metrics_from = end
        more = more or end < oldest
    past = [
        storage.delete_some("insight_feedback", "user_id LIKE 'demo-%%' AND created_at < %s", [oldest]),
        storage.delete_some("insight_flags", "user_id LIKE 'demo-%%' AND withdrawn_at < %s", [oldest]),
        storage.delete_some("insight_texts", "is_demo AND published_at < %s", [oldest]),
    ]
    excess = BackfillJob.objects.filter(created_by=CREATED_BY).order_by("-started_at")[KEPT : KEPT + 100]
    BackfillJob.objects.filter(pk__in=[job.pk for job in excess]).delete()
    return more or max(past) == storage.DELETE_ROWS


def _thin(state: DemoState, now: datetime) -> bool:
    """Leave one row in five minutes of what is no longer recent."""
    border = storage.recent_border(now)
    first = max(state.thinned_until or border, now - timedelta(days=state.days))
    if first >= border:
        return False
    state.thinned_until = min(border, first + storage.DELETE_SPAN)
    storage.delete_metrics(first, state.thinned_until, between_coarse=True)
    return state.thinned_until < border
