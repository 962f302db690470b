"""A set of blocks as PostgreSQL stores it: int8multirange, read and written as ranges with both ends included."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import models
from psycopg.types.multirange import Multirange

BlockRange = tuple[int, int]  # first and last block, both included

if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
else:
    _Field = models.Field


class BlockSetField(_Field):
    """int8multirange, since the block after the highest int4 must be writable as a bound; in Python sorted ranges."""

    def db_type(self, connection: Any) -> str:
        return "int8multirange"

    def from_db_value(self, value: Any, *_: Any) -> list[BlockRange] | None:
        return None if value is None else ranges(value)

    def get_prep_value(self, value: Any) -> Any:
        return value if value is None else multirange(value)


def ranges(value: Multirange[int]) -> list[BlockRange]:
    """The multirange's ranges in order; PostgreSQL's own are half open."""
    return [
        (each.lower, each.upper - 1) for each in value if each.lower is not None and each.upper is not None
    ]


def multirange(blocks: Iterable[BlockRange]) -> str:
    """Ranges with both ends included, as the text of a PostgreSQL multirange."""
    return "{" + ",".join(f"[{first},{last}]" for first, last in blocks) + "}"


def size(blocks: Iterable[BlockRange]) -> int:
    """How many blocks the ranges hold, both ends included; they must not overlap."""
    return sum(last - first + 1 for first, last in blocks)
