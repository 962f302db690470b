"""How a job's figures read on pages: "41 blocks/s", "9 to 12 min", "812,000–820,000"."""

from dataclasses import dataclass
from datetime import datetime

from backfill.fields import BlockRange
from backfill.models import BackfillJob
from backfill.standing import Standing
from backfill.verdicts import State
from utxoiq_admin.core.display import duration

TONES = {
    State.RUNNING: "info",
    State.WAITING: "plain",
    State.SILENT: "bad",
    State.STALLED: "warn",
    State.SLOW: "warn",
    State.PAUSED: "plain",
    State.COMPLETED: "ok",
    State.FAILED: "bad",
    State.CANCELLED: "plain",
}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def rate_text(rate: float | None) -> str:
    """Blocks a second to two or three digits: "41/s", "0.45/s"; an en dash where none is known."""
    if rate is None:
        return "–"
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


def time_left_text(estimate: tuple[float, float] | None) -> str:
    """A range of seconds in one unit: "9 to 12 min"; "about 9 min" where both ends read alike."""
    if estimate is None:
        return "–"
    low, high = estimate
    size, unit = next((each for each in _UNITS if high >= 1.5 * each[0]), _UNITS[-1])
    digits = 1 if high < 10 * size and unit in ("d", "h") else 0
    first, last = (f"{seconds / size:,.{digits}f}".removesuffix(".0") for seconds in (low, high))
    return f"about {last} {unit}" if first == last else f"{first} to {last} {unit}"


def range_text(first: int, last: int) -> str:
    """ "812,000–820,000"; one block alone reads "812,000"."""
    return f"{first:,}" if first == last else f"{first:,}–{last:,}"


def ranges_text(ranges: list[BlockRange], *, limit: int = 12) -> str:
    """The first ranges, and how many more there are."""
    text = ", ".join(range_text(*each) for each in ranges[:limit])
    return text + (f" and {len(ranges) - limit:,} more" if len(ranges) > limit else "")


@dataclass(frozen=True)
class JobRow:
    """One job as a list shows it."""

    standing: Standing

    @property
    def job(self) -> BackfillJob:
        return self.standing.job

    @property
    def short_id(self) -> str:
        return str(self.job.pk)[-8:]

    @property
    def range(self) -> str:
        return range_text(self.job.start_block, self.job.end_block)

    @property
    def state(self) -> str:
        return self.standing.verdict.state.value

    @property
    def tone(self) -> str:
        return TONES[self.standing.verdict.state]

    @property
    def since(self) -> datetime | None:
        """Said of what is not as it should be, or is over."""
        return self.standing.verdict.since if self.standing.verdict.state != State.RUNNING else None

    @property
    def rate_now(self) -> str:
        return rate_text(self.standing.rate_now)

    @property
    def rate_whole(self) -> str:
        return rate_text(self.standing.rate_whole)

    @property
    def left(self) -> str:
        return time_left_text(self.standing.estimate)

    @property
    def took(self) -> str:
        """From its start to its end; an en dash for what has none."""
        ended = self.standing.work.ended_at or self.job.completed_at
        return duration(ended - self.job.started_at) if ended and ended >= self.job.started_at else "–"

    @property
    def is_open(self) -> bool:
        return self.job.status in BackfillJob.OPEN
