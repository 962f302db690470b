"""Runs as rows: asked for, begun under the lease, heard while they work, stopped, taken over when they fell silent."""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from django.db import Error, close_old_connections, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from utxoiq_admin.core.enqueue import MESSAGE_WAIT, enqueue
from utxoiq_admin.core.leases import HeldLease, LeaseLost
from utxoiq_admin.core.models import Lease
from utxoiq_admin.retention.models import OPEN_STATES, Pause, Run, RunTable
from utxoiq_admin.retention.policies import POLICIES

logger = logging.getLogger(__name__)
LEASE = "retention"  # of runs and of restoring: one of them at a time
TTL = timedelta(seconds=60)
PULSE = 2.0  # seconds between two heartbeats
TASK = "retention.run"
QUEUE = "long"
FINISH_WAITS = (1.0, 2.0, 4.0, 8.0, 0.0)
NIGHT_HOUR = 2  # UTC, of the schedule in the settings
_REQUEST_LOCK = 7_021_004  # one who asks at a time


class Stopped(Exception):
    """Somebody asked the run to stop; what it did so far stays."""


def last_night(now: datetime) -> datetime:
    """When the schedule started, or should have started, its latest run."""
    night = now.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    return night if night <= now else night - timedelta(days=1)


def request(
    *,
    trigger: Run.Trigger,
    by: str,
    tables: Sequence[str] = (),
    clock: datetime | None = None,
    send: bool = True,
) -> tuple[Run, bool]:
    """The run that is queued or under way, else a new one: (run, whether it is new). A worker takes it up.

    Raises ValueError for a table that has no policy.
    """
    if unknown := sorted(set(tables) - POLICIES.keys()):
        raise ValueError(f"No such table: {', '.join(unknown)}. Choose from {', '.join(POLICIES)}.")
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_REQUEST_LOCK])
        mark_crashed()
        if running := Run.objects.filter(open=True).first():
            knock_again(running)
            return running, False
        run = Run.objects.create(
            trigger=trigger, requested_by=by, tables=list(tables or POLICIES), clock=clock
        )
        if send:
            enqueue(TASK, args={"run": str(run.pk)}, queue=QUEUE)
    return run, True


def knock_again(run: Run) -> None:
    """A run that still waits for a worker gets another message: whoever made it may have died before sending one."""
    waits_since = timezone.now() - run.requested_at
    if run.state == Run.State.QUEUED and waits_since > MESSAGE_WAIT:
        enqueue(TASK, args={"run": str(run.pk)}, queue=QUEUE)


@transaction.atomic
def mark_crashed() -> int:
    """Running rows whose lease is not theirs any more, or ran out, have crashed; how many."""
    alive = Lease.objects.filter(name=LEASE, expires_at__gt=Now()).values("token")
    silent = Run.objects.filter(state=Run.State.RUNNING).exclude(token__in=alive)
    found = list(silent.select_for_update().values_list("pk", flat=True))
    Run.objects.filter(pk__in=found).update(
        state=Run.State.CRASHED,
        open=None,
        finished_at=Now(),
        error="It fell silent before its end (killed, or its machine or its database went away). "
        "Nothing is lost: the next run goes on where it stopped.",
    )
    _stop_tables(found)
    return len(found)


def _stop_tables(ended: Iterable[UUID]) -> None:
    tables = RunTable.objects.filter(run__in=ended, state=RunTable.State.RUNNING)
    tables.update(state=RunTable.State.STOPPED)


def begin(run_id: UUID, lease: HeldLease) -> Run | None:
    """Take a queued run; None when it was taken already, or ended."""
    mark_crashed()
    taken = Run.objects.filter(pk=run_id, state=Run.State.QUEUED).update(
        state=Run.State.RUNNING, started_at=Now(), heartbeat_at=Now(), token=lease.token
    )
    return Run.objects.get(pk=run_id) if taken else None


def end(run: Run, state: Run.State, error: str = "") -> None:
    """Note how it ended, also over a database that is away for some seconds; else it will count as crashed."""
    for wait in FINISH_WAITS:
        try:
            if not connection.in_atomic_block:
                close_old_connections()
            Run.objects.filter(pk=run.pk, state__in=[*OPEN_STATES, Run.State.CRASHED]).update(
                state=state, open=None, error=error, step="", finished_at=Now()
            )
            _stop_tables([run.pk])
            return
        except Error as failure:
            logger.warning("run_end_not_recorded run=%s error=%r", run.pk, str(failure).strip())
            connection.close()
            time.sleep(wait)


def stop(*, run: Run, by: str) -> bool:
    """Ask it to stop between two slices; one that waits ends at once. False when it ended already."""
    waiting = Run.objects.filter(pk=run.pk, state=Run.State.QUEUED)
    if waiting.update(state=Run.State.STOPPED, open=None, finished_at=Now(), stop_requested_by=by):
        return True
    return bool(Run.objects.filter(pk=run.pk, state=Run.State.RUNNING).update(stop_requested_by=by))


def pause(*, until: datetime, by: str, reason: str = "") -> Pause:
    """Have the nights skipped until then; it replaces a pause that is there."""
    with transaction.atomic():
        resume(by=by)
        return Pause.objects.create(until=until, by=by, reason=reason)


def resume(*, by: str) -> bool:
    """End the pause; False when there is none."""
    return bool(_pauses().update(ended_at=Now(), ended_by=by))


def current_pause() -> Pause | None:
    """The pause that holds now, if any."""
    return _pauses().first()


def _pauses() -> "QuerySet[Pause]":
    return Pause.objects.filter(ended_at=None, until__gt=Now())


class Pulse:
    """A thread that keeps the lease and the row of a run fresh, and hears when it must end.

    A thread, because one statement of the run may take longer than the lease lasts. What could hang for ever in the
    run has timeouts of its own: locks, connections to the storage.
    """

    def __init__(self, run: Run, lease: HeldLease) -> None:
        self._run, self._lease = run, lease
        self._step = ""
        self._lost = self._stopped = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"retention-{run.pk}", daemon=True)

    @contextmanager
    def running(self) -> Iterator["Pulse"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._thread.join(10)

    def at(self, step: str, *, between: bool = False) -> None:
        """Where the run is now. Raises LeaseLost, and `between` two slices Stopped: then nothing more may be done."""
        self._step = step
        logger.info("retention run=%s %s", self._run.pk, step)
        if self._lost:
            raise LeaseLost("The run was not heard for too long, and another may be at work. It stops here.")
        if between and self._stopped:
            raise Stopped(step)

    def _beat(self) -> None:
        try:
            while not self._ended.wait(PULSE):
                self._once()
        finally:
            connection.close()

    def _once(self) -> None:
        try:
            close_old_connections()
            self._lease.renew()
            Run.objects.filter(pk=self._run.pk).update(heartbeat_at=Now(), step=self._step[:200])
            self._stopped = Run.objects.filter(~Q(stop_requested_by=""), pk=self._run.pk).exists()
        except LeaseLost:
            self._lost = True
            self._ended.set()
        except Error as error:
            logger.warning("run_heartbeat_not_written run=%s error=%r", self._run.pk, str(error).strip())
            connection.close()
