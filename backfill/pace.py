"""How fast a job goes and how often it reports, learnt from its own samples. Pure: samples in, figures out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

# Newest samples that are looked at, and steps without which nothing is called usual yet.
WINDOW, ENOUGH = 40, 4
NEWEST = 30  # intervals that say what is usual
RECENT = 5  # legs that "now" means
# Seconds: until a job has shown its own, and the shortest, since samples nearer than 0.25 s are not kept.
UNKNOWN_INTERVAL, SHORTEST_INTERVAL = 60.0, 1.0
UNKNOWN_MOVE = 600.0  # a block may be long: until a job has done some, only a long rest at one is a stall
SLOW = 3  # times slower than usual
RARE = 0.1  # share of earlier slow legs up to which a slow one is news


@dataclass(frozen=True)
class Point:
    """A sample: where the job stood. What lies before one that `begins` (a claim, a resume) is no work."""

    at: datetime
    block: int
    begins: bool = False


@dataclass(frozen=True)
class Leg:
    """Work between two samples: from one block to a higher one."""

    begun: datetime
    seconds: float
    blocks: int

    @property
    def rate(self) -> float:
        return self.blocks / self.seconds


@dataclass(frozen=True)
class Pace:
    """Seconds between reports, and between reports with a higher block, that the newest kept to; blocks/s over the
    last legs and usually; since when it has been slow, if it is."""

    interval: float = UNKNOWN_INTERVAL
    move_interval: float = UNKNOWN_MOVE
    now: float | None = None
    usual: float | None = None
    slow_since: datetime | None = None
    legs: int = 0


def pace(points: Sequence[Point], *, whole: float | None = None) -> Pace:
    """The pace of one job by its newest samples, oldest first. `whole` is its rate over the whole run, in blocks/s."""
    intervals = [(b.at - a.at).total_seconds() for a, b in pairwise(points) if not b.begins]
    legs = _legs(points)
    usual = median(leg.rate for leg in legs) if len(legs) >= ENOUGH else None
    stretch = _slow_stretch(legs, max(usual, whole or 0.0)) if usual else []
    recent = stretch or legs[-RECENT:]
    interval = _kept_to(intervals)
    return Pace(
        interval=interval,
        move_interval=max(interval, _kept_to([leg.seconds for leg in legs], UNKNOWN_MOVE)),
        now=sum(leg.blocks for leg in recent) / sum(leg.seconds for leg in recent) if recent else None,
        usual=usual,
        slow_since=stretch[0].begun if stretch else None,
        legs=len(legs),
    )


def _legs(points: Sequence[Point]) -> list[Leg]:
    legs: list[Leg] = []
    start: Point | None = None
    for point in points:
        if start is None or point.begins or point.block < start.block:
            start = point
        elif point.block > start.block and point.at > start.at:
            legs.append(Leg(start.at, (point.at - start.at).total_seconds(), point.block - start.block))
            start = point
    return legs


def _kept_to(intervals: Sequence[float], unknown: float = UNKNOWN_INTERVAL) -> float:
    """What all but one of the newest 30 did not exceed: a worker with an uneven rhythm is given its longer one."""
    if len(intervals) < ENOUGH:
        return unknown
    newest = sorted(intervals[-NEWEST:])
    return max(SHORTEST_INTERVAL, newest[-2] if len(newest) == NEWEST else newest[-1])


def _slow_stretch(legs: Sequence[Leg], usual: float) -> Sequence[Leg]:
    """The slow legs that last to the newest; none if slow ones are nothing new for this job."""
    slow = [leg.rate < usual / SLOW for leg in legs]
    length = next((place for place, each in enumerate(reversed(slow)) if not each), len(slow))
    earlier = slow[: len(slow) - length]
    return [] if sum(earlier) > RARE * len(earlier) else legs[len(legs) - length :]
