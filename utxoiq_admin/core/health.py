"""Named checks: what an app knows to be wrong, for the home page and later for alerts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class Level(IntEnum):
    """How bad it is; a higher one is said first."""

    OK = 0
    NOT_SET_UP = 1
    UNKNOWN = 2
    SOON = 3
    BROKEN = 4


@dataclass(frozen=True)
class Check:
    """One sentence about one thing. `since` is when the state began; `url` leads to where it can be seen."""

    name: str
    level: Level
    text: str
    since: datetime | None = None
    url: str = ""
    link: str = ""


def worst_first(checks: Iterable[Check]) -> list[Check]:
    """By level, then the longest-standing first."""
    return sorted(checks, key=lambda c: (-c.level, c.since.timestamp() if c.since else float("inf")))
