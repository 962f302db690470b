"""Why a claim or decision was not made: said to the person who clicked, with what to do."""

from enum import StrEnum


class Why(StrEnum):
    HELD = "held"  # by another
    LOST = "lost"  # the hold ran out, or was given up for another item
    DECIDED = "decided"  # by somebody, and nothing is left to judge
    NEWER_FLAGS = "newer"
    NOTE = "note"  # is missing
    NOT_YOURS = "administrators"
    NOT_NEWEST = "not_newest"  # only the newest decision of an insight can be undone
    UNKNOWN = "unknown"


class Refused(Exception):
    """Nothing was changed. The message is for the one who asked."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why
