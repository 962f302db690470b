"""The verbs of retention: run it. (Asking for a run, stopping and pausing: `runs`. Bringing rows back: `restoring`.)"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from uuid import UUID

from django.db import Error, connection
from django.db.models import Sum
from django.utils import timezone

from metrics.sealing import SealBusy
from utxoiq_admin.core.leases import HeldLease, LeaseHeld, LeaseLost, hold
from utxoiq_admin.core.task_runs import describe
from utxoiq_admin.retention import archiving, expiry, own, runs
from utxoiq_admin.retention.archiving import Place, Work
from utxoiq_admin.retention.models import Run, RunTable
from utxoiq_admin.retention.policies import POLICIES
from utxoiq_admin.retention.proof import Damaged
from utxoiq_admin.retention.spool import SpoolFull
from utxoiq_admin.retention.storage import StorageFailed

# Their words are enough: what happened, to what, and that nothing was lost.
TOLD = (Damaged, StorageFailed, archiving.Contended, SealBusy, SpoolFull)
logger = logging.getLogger(__name__)


def run_nightly() -> str:
    """The schedule's run; what it came to. A pause skips it, visibly, and so does work that is under way."""
    if pause := runs.current_pause():
        why = f"Skipped: {pause}" + (f" ({pause.reason})" if pause.reason else "")
        run, new = runs.request(trigger=Run.Trigger.SCHEDULE, by="schedule", send=False)
        if new:
            runs.end(run, Run.State.SKIPPED, why)
        return why
    run, new = runs.request(trigger=Run.Trigger.SCHEDULE, by="schedule", send=False)
    outcome = perform(run_id=run.pk)
    if not new:  # somebody's run waited, perhaps of one table: the night's is still to be done
        run, new = runs.request(trigger=Run.Trigger.SCHEDULE, by="schedule", send=False)
        outcome = perform(run_id=run.pk) if new else outcome
    return outcome


def perform(*, run_id: UUID) -> str:
    """Do a run that was asked for, to its end; what it came to, in words. A second caller finds it taken.

    Raises RunFailed when a table failed; the others were done all the same.
    """
    try:
        with hold(runs.LEASE, ttl=runs.TTL) as lease:
            run = runs.begin(run_id, lease)
            return "taken by another, or ended" if run is None else _led(run, lease)
    except LeaseHeld as error:
        if waiting := Run.objects.filter(pk=run_id, state=Run.State.QUEUED).first():
            runs.end(waiting, Run.State.SKIPPED, f"Other work of retention was under way: {error}")
        return f"skipped: {error}"


class RunFailed(Exception):
    """At least one table failed; the message says which and why."""


def _led(run: Run, lease: HeldLease) -> str:
    try:
        with runs.Pulse(run, lease).running() as pulse:
            faults = _tables(run, lease, pulse.at)
    except runs.Stopped as stopped:
        runs.end(run, Run.State.STOPPED, f"Stopped by {_stopper(run)} before: {stopped}")
        return f"stopped before: {stopped}"
    except LeaseLost as error:
        runs.end(run, Run.State.CRASHED, str(error))
        raise
    except KeyboardInterrupt:
        runs.end(
            run, Run.State.STOPPED, "Interrupted at the terminal. Nothing is lost: the next run goes on."
        )
        raise
    except Exception as error:
        runs.end(run, Run.State.FAILED, describe(error))
        raise
    text = "\n".join(faults)
    runs.end(run, Run.State.FAILED if faults else Run.State.SUCCEEDED, text)
    if faults:
        raise RunFailed(text)
    return summary(run)


def _stopper(run: Run) -> str:
    return Run.objects.values_list("stop_requested_by", flat=True).get(pk=run.pk)


def _tables(run: Run, lease: HeldLease, at: Place) -> list[str]:
    """Each table by itself: one that fails never stops the others. What went wrong."""
    now = run.clock or timezone.now()
    policies = [policy for policy in POLICIES.values() if policy.table in run.tables]
    rows = {policy: RunTable.objects.create(run=run, table=policy.table) for policy in policies}
    faults: list[str] = []
    for policy, figures in rows.items():
        faults += _one_table(Work(run, policy, figures, lease, now, at))
    return faults + _guarded("own tables", lambda: own.tidy(now=now, lease=lease, at=at))


def _one_table(work: Work) -> list[str]:
    begun = time.monotonic()
    row = RunTable.objects.filter(pk=work.figures.pk)
    row.update(state=RunTable.State.RUNNING)
    try:
        faults = [
            fault for step in _steps(work) for fault in _guarded(work.policy.table, partial(step, work))
        ]
    except BaseException:
        with suppress(Error):  # what ends the run is to be told, not that its figures could not be noted
            _clean_connection()
            row.update(state=RunTable.State.STOPPED, seconds=time.monotonic() - begun)
        raise
    _clean_connection()
    row.update(
        state=RunTable.State.FAILED if faults else RunTable.State.SUCCEEDED,
        error="\n".join(faults),
        seconds=time.monotonic() - begun,
    )
    return faults


def _steps(work: Work) -> list[Callable[[Work], list[str]]]:
    """In their order; one that fails keeps none of the others from its work."""
    months = [archiving.drop_partitions] if work.policy.in_months else []
    return [archiving.finish, archiving.archive_table, *months, expiry.expire, expiry.sweep]


def _guarded(what: str, steps: Callable[[], list[str]]) -> list[str]:
    """The faults of some steps; an error that ends them is one more, unless the whole run must end."""
    try:
        return steps()
    except (LeaseLost, runs.Stopped):
        raise
    except TOLD as error:
        logger.error("retention_failed what=%s error=%s", what, error)
        return [f"{what}: {error}"]
    except Exception as error:
        logger.exception("retention_failed what=%s", what)
        _clean_connection()
        return [f"{what}: {describe(error)}"]


def _clean_connection() -> None:
    """A connection that the server dropped is made anew."""
    connection.close_if_unusable_or_obsolete()


def summary(run: Run) -> str:
    """What a run came to, for its row in the schedule and at the terminal."""
    sums = run.figures.aggregate(verified=Sum("rows_verified"), deleted=Sum("rows_deleted"))
    return f"{sums['verified'] or 0:,} rows verified, {sums['deleted'] or 0:,} deleted"
