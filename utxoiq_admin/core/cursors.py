"""Keyset pages: a cursor is the place of a row in an order, so page 1000 costs as much as page 1.

Rows that arrive or go while somebody pages shift nothing: a page is whatever lies beyond a place. The order must end
with a unique field, else rows that tie would be skipped, and no field of it may be NULL, since NULL compares with
nothing.
"""

import base64
import binascii
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from operator import or_
from typing import Any, Generic, Literal, TypeVar

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Field, Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import F
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan

Row = TypeVar("Row")
Direction = Literal["next", "prev"]
MAX_LENGTH = 2000


class InvalidCursor(ValueError):
    """The text is no cursor of ours, or one of another list. The message is fit for the one who sent it."""


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows in order, and the cursors of the pages on either side (None: there is none)."""

    rows: list[Row]
    next: str | None
    prev: str | None


def encode(values: Sequence[Any]) -> str:
    """The values as URL-safe text that says nothing by itself; `decode` gives them back."""
    text = json.dumps([_pack(value) for value in values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(text: str) -> tuple[Any, ...]:
    """The values of a cursor, or InvalidCursor."""
    try:
        if len(text) > MAX_LENGTH:
            raise ValueError("too long")
        packed = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if not isinstance(packed, list) or not packed:
            raise ValueError("no list")
        return tuple(_unpack(value) for value in packed)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, binascii.Error) as error:
        raise InvalidCursor(
            "The cursor is damaged or was made by hand. Take it from the page before, or leave it out to begin "
            "at the start."
        ) from error


def page(
    queryset: QuerySet[Any, Row],
    *,
    order: Sequence[str],
    cursor: str | None,
    direction: Direction = "next",
    size: int,
) -> Page[Row]:
    """The `size` rows that follow (or precede) the cursor, always in `order`; without a cursor the first ones."""
    keys = _keys(queryset, order)
    backwards = direction == "prev" and cursor is not None
    if cursor is not None:
        values = _values_for(keys, decode(cursor))
        queryset = queryset.filter(beyond([-key if backwards else key for key in keys], values))
    ordering = [(-key if backwards else key).ordering for key in keys]
    found = list(queryset.order_by(*ordering)[: size + 1])
    rows, more = found[:size], len(found) > size
    if backwards:
        rows.reverse()
    if not rows:
        # Whatever lay here is gone; the way back is the cursor itself.
        return Page([], cursor if backwards else None, None if backwards else cursor)
    first, last = place(rows[0], order), place(rows[-1], order)
    if backwards:
        return Page(rows, last, first if more else None)
    return Page(rows, last if more else None, first if cursor is not None else None)


def place(row: Any, order: Sequence[str]) -> str:
    """The cursor of one row: an instance, or a dict of `.values()`."""
    return encode([_value(row, name.removeprefix("-")) for name in order])


@dataclass(frozen=True)
class Key:
    """One field of an order."""

    name: str
    descending: bool
    field: "Field[Any, Any]"

    def __neg__(self) -> "Key":
        return Key(self.name, not self.descending, self.field)

    @property
    def ordering(self) -> str:
        return f"-{self.name}" if self.descending else self.name


def beyond(keys: Sequence[Key], values: Sequence[Any]) -> Q:
    """The condition "after this place in this order", in a form that an index on the keys serves.

    One direction for all is PostgreSQL's row comparison, which a single index scan starts from. The bound on the
    first key alone is implied by it, but only a plain comparison excludes partitions.
    """
    first = keys[0]
    bound = Q(**{f"{first.name}__{'lte' if first.descending else 'gte'}": values[0]})
    if len({key.descending for key in keys}) == 1:
        compare = TupleLessThan if first.descending else TupleGreaterThan
        return bound & Q(compare(Tuple(*(F(key.name) for key in keys)), tuple(values)))
    return bound & reduce(or_, (_tied_up_to(keys, values, index) for index in range(len(keys))))


def _tied_up_to(keys: Sequence[Key], values: Sequence[Any], index: int) -> Q:
    """Equal in the keys before `index`, and beyond in that one."""
    tied = {key.name: value for key, value in zip(keys[:index], values, strict=False)}
    key = keys[index]
    return Q(**tied, **{f"{key.name}__{'lt' if key.descending else 'gt'}": values[index]})


def _keys(queryset: QuerySet[Any, Any], order: Sequence[str]) -> list[Key]:
    keys = []
    for name in order:
        bare = name.removeprefix("-")
        field = _field(queryset, bare)
        if field.null:
            raise ValueError(
                f"Pages cannot be ordered by {bare!r}: it may be NULL, which compares with nothing."
            )
        keys.append(Key(bare, name.startswith("-"), field))
    if not keys or not keys[-1].field.unique:
        raise ValueError(
            f"The order {list(order)} must end with a unique field, or rows that tie are skipped."
        )
    return keys


def _field(queryset: QuerySet[Any, Any], name: str) -> "Field[Any, Any]":
    annotation = queryset.query.annotations.get(name)
    if annotation is not None:
        output: Field[Any, Any] = annotation.output_field
        return output
    model: type[Model] = queryset.model
    field: Any = None
    for part in name.split(LOOKUP_SEP):
        try:
            field = model._meta.pk if part == "pk" else model._meta.get_field(part)
        except FieldDoesNotExist as error:
            raise ValueError(f"Pages cannot be ordered by {name!r}: {error}") from error
        model = field.related_model or model
    return field


def _values_for(keys: Sequence[Key], values: tuple[Any, ...]) -> list[Any]:
    """The values as their fields want them; a cursor of another list is refused here, not by the database."""
    wrong = InvalidCursor("The cursor belongs to another list or order. Leave it out to begin at the start.")
    if len(values) != len(keys):
        raise wrong
    for key, value in zip(keys, values, strict=True):
        field = _target(key.field)
        try:
            # Validators refuse what the column could not hold, such as an integer too large for it.
            field.run_validators(value)
            # A date for a time would be taken in some zone; exact types leave nothing to conversion.
            if (
                value is None
                or _is_mere_date(field, value)
                or type(field.to_python(value)) is not type(value)
            ):
                raise wrong
            if isinstance(value, str) and "\x00" in value.encode().decode():
                raise wrong
        except (ValidationError, TypeError, ValueError, OverflowError) as error:
            raise wrong from error
    return list(values)


def _is_mere_date(field: Any, value: Any) -> bool:
    return type(value) is date and field.get_internal_type() != "DateField"


def _target(field: Any) -> Any:
    return field.target_field if field.is_relation else field


def _value(row: Any, name: str) -> Any:
    if isinstance(row, Mapping):
        return row[name]
    return reduce(getattr, name.split(LOOKUP_SEP), row)


def _pack(value: Any) -> Any:
    """JSON's own types as they are; the others as an object with one key that names the type."""
    if isinstance(value, datetime):
        return {"t": value.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00")}
    if isinstance(value, date):
        return {"d": value.isoformat()}
    if isinstance(value, uuid.UUID):
        return {"u": value.hex}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Model):
        return _pack(value.pk)
    raise TypeError(f"A {type(value).__name__} cannot stand in a cursor.")


def _unpack(value: Any) -> Any:
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise ValueError("a list in a list")
        return value
    ((kind, text),) = value.items()
    if kind == "t":
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    return date.fromisoformat(text) if kind == "d" else {"u": uuid.UUID}[kind](hex=text)
