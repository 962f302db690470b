"""What is missing between the rows of a series: told from counts, so that it is told alike at every zoom.

A bucket without rows is a gap only where rows are missing: one that is empty because rows come every five minutes, or
a second late, is none. And a bucket with rows hides a gap if it holds far fewer than those around it: in hours and
days a silence of half an hour leaves no bucket empty. Both are judged by what is usual before, or after: either side
may explain, so that nothing is told where one rhythm meets another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

RHYTHM = 3  # silences on either side of one that say what is usual there
MISSING = 1.5  # a silence this many times the usual one is a gap
AROUND = 5  # buckets on either side of one that say how many rows are usual there
FEWER = 0.75  # of the usual rows: a bucket with no more may hide a gap
FEW = 3  # rows: as many are missing by chance
NOISE = 4  # times the usual distance from the usual number of rows


@dataclass
class Gaps:
    """`between`: places of empty buckets in which nothing is missing. `holes`: places of buckets that have rows, and
    in which rows are missing."""

    between: list[int] = field(default_factory=list)
    holes: list[int] = field(default_factory=list)

    def widened(self, rows: Sequence[int | None], width: int) -> "Gaps":
        """The same of buckets `width` times as wide: one whose parts are all explained is, one with a gap inside has
        a hole. `rows` are those of the narrow buckets."""
        known = [place for place, count in enumerate(rows) if count is not None]
        if not known:
            return Gaps()
        explained = set(self.between)
        wide: list[int] = []
        for place in range(known[0] // width + 1, known[-1] // width):
            parts = range(place * width, (place + 1) * width)
            if all(rows[part] is None and part in explained for part in parts):
                wide.append(place)
        filled = {place // width for place in known}
        missing = {
            place // width
            for place in range(known[0], known[-1])
            if rows[place] is None and place not in explained
        }
        missing |= {place // width for place in self.holes}
        return Gaps(wide, sorted(missing & filled))


def find(
    rows: Sequence[int | None], moments: Mapping[int, tuple[float, float]], step: int, over: int
) -> Gaps:
    """The gaps of one series.

    `rows` counts each bucket's rows (None: empty), `moments` the times of a bucket's first and last row in seconds
    since the first bucket's start; a bucket without counts as filled from end to end. `step` is a bucket's width in
    seconds. Buckets from place `over` on still fill, and hide nothing.
    """
    known = [place for place, count in enumerate(rows) if count is not None]
    return Gaps(_between(known, moments, step), _holes(known, rows, over))


def _between(known: list[int], moments: Mapping[int, tuple[float, float]], step: int) -> list[int]:
    """Where a silence is the usual one: by the three silences before, or after, it."""
    apart = [number for number, (one, other) in enumerate(pairwise(known)) if other - one > 1]
    if not apart:
        return []
    spans = [moments.get(place) or (place * step, (place + 1) * step) for place in known]
    silences = [other[0] - one[1] for one, other in pairwise(spans)]
    places: list[int] = []
    for number in apart:
        around = (silences[max(0, number - RHYTHM) : number], silences[number + 1 : number + 1 + RHYTHM])
        usual = max((median(side) for side in around if side), default=0.0)
        if silences[number] <= MISSING * usual:
            places.extend(range(known[number] + 1, known[number + 1]))
    return places


def _holes(known: list[int], rows: Sequence[int | None], over: int) -> list[int]:
    counts = [rows[place] or 0 for place in known]
    found: list[int] = []
    # The first bucket of all may have begun before its series did.
    for number in range(1, len(known)):
        count = counts[number]
        beside = max(counts[number - 1], counts[min(number + 1, len(counts) - 1)])
        if count > FEWER * beside or known[number] >= over:
            continue
        before = counts[max(0, number - AROUND) : number]
        after = [
            rows[place] or 0 for place in known[number + 1 : number + 1 + AROUND] if place < over
        ] or before
        # Where counts vary by themselves, few rows say little: by how much, the less regular side tells.
        chance = max(FEW, NOISE * max(_spread(before), _spread(after)))
        if all(count <= FEWER * median(side) and median(side) - count >= chance for side in (before, after)):
            found.append(known[number])
    return found


def _spread(counts: list[int]) -> float:
    usual = median(counts)
    return median(abs(each - usual) for each in counts)
