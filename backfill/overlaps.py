"""Which jobs already do, or did, the blocks of a range; asked under a lock, so that two starts cannot both pass."""

import uuid
from collections.abc import Sequence

from django.db import connection

from backfill import coverage
from backfill.fields import BlockRange
from backfill.models import BackfillJob

LOCK = 7021006  # the class of this app's advisory locks; the type is the key within
TOLD = 20  # overlapping jobs that a refusal names


class Overlap(Exception):
    """The range overlaps these jobs of its type, the first TOLD of them by their start; or blocks that jobs did which
    are in the archive by now."""

    def __init__(self, jobs: Sequence[BackfillJob], archived: Sequence[BlockRange] = ()) -> None:
        self.jobs = list(jobs)
        super().__init__(_in_words(jobs) if jobs else _of_archived(archived))


def _of_archived(done: Sequence[BlockRange]) -> str:
    count = sum(last - first + 1 for first, last in done)
    named = ", ".join(f"{first:,}–{last:,}" for first, last in done[:3]) + ("…" if len(done) > 3 else "")
    return f"{count:,} block{'s' * (count != 1)} of the range were done by jobs that are archived by now: {named}."


def _in_words(jobs: Sequence[BackfillJob]) -> str:
    return (
        f"The range overlaps {len(jobs)}{'+' if len(jobs) == TOLD else ''} running, paused or completed "
        f"job{'s' * (len(jobs) != 1)} of its type: "
        + ", ".join(f"{job.start_block:,}–{job.end_block:,} ({job.status})" for job in jobs[:3])
        + ("…" if len(jobs) > 3 else "")
        + "."
    )


def lock_type(job_type: str) -> None:
    """Until the transaction ends, nobody else starts or resumes a job of this type. Two types may share a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCK, job_type])


def overlapping(
    job_type: str,
    first: int,
    last: int,
    *,
    besides: Sequence[uuid.UUID] = (),
    statuses: Sequence[str] = BackfillJob.TAKEN,
) -> list[BackfillJob]:
    """Jobs of the type in these states that share a block with the range, at most TOLD, by start."""
    found = BackfillJob.objects.sharing(job_type, first, last).filter(status__in=statuses)
    return list(found.exclude(pk__in=besides).order_by("start_block", "pk")[:TOLD])


def refuse_overlap(
    job_type: str, first: int, last: int, *, besides: Sequence[uuid.UUID] = (), archived: bool = True
) -> None:
    """Take the type's lock, and raise Overlap if the range is taken, by `archived` jobs too."""
    lock_type(job_type)
    if jobs := overlapping(job_type, first, last, besides=besides):
        raise Overlap(jobs)
    if archived and (done := coverage.done_and_archived(job_type, first, last)):
        raise Overlap([], done)
