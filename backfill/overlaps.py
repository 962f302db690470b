"""Which jobs already do, or did, the blocks of a range; asked under a lock, so that two starts cannot both pass."""

import uuid
from collections.abc import Sequence

from django.db import connection

from backfill.models import BackfillJob

LOCK = 7021006  # the class of this app's advisory locks; the type is the key within
TOLD = 20  # overlapping jobs that a refusal names


class Overlap(Exception):
    """The range overlaps these jobs of its type; the first TOLD of them, by their start."""

    def __init__(self, jobs: Sequence[BackfillJob]) -> None:
        super().__init__(
            f"The range overlaps {len(jobs)}{'+' if len(jobs) == TOLD else ''} running, paused or completed "
            f"job{'s' * (len(jobs) != 1)} of its type: "
            + ", ".join(f"{job.start_block:,}–{job.end_block:,} ({job.status})" for job in jobs[:3])
            + ("…" if len(jobs) > 3 else "")
            + "."
        )
        self.jobs = list(jobs)


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


def refuse_overlap(job_type: str, first: int, last: int, *, besides: Sequence[uuid.UUID] = ()) -> None:
    """Take the type's lock, and raise Overlap if the range is taken."""
    lock_type(job_type)
    if jobs := overlapping(job_type, first, last, besides=besides):
        raise Overlap(jobs)
