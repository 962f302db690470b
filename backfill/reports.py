"""Verbs of workers: claim a job, report on it. What a worker is answered is also how it learns what was decided."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from backfill import coverage
from backfill.models import BackfillJob, JobEvent, JobWork
from backfill.moves import Move, move
from backfill.services import Wish, job_found, job_start
from backfill.states import COMMANDS, Verb

LEASE = timedelta(minutes=5)  # without a report; the trigger renews it at each (migration 0003 has it too)

# A worker that is taking one skips those that others are taking, and never waits for a job's own row.
_NEXT = """
SELECT work.job_id, work.holder FROM backfill_work work JOIN backfill_jobs job ON job.id = work.job_id
WHERE job.status = 'running' AND (%(type)s IS NULL OR job.job_type = %(type)s)
  AND (work.waits OR work.lease_until < clock_timestamp())
ORDER BY job.started_at, job.id LIMIT 1 FOR UPDATE OF work SKIP LOCKED
"""
_TAKE = """
UPDATE backfill_work SET waits = false, holder = %(holder)s, lease = %(lease)s, changed_at = clock_timestamp(),
  lease_until = clock_timestamp() + %(ttl)s WHERE job_id = %(id)s RETURNING lease_until
"""
_BEGIN = """
INSERT INTO backfill_samples (job_id, at, block, begins)
SELECT id, clock_timestamp(), current_block, true FROM backfill_jobs WHERE id = %(id)s ON CONFLICT DO NOTHING
"""


class BadReport(ValueError):
    """The report cannot be about this job; nothing was changed. `field` is what is wrong."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


@dataclass(frozen=True)
class Claim:
    """A job and the lease on it, which every report renews for LEASE."""

    job: BackfillJob
    lease: uuid.UUID
    lease_until: datetime


@dataclass(frozen=True)
class Report:
    """What a worker tells. `block` is the one it works on: those below are done. `status` None: it goes on."""

    block: int | None = None
    status: str | None = None
    error: str | None = None
    estimate: datetime | None = None
    failed_blocks: Sequence[int] = ()
    lease: uuid.UUID | None = None


@dataclass(frozen=True)
class Answer:
    """What the worker is told: the job as it stands, whether the report changed it, and what to do now."""

    job: BackfillJob
    applied: bool
    command: str


@transaction.atomic
def job_claim(*, job_type: str | None, holder: str) -> Claim | None:
    """Lease the oldest job (of this type) that waits for a worker or whose worker let go of it; None: there is none."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, {"type": job_type})
        found = cursor.fetchone()
    if found is None:
        return None
    job_id, before = found
    detail = (
        f"taken over from {before}, which was not heard of for {LEASE.seconds // 60} min" if before else ""
    )
    JobEvent.objects.create(job_id=job_id, kind="claimed", actor=holder, detail=detail)
    return _lease(job_id, holder)


@transaction.atomic
def job_begin(*, wish: Wish, holder: str, allow_overlap: bool = False) -> Claim:
    """Start a job and lease it to the worker that asks. Raises what `job_start` raises."""
    return _lease(job_start(wish=wish, allow_overlap=allow_overlap).pk, holder)


def _lease(job_id: uuid.UUID, holder: str) -> Claim:
    lease = uuid.uuid4()
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"id": job_id, "holder": holder[:200], "lease": lease, "ttl": LEASE}
        cursor.execute(_TAKE, values)
        (until,) = cursor.fetchone()
        cursor.execute(_BEGIN, values)
    return Claim(job_found(job_id), lease, until)


def job_progress(*, job_id: uuid.UUID, report: Report, actor: str) -> Answer:
    """Take a worker's report, in one statement unless it names failed blocks; safe to repeat and in any order.

    An older block than is known, and any report on a job that has ended, change nothing (`applied` False); failed
    blocks are noted all the same, since a block that was reported failed must never count as done; but not those of
    a worker whose lease another took over, who may have done them since.
    Raises JobNotFound, BadReport.
    """
    if report.failed_blocks:
        with transaction.atomic():
            _check(job_found(job_id), report)
            moved = _report(job_id, report, actor)
            if moved or _may_tell(job_id, report):
                coverage.note_failed(job_id, report.failed_blocks)
    else:
        moved = _report(job_id, report, actor)
    if moved:
        return Answer(moved, applied=True, command=COMMANDS[BackfillJob.Status(moved.status)])
    return _not_applied(job_found(job_id), report, actor)


# The statuses a worker may send; "running" is what it says with every report, and never ends a pause.
_VERBS = {
    None: Verb.REPORT,
    "running": Verb.REPORT,
    "paused": Verb.PAUSE,
    "completed": Verb.COMPLETE,
    "failed": Verb.FAIL,
}


def _report(job_id: uuid.UUID, report: Report, actor: str) -> BackfillJob | None:
    wanted = Move(
        _VERBS[report.status],
        actor,
        by_worker=True,
        block=report.block,
        error=report.error,
        estimate=report.estimate,
        lease=report.lease,
    )
    return move(job_id, wanted)


def _check(job: BackfillJob, report: Report) -> None:
    span = f"the job's blocks are {job.start_block:,} to {job.end_block:,}"
    if report.block is not None and not job.start_block <= report.block <= job.end_block:
        raise BadReport("current_block", f"Block {report.block:,} is none of this job: {span}.")
    for block in report.failed_blocks:
        if not job.start_block <= block <= job.end_block:
            raise BadReport("failed_blocks", f"Block {block:,} is none of this job: {span}.")


def _not_applied(job: BackfillJob, report: Report, actor: str) -> Answer:
    """Why nothing changed: a wrong block, another's lease, an older block, or the job has ended."""
    _check(job, report)
    work = JobWork.objects.filter(pk=job.pk).first()
    if report.lease and work and work.lease not in (None, report.lease):
        return Answer(job, applied=False, command="stop")
    command = COMMANDS[BackfillJob.Status(job.status)]
    if command == "stop" and work and work.cancelled_at and not work.stop_confirmed_at:
        _confirm_stop(job.pk, actor)
    return Answer(job, applied=False, command=command)


def _may_tell(job_id: uuid.UUID, report: Report) -> bool:
    lease = JobWork.objects.filter(pk=job_id).values_list("lease", flat=True).first()
    return report.lease is None or lease in (None, report.lease)


def _confirm_stop(job_id: uuid.UUID, actor: str) -> None:
    if JobWork.objects.filter(pk=job_id, stop_confirmed_at=None).update(stop_confirmed_at=Now()):
        JobEvent.objects.create(job_id=job_id, kind="stopped", actor=actor, detail="The worker heard of it.")
