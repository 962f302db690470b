"""What is the matter with a job: waiting, silent, stalled and slow are different things, with different remedies."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from backfill.models import BackfillJob, JobWork
from backfill.pace import Pace
from utxoiq_admin.core.display import span

PATIENCE = 2  # usual intervals without a word


class State(StrEnum):
    """The four states of the description, with what they hide."""

    RUNNING = "running"
    WAITING = "waiting for a worker"
    SILENT = "silent"
    STALLED = "stalled"
    SLOW = "slow"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Verdict:
    """The state, since when, and a sentence that says what was seen and what it may mean."""

    state: State
    since: datetime | None
    text: str


def judge(job: BackfillJob, work: JobWork, pace: Pace, now: datetime) -> Verdict:
    """The state of a job at `now`, by the database's clock."""
    if job.status == BackfillJob.Status.RUNNING:
        return _at_work(work, pace, now)
    if job.status == BackfillJob.Status.PAUSED:
        return Verdict(State.PAUSED, work.paused_at, "It goes on when somebody resumes it.")
    if job.status == BackfillJob.Status.COMPLETED:
        return Verdict(State.COMPLETED, work.ended_at, "")
    if work.cancelled_at:
        return Verdict(State.CANCELLED, work.cancelled_at, _stop(work))
    return Verdict(State.FAILED, work.ended_at, "")


def _at_work(work: JobWork, pace: Pace, now: datetime) -> Verdict:
    if work.waits:
        return Verdict(State.WAITING, work.changed_at, "No worker has claimed it yet.")
    heard = max(filter(None, (work.reported_at, work.changed_at)))
    if now - heard > timedelta(seconds=PATIENCE * pace.interval):
        usual = (
            f"it usually reports every {span(pace.interval)}" if pace.legs else "it has hardly reported yet"
        )
        return Verdict(State.SILENT, heard, f"Nothing heard from its worker, stopped or killed; {usual}.")
    moved = max(filter(None, (work.moved_at, work.changed_at)))
    # It has called since without a new block, and a new one is due: no need to wait for a second call.
    if work.reported_at and work.reported_at > moved and now - moved > timedelta(seconds=pace.move_interval):
        return Verdict(
            State.STALLED, moved, "Its worker still calls, at the same block: its source may hang."
        )
    if pace.slow_since and pace.now is not None and pace.usual is not None:
        rates = f"{_rate(pace.now)} blocks/s; {_rate(pace.usual)} are usual for it."
        text = f"{rates} Its source may be slower than before."
        return Verdict(State.SLOW, pace.slow_since, text)
    return Verdict(State.RUNNING, work.changed_at, "")


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _stop(work: JobWork) -> str:
    """Whether a worker of the cancelled job still has to stop."""
    if work.stop_confirmed_at:
        return "Its worker has heard of it and stopped."
    if work.holder:
        return "Its worker has not called since: it still has to stop."
    if work.reported_at:
        return "Its worker writes with SQL and is told nothing: stop it by hand."
    return "No worker had it."
