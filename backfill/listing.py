"""What the list of jobs shows: the open ones with what is the matter with them, and those that ended, page by page."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from backfill.models import BackfillJob, BackfillJobQuerySet, JobWork
from backfill.standing import standing_of
from backfill.verdicts import State
from backfill.words import JobRow
from utxoiq_admin.core.cursors import Direction, page

OPEN_SHOWN, PAGE_SIZE, EXPORT_PAGE = 200, 30, 500
ORDER = ("-started_at", "-id")
FAILED_WITHIN = timedelta(hours=24)
OPEN_STATES = (State.RUNNING, State.WAITING, State.SILENT, State.STALLED, State.SLOW, State.PAUSED)
ENDED_STATES = (State.COMPLETED, State.FAILED, State.CANCELLED)
# The worst first; then the newest.
_ORDER = {
    state: place for place, state in enumerate((State.SILENT, State.STALLED, State.SLOW, State.WAITING))
}


@dataclass(frozen=True)
class Choice:
    """What a visitor chose: `state` of OPEN_STATES or ENDED_STATES, a type, an id or a creator; "" is all."""

    job_type: str = ""
    state: str = ""
    text: str = ""


@dataclass(frozen=True)
class Listing:
    """`open` counts every open job by its state; the rows are those that were chosen."""

    open: dict[str, int]
    failed: int
    rows: list[JobRow]
    ended: list[JobRow]
    next: str | None
    prev: str | None
    cut: bool  # there may be more open jobs than are looked at


def worst_first(jobs: BackfillJobQuerySet) -> list[JobRow]:
    """The newest OPEN_SHOWN of these jobs, those with something the matter first."""
    rows = [JobRow(each) for each in standing_of(jobs[:OPEN_SHOWN])]
    return sorted(rows, key=lambda row: _ORDER.get(row.standing.verdict.state, len(_ORDER)))


def listing(choice: Choice, *, cursor: str | None, direction: Direction, now: datetime) -> Listing:
    """The open jobs (OPEN_SHOWN at most) and one page of ended ones. Raises InvalidCursor."""
    jobs = _chosen(choice)
    rows = worst_first(jobs.filter(status__in=BackfillJob.OPEN))
    counts = Counter(row.state for row in rows)
    shown = [row for row in rows if choice.state in ("", row.state)]
    found = page(
        _ended(jobs, choice.state),
        order=ORDER,
        cursor=cursor,
        direction=direction,
        size=PAGE_SIZE,
    )
    ended = [JobRow(each) for each in standing_of(found.rows)]
    failed = jobs.failed_since(now - FAILED_WITHIN, cancelled=False).count()
    return Listing(dict(counts), failed, shown, ended, found.next, found.prev, len(rows) == OPEN_SHOWN)


def _chosen(choice: Choice) -> BackfillJobQuerySet:
    jobs = BackfillJob.objects.all()
    if choice.job_type:
        jobs = jobs.filter(job_type=choice.job_type)
    if choice.text:
        jobs = jobs.filter(pk__in=BackfillJob.objects.found(jobs, choice.text).values("pk"))
    return jobs


def every(choice: Choice) -> Iterator[JobRow]:
    """The rows of the list, all pages of it one after the other."""
    jobs = _chosen(choice)
    yield from (
        row
        for row in worst_first(jobs.filter(status__in=BackfillJob.OPEN))
        if choice.state in ("", row.state)
    )
    cursor: str | None = None
    while True:
        found = page(_ended(jobs, choice.state), order=ORDER, cursor=cursor, size=EXPORT_PAGE)
        yield from map(JobRow, standing_of(found.rows))
        cursor = found.next
        if cursor is None:
            return


def _ended(jobs: BackfillJobQuerySet, state: str) -> BackfillJobQuerySet:
    if state in OPEN_STATES:
        return jobs.none()
    if state in (State.FAILED, State.CANCELLED):
        cancelled = JobWork.objects.filter(cancelled_at__isnull=False).values("pk")
        jobs = jobs.filter(pk__in=cancelled) if state == State.CANCELLED else jobs.exclude(pk__in=cancelled)
        return jobs.filter(status=BackfillJob.Status.FAILED)
    return jobs.filter(status=state) if state else jobs.exclude(status__in=BackfillJob.OPEN)
