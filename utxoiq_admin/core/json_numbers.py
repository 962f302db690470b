"""Numbers of jsonb are PostgreSQL's numeric: longer and larger than Python makes ints and floats of."""

import json
import math
from typing import Any

MAX_DIGITS = 1000  # Python refuses to read or write an int of more than 4,300


def integer(text: str) -> int | str:
    """The number, or the digits as they stand."""
    return int(text) if len(text) <= MAX_DIGITS else text


def fraction(text: str) -> float | str:
    """The number, or the digits as they stand where a float would be infinite, which no JSON holds."""
    found = float(text)
    return found if math.isfinite(found) else text


class AnyNumber(json.JSONDecoder):
    """For fields that others write: a number that is none here comes as text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"parse_int": integer, "parse_float": fraction, **options})
