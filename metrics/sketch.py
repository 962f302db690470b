"""A mergeable sketch of values, from which percentiles come over any range: log-spaced bins with their row counts.

Bin b > 0 holds the values in (G^(i-1), G^i] with i = b - OFFSET, bin -b their negatives, bin 0 exact zeros; bins sort
as their values do. A value is taken for the point of its bin from which both ends are equally far in proportion:
at most (G - 1) / (G + 1) = 1.96 % off. Merging adds counts, so merged sketches are as exact as one of all rows.
`metric_bin()` of migration 0003 is the same numbering in SQL.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

GROWTH = 1.04
OFFSET = 20_000  # above the index of the smallest float, so that a bin's sign is its values' sign
RELATIVE_ERROR = (GROWTH - 1) / (GROWTH + 1)
_STEP = 0.03922071315328133  # ln(GROWTH)
_MIDDLE = math.log((GROWTH + 1) / 2)


def bin_of(value: float) -> int:
    """The bin of a finite value."""
    if value == 0:
        return 0
    index = OFFSET + math.ceil(math.log(abs(value)) / _STEP)
    return index if value > 0 else -index


def value_of(number: int) -> float:
    """The value that stands for all of a bin."""
    if number == 0:
        return 0.0
    # The outermost bin reaches beyond the largest float.
    size = math.exp(min((abs(number) - OFFSET) * _STEP - _MIDDLE, 709.78))
    return size if number > 0 else -size


def merge(into: dict[int, int], bins: Iterable[int], rows: Iterable[int]) -> None:
    """Add a sketch to another."""
    for number, count in zip(bins, rows, strict=True):
        into[number] = into.get(number, 0) + count


def percentiles(
    sketch: Mapping[int, int], shares: Sequence[float], *, lowest: float, highest: float
) -> list[float | None]:
    """For each share (ascending, 0 to 1) the value that this share of the rows does not exceed; None of no rows.

    Each is within RELATIVE_ERROR of SQL's percentile_disc over the rows, and never outside their extremes.
    """
    count = sum(sketch.values())
    if not count:
        return [None for _ in shares]
    found: list[float | None] = []
    numbers = iter(sorted(sketch))
    passed, number = 0, 0
    for share in shares:
        rank = max(1, math.ceil(share * count - 1e-9))
        while passed < rank:
            number = next(numbers)
            passed += sketch[number]
        found.append(min(max(value_of(number), lowest), highest))
    return found
