"""A set of blocks as PostgreSQL stores it: int8multirange, read and written as ranges with both ends included."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import models

_RANGE = re.compile(r"\[(-?\d+),(-?\d+)\)")
BlockRange = tuple[int, int]  # first and last block, both included

if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
else:
    _Field = models.Field


class BlockSetField(_Field):
    """int8multirange, since the block after the highest int4 must be writable as a bound; in Python sorted ranges."""

    def db_type(self, connection: Any) -> str:
        return "int8multirange"

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        return f"{sql}::text", params

    def from_db_value(self, value: str | None, *_: Any) -> list[BlockRange] | None:
        return None if value is None else ranges(value)

    def get_prep_value(self, value: Any) -> Any:
        return value if value is None else multirange(value)


def ranges(text: str) -> list[BlockRange]:
    """The ranges of a multirange's text, in order; PostgreSQL's own are half open.

    Text, since the driver makes three objects a range: some 2,000 of them took longer than their query.
    """
    return [(int(first), int(after) - 1) for first, after in _RANGE.findall(text)]


def multirange(blocks: Iterable[BlockRange]) -> str:
    """Ranges with both ends included, as the text of a PostgreSQL multirange."""
    return "{" + ",".join(f"[{first},{last}]" for first, last in blocks) + "}"


def size(blocks: Iterable[BlockRange]) -> int:
    """How many blocks the ranges hold, both ends included; they must not overlap."""
    return sum(last - first + 1 for first, last in blocks)
