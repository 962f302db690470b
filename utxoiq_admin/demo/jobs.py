"""The demo's backfill jobs: what becomes of each is decided by the plan, how far it is by the clock."""

import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from backfill.models import BackfillJob
from utxoiq_admin.demo.insights import PHRASES
from utxoiq_admin.demo.plan import Plan, chain_tip

CREATED_BY = "demo"
KEPT = 60
GAP = timedelta(hours=5)
# Blocks a second that one worker gets through.
SPEEDS = {"blocks": 3.4, "transactions": 1.1, "insights": 0.45, "signals": 0.8, "utxo_set": 1.9}
# Fates by number, so that the load shows each: 0 is the newest. Later ones are drawn.
FATES = {
    0: "complete",
    -1: "complete",
    -2: "fail",
    -3: "stall",
    -4: "complete",
    -5: "pause",
    -9: "pause",
    -16: "fail",
}
STALL = timedelta(hours=48)


@dataclass(frozen=True)
class Job:
    """One job's whole life: runs at an even speed to `turn` of its range, and there meets its fate."""

    id: uuid.UUID
    job_type: str
    first: int
    last: int
    started_at: datetime
    seconds: float  # that the whole range takes
    fate: str  # complete, fail, stall (no progress, then failed), pause (then resumed and completed)
    turn: float
    pause: timedelta
    error: str

    def fields_at(self, now: datetime) -> dict[str, Any]:
        """The columns that change, as they stand at `now`."""
        worked = (now - self.started_at).total_seconds() / self.seconds
        turned = self.started_at + timedelta(seconds=self.seconds * self.turn)
        if self.fate == "complete" or worked < self.turn:
            return self._running(worked, now)
        if self.fate == "fail":
            return self._failed(turned)
        if self.fate == "stall":
            ends = turned + STALL
            return self._failed(ends) if now >= ends else self._standing("running", turned)
        if now < turned + self.pause:
            return self._standing("paused", None)
        return self._running(worked - self.pause.total_seconds() / self.seconds, now)

    def _running(self, worked: float, now: datetime) -> dict[str, Any]:
        if worked >= 1:
            ended = now - timedelta(seconds=self.seconds * (worked - 1))
            return self._columns("completed", 1.0, completed_at=ended)
        ends = now + timedelta(seconds=self.seconds * (1 - worked))
        return self._columns("running", worked, estimated_completion=ends)

    def _standing(self, status: str, reported: datetime | None) -> dict[str, Any]:
        """Not moving; a stalled job's estimate is still the one of its last report."""
        ends = reported + timedelta(seconds=self.seconds * (1 - self.turn)) if reported else None
        return self._columns(status, self.turn, estimated_completion=ends)

    def _failed(self, ended: datetime) -> dict[str, Any]:
        error = PHRASES["errors"][-1] if self.fate == "stall" else self.error
        block = f"{self._block(self.turn):,}"
        return self._columns("failed", self.turn, completed_at=ended, error_message=error.format(block=block))

    def _block(self, share: float) -> int:
        return self.first + int((self.last - self.first) * min(1.0, max(0.0, share)))

    def _columns(self, status: str, share: float, **more: Any) -> dict[str, Any]:
        block = self._block(share)
        done = 100.0 if status == "completed" else 100 * (block - self.first) / (self.last - self.first + 1)
        empty = {"estimated_completion": None, "completed_at": None, "error_message": None}
        where = {"status": status, "current_block": block, "progress_percentage": round(done, 2)}
        return {**empty, **where, **more}

    def row_at(self, now: datetime) -> BackfillJob:
        fixed = {"id": self.id, "job_type": self.job_type, "start_block": self.first, "end_block": self.last}
        return BackfillJob(**fixed, started_at=self.started_at, created_by=CREATED_BY, **self.fields_at(now))


def job(plan: Plan, number: int) -> Job:
    """Job `number`: 0 started last before the anchor, older ones count down, later ones up."""
    rng = plan.random("job", number)
    fate = FATES.get(number) or rng.choices(["complete", "fail", "pause", "stall"], [78, 13, 6, 3])[0]
    started = plan.anchor + GAP * (number - rng.uniform(0.1, 0.6))
    job_type = rng.choice(list(SPEEDS))
    # Those that are to be seen at work at the load must not have ended by then.
    hours = rng.uniform(5.5, 14) if number not in (0, -1, -4) else rng.uniform(7, 9) - 5.5 * number
    turn = rng.uniform(0.12, 0.85)
    if fate in ("stall", "pause") or number in FATES:
        hours, turn = max(hours, 9.0), min(turn, 0.5)
    blocks = int(hours * 3600 * SPEEDS[job_type])
    first, last = _range(rng, blocks, chain_tip(started))
    return Job(
        id=uuid.UUID(int=_uuid7_bits(rng, started)),
        job_type=job_type,
        first=first,
        last=last,
        started_at=started,
        seconds=hours * 3600,
        fate=fate,
        turn=turn,
        pause=timedelta(hours=rng.uniform(52, 80)),
        error=rng.choice(PHRASES["errors"][:-1]),
    )


def jobs_at(plan: Plan, now: datetime) -> list[Job]:
    """The newest KEPT jobs that have started by `now`."""
    newest = int((now - plan.anchor) / GAP) + 2
    found = [job(plan, number) for number in range(newest, newest - KEPT - 4, -1)]
    return [j for j in found if j.started_at <= now][:KEPT]


def _range(rng: random.Random, blocks: int, tip: int) -> tuple[int, int]:
    """Round numbers, as people type them, somewhere in the chain or up to its tip."""
    blocks = max(500, round(blocks, -2))
    if rng.random() < 0.3:
        return tip - blocks + 1, tip
    first = round(rng.randint(600_000, tip - blocks - 1_000), -3)
    return first, first + blocks - 1


def _uuid7_bits(rng: random.Random, moment: datetime) -> int:
    bits = int(moment.timestamp() * 1000) << 80 | 0x7 << 76 | rng.getrandbits(12) << 64
    return bits | 0b10 << 62 | rng.getrandbits(62)
