"""Filling an embedded database with demo data, newest first, in slices that each stand for themselves.

A slice commits its rows together with the marker that says they are there. Killed at any instant and started
again, a load goes on after its last slice; two loads at once cannot double anything, because the younger one
takes the token and the older one stops at its next slice.
"""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backfill.models import BackfillJob
from feedback import figures
from metrics import partitions, rollups
from utxoiq_admin.demo import insights, storage, voices
from utxoiq_admin.demo.jobs import jobs_at
from utxoiq_admin.demo.models import DemoState
from utxoiq_admin.demo.plan import Plan
from utxoiq_admin.demo.removal import remove_rows

State, Phase = DemoState.State, DemoState.Phase
RECENT_SLICE = timedelta(hours=3)  # about 11,000 rows, a third of a second
HISTORY_SLICE = timedelta(days=1)  # about 17,000 rows
INSIGHTS_SLICE = 200
# What share of the whole load each phase takes, in percent.
SHARES = {Phase.JOBS: 1, Phase.RECENT: 10, Phase.FEEDBACK: 9, Phase.HISTORY: 80}


class DemoRefused(Exception):
    """Demo data must not be loaded here; the message says why."""


class DemoPresent(Exception):
    """It is loaded already: nothing to do."""


def load_demo(
    *,
    days: int = 90,
    seed: int = 1,
    now: datetime | None = None,
    count: int = 2_000,
    report: Callable[[DemoState], None] | None = None,
) -> DemoState:
    """Load all of it, or what an earlier load that was killed left to do; return the state at the end.

    `report` hears the state after each slice. Raises DemoRefused where demo data may not be, DemoPresent where
    it is, TakenOver when another load or a removal began.
    """
    refuse_elsewhere()
    token = uuid.uuid4()
    state = _begin(token, days=days, seed=seed, now=now or timezone.now(), count=count)
    while state.state == State.LOADING:
        state = _slice(token)
        if report:
            report(state)
    rollups.refresh()
    figures.refresh(wait=True)
    storage.analyze()
    return state


def in_embedded_database() -> bool:
    """Whether we speak to the database that `up` started: without its address the driver's default may be anybody's."""
    return settings.EMBEDDED_DATABASE and "database_url" in settings.STACK


def refuse_elsewhere() -> None:
    """Raises DemoRefused unless this is the embedded database, of a stack that runs."""
    if not settings.EMBEDDED_DATABASE:
        raise DemoRefused(
            "DATABASE_URL is set: demo data is loaded into the embedded database of `make run` alone, and removed "
            "there alone, never in one of your own. Nothing was changed."
        )
    if not in_embedded_database():
        raise DemoRefused(
            f"The embedded database does not run: {settings.DATA_DIR} holds no address of it. Start it with "
            "`make run`, or name the data folder of the one that runs in UTXOIQ_DATA_DIR. Nothing was changed."
        )


def plan_of(state: DemoState) -> Plan:
    """What the data that is there, or is being loaded, was made from."""
    if state.anchor is None:
        raise ValueError("no demo data was ever loaded")
    return Plan(seed=state.seed, anchor=state.anchor, days=state.days, insights=state.insights)


def _begin(token: uuid.UUID, *, days: int, seed: int, now: datetime, count: int) -> DemoState:
    """Take the state for this load. An unfinished load of the same kind keeps its anchor and its markers."""
    partitions.ensure(now=now)
    DemoState.objects.get_or_create()
    with transaction.atomic():
        state = DemoState.objects.select_for_update().get()
        if state.state == State.PRESENT:
            raise DemoPresent(
                f"Demo data is there already (seed {state.seed}, {state.days} days). "
                "`manage.py load_demo --clear` removes it."
            )
        same = (state.seed, state.days, state.insights) == (seed, days, count)
        goes_on = state.state == State.LOADING and same and state.metrics_from is not None
        state.token, state.updated_at = token, timezone.now()
        if not goes_on:
            state.state, state.phase, state.percent = State.REMOVING, "", 0.0
        state.save()
    if goes_on:
        return state
    remove_rows(token)
    return _fresh(token, days=days, seed=seed, now=now, count=count)


