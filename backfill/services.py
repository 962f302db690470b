"""Verbs of those who run jobs, people and services: start, pause, resume, cancel, retry. Workers' are in `reports`."""

import uuid
from dataclasses import dataclass
from typing import NoReturn

from django.db import connection, transaction

from backfill import coverage
from backfill.models import BackfillJob, JobEvent, JobWork
from backfill.moves import TELL, Move, move
from backfill.overlaps import Overlap, lock_type, overlapping, refuse_overlap
from backfill.states import Verb, possible

MAX_BLOCK = 2**31 - 1
MAX_PIECES = 50  # jobs that one start may make of a range's missing pieces


class JobNotFound(Exception):
    """There is no such job, or retention has archived it."""


class WrongState(Exception):
    """The job's state does not allow this; nothing was changed."""

    def __init__(self, job: BackfillJob, verb: str) -> None:
        super().__init__(f"The job is {job.status}: it cannot be {PAST[verb]}. Nothing was changed.")
        self.job = job


class BadRange(ValueError):
    """The blocks are no range; the message says why, `field` which end."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


class NothingMissing(Exception):
    """Every block of the range is done already: there is nothing to start."""


PAST = {"pause": "paused", "resume": "resumed", "cancel": "cancelled", "retry": "retried"}


@dataclass(frozen=True)
class Wish:
    """A job that is to be started. `waits`: nobody works on it yet, a worker must claim it."""

    job_type: str
    start_block: int
    end_block: int
    created_by: str
    actor: str
    why: str = ""
    waits: bool = False

    def check(self) -> None:
        """Raises BadRange."""
        if self.start_block < 0:
            raise BadRange("start_block", "A block height is 0 or more.")
        if self.end_block > MAX_BLOCK:
            raise BadRange("end_block", f"A block height is at most {MAX_BLOCK:,}.")
        if self.end_block < self.start_block:
            raise BadRange("end_block", "The range ends before it starts.")


@transaction.atomic
def job_start(*, wish: Wish, allow_overlap: bool = False) -> BackfillJob:
    """Store a running job at its first block.

    Raises BadRange; Overlap where the range shares a block with a running, paused or completed job of its type, unless
    `allow_overlap`. Two starts at once cannot both pass: the type is locked.
    """
    wish.check()
    if not allow_overlap:
        refuse_overlap(wish.job_type, wish.start_block, wish.end_block)
    return _insert(wish)


@transaction.atomic
def job_start_missing(*, wish: Wish) -> list[BackfillJob]:
    """Start a waiting job for each piece of the range that no job did or does, MAX_PIECES at most, lowest first.

    Raises BadRange, NothingMissing.
    """
    wish.check()
    lock_type(wish.job_type)
    pieces = coverage.unclaimed(wish.job_type, wish.start_block, wish.end_block)
    if not pieces:
        raise NothingMissing("Every block of the range is done, or a job is at it.")
    return [_insert(_part(wish, first, last)) for first, last in pieces[:MAX_PIECES]]


def _part(wish: Wish, first: int, last: int) -> Wish:
    return Wish(wish.job_type, first, last, wish.created_by, wish.actor, wish.why, wish.waits)


def _insert(wish: Wish) -> BackfillJob:
    job = BackfillJob(
        job_type=wish.job_type,
        start_block=wish.start_block,
        end_block=wish.end_block,
        current_block=wish.start_block,
        status=BackfillJob.Status.RUNNING,
        created_by=wish.created_by[:100],
    )
    with connection.cursor() as cursor:
        act = "start" if wish.waits else ""
        cursor.execute(f"WITH {TELL} SELECT FROM told", {"actor": wish.actor, "act": act, "why": wish.why})
    job.save(force_insert=True)
    job.refresh_from_db(fields=["started_at"])
    return job


def job_pause(*, job_id: uuid.UUID, actor: str, why: str = "") -> BackfillJob:
    """Have the job's worker wait at its next report. Raises JobNotFound, WrongState."""
    return _moved(job_id, Move(Verb.PAUSE, actor, why))


def job_cancel(*, job_id: uuid.UUID, actor: str, why: str = "") -> BackfillJob:
    """End the job for good, as failed with this reason; its worker is told at its next report.

    Raises JobNotFound, WrongState.
    """
    error = f"Cancelled by {actor}" + (f": {why}" if why else ".")
    return _moved(job_id, Move(Verb.CANCEL, actor, why, error=error))


@transaction.atomic
def job_resume(*, job_id: uuid.UUID, actor: str, why: str = "", allow_overlap: bool = False) -> BackfillJob:
    """Have a paused job go on. If its worker has let go of it meanwhile, it waits for another.

    Raises JobNotFound, WrongState, and Overlap: while it stood, another job may have been started on its blocks.
    """
    job = job_found(job_id)
    if job.status == BackfillJob.Status.PAUSED and not allow_overlap:
        # What archived jobs did of it, it knew at its start.
        refuse_overlap(job.job_type, job.current_block, job.end_block, besides=[job_id], archived=False)
    resumed = _moved(job_id, Move(Verb.RESUME, actor, why))
    JobWork.objects.let_go().filter(pk=job_id).update(waits=True)
    return resumed


@transaction.atomic
def job_retry(*, job_id: uuid.UUID, actor: str, created_by: str, why: str = "") -> BackfillJob:
    """Start a waiting job from the first to the last block of the ended job's range that nobody has done.

    What others did in between is told to the worker that claims it. Raises JobNotFound; WrongState while the job has
    not ended; NothingMissing; Overlap with a running or paused job, which may be doing the same blocks.
    """
    job = job_found(job_id)
    if possible(Verb.CANCEL, job.status):
        raise WrongState(job, "retry")
    lock_type(job.job_type)
    missing = coverage.missing(job.job_type, job.start_block, job.end_block)
    if not missing:
        raise NothingMissing("Every block of the job is done: there is nothing to retry.")
    first, last = missing[0][0], missing[-1][1]
    if jobs := overlapping(job.job_type, first, last, statuses=BackfillJob.OPEN):
        raise Overlap(jobs)
    made = _insert(Wish(job.job_type, first, last, created_by, actor, why, waits=True))
    JobWork.objects.filter(pk=made.pk).update(retry_of=job.pk)
    JobEvent.objects.create(job_id=job.pk, kind="retried", actor=actor, detail=f"by job {made.pk}")
    return made


def job_found(job_id: uuid.UUID) -> BackfillJob:
    """The job; raises JobNotFound."""
    job = BackfillJob.objects.filter(pk=job_id).first()
    if job is None:
        raise JobNotFound(f"There is no job {job_id}. It may be in the archive by now.")
    return job


def _moved(job_id: uuid.UUID, wanted: Move) -> BackfillJob:
    return move(job_id, wanted) or _refuse(job_found(job_id), wanted.verb)


def _refuse(job: BackfillJob, verb: Verb) -> NoReturn:
    raise WrongState(job, verb)