@transaction.atomic
def _fresh(token: uuid.UUID, *, days: int, seed: int, now: datetime, count: int) -> DemoState:
    state = DemoState.objects.held(token)
    anchor = now.astimezone(UTC).replace(second=0, microsecond=0)
    state.state, state.phase, state.percent, state.rows = State.LOADING, Phase.JOBS, 0.0, 0
    state.seed, state.days, state.insights, state.anchor = seed, days, count, anchor
    state.started_at, state.updated_at = now, timezone.now()
    # Both ends of what is there: nothing yet, and the anchor's own minute belongs to the load.
    state.metrics_from = state.metrics_until = anchor + timedelta(minutes=1)
    state.insights_loaded, state.events_until = 0, anchor
    state.thinned_until = storage.recent_border(anchor)
    state.kept_alive_at = None
    state.save()
    return state


@transaction.atomic
def _slice(token: uuid.UUID) -> DemoState:
    """One step of the phase under way, its marker, and the progress that others see."""
    storage.quick_commit()
    state = DemoState.objects.held(token)
    plan = plan_of(state)
    phase = Phase(state.phase)
    done, rows = _STEPS[phase](state, plan)
    state.rows += rows
    before = sum(share for other, share in SHARES.items() if _ORDER.index(other) < _ORDER.index(phase))
    state.percent = round(before + SHARES[phase] * done, 1)
    state.updated_at = timezone.now()
    if done >= 1:
        following = _ORDER[_ORDER.index(phase) + 1 :]
        state.phase = following[0] if following else ""
        state.state = State.LOADING if following else State.PRESENT
    state.save()
    return state


def _jobs(state: DemoState, plan: Plan) -> tuple[float, int]:
    # At the second, not at the anchor's minute: whoever watches them takes their first step for their pace.
    now = state.started_at or plan.anchor
    rows = [job.row_at(now) for job in jobs_at(plan, now)]
    return 1.0, len(BackfillJob.objects.bulk_create(rows))


def _recent(state: DemoState, plan: Plan) -> tuple[float, int]:
    return _metrics(state, plan, max(storage.recent_border(plan.anchor), _floor(plan)), RECENT_SLICE)


def _history(state: DemoState, plan: Plan) -> tuple[float, int]:
    return _metrics(state, plan, _floor(plan), HISTORY_SLICE)


def _metrics(state: DemoState, plan: Plan, floor: datetime, span: timedelta) -> tuple[float, int]:
    """The slice before the oldest one that is there; done when `floor` is reached."""
    end = state.metrics_from or plan.anchor
    first = max(floor, end - span)
    if first >= end:
        return 1.0, 0
    rows = storage.copy_metrics(plan, first, end, recent_from=storage.recent_border(plan.anchor))
    state.metrics_from = first
    top = plan.anchor if state.phase == Phase.RECENT else storage.recent_border(plan.anchor)
    return (1.0 if first <= floor else min(0.999, (top - first) / (top - floor))), rows


def _feedback(state: DemoState, plan: Plan) -> tuple[float, int]:
    """The next insights, newest first, with what was said about them until the anchor."""
    first = state.insights_loaded
    last = min(first + INSIGHTS_SLICE, plan.insights)
    found = [insights.insight(plan, -number) for number in range(first, last)]
    rows = storage.copy_rows("insight_texts", insights.COLUMNS, (i.row() for i in found))
    said = (row for i in found for row in voices.feedback_of(plan, i) if row[7] <= plan.anchor)
    rows += storage.copy_rows("insight_feedback", voices.COLUMNS, said)
    state.insights_loaded = last
    return last / plan.insights, rows


_STEPS = {Phase.JOBS: _jobs, Phase.RECENT: _recent, Phase.FEEDBACK: _feedback, Phase.HISTORY: _history}
_ORDER = list(_STEPS)


def _floor(plan: Plan) -> datetime:
    """Where the data begins: the plan's days back, but never before the first partition."""
    return max(plan.begin, *(p.start for p in partitions.listing()[:1]))
