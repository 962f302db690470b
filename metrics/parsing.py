"""A body of JSON becomes checked rows, and reasons for those that cannot be stored.

The whole list is validated at once in compiled code. Only when that finds a fault is it read again row by row, so
that a bad row costs the others time and nothing else.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from pydantic import FailFast, Field, TypeAdapter, ValidationError

from metrics.bodies import BatchRefused
from metrics.schemas import MAX_ROWS, MetricIn
from utxoiq_admin.core.schemas import MAX_DEPTH, UNSTORABLE, is_storable

MAX_FAULTS = 5  # named of one row
MAX_DIGITS = 400  # no double has more, and for a number of thousands Python refuses the whole body

_LIST = TypeAdapter(Annotated[list[MetricIn], Field(max_length=MAX_ROWS), FailFast()])
_ROW = TypeAdapter(MetricIn)
_TEXTS = ("service_name", "metric_type", "unit")
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{},]', re.S)
_TOO_DEEP = object()  # stands for an element that Python's parser gave up
_WORDS = {
    "string_pattern_mismatch": "Should be a time, such as 2026-11-24T12:00:00Z.",
    "string_unicode": UNSTORABLE,
    "extra_forbidden": "There is no such field.",
    "dict_type": "Should be an object.",
}


@dataclass(frozen=True)
class Rejected:
    """A row that is not stored; `about` names its series, as far as it can be read."""

    index: int
    field: str
    reason: str
    about: str = ""


class Fault(Exception):
    """What is wrong with a row: the field and the reason."""


@dataclass
class Parsed:
    """Rows of the right shape with their places in the list. `compiled`: none of their texts needs a second look."""

    rows: list[MetricIn]
    places: Sequence[int]
    compiled: bool
    rejected: list[Rejected] = field(default_factory=list)


def parse(body: bytes, *, many: bool) -> Parsed:
    """The rows of a list (or, not `many`, of one object). Raises BatchRefused for what is neither."""
    # NUL passes the compiled parser, and can stand in JSON only as this escape; lone surrogates it refuses itself.
    if many and b"\\u0000" not in body:
        try:
            if rows := _LIST.validate_json(body):
                return Parsed(rows, range(len(rows)), compiled=True)
        except ValidationError:
            pass
    places: list[int] = []
    parsed = Parsed([], places, compiled=False)
    for index, item in enumerate(_items(body, many=many)):
        try:
            parsed.rows.append(_row(item))
            places.append(index)
        except Fault as fault:
            parsed.rejected.append(rejected(index, item, fault))
    return parsed


def rejected(index: int, item: Any, fault: Fault) -> Rejected:
    name, reason = fault.args
    return Rejected(index, name, reason, _about(item))


def _items(body: bytes, *, many: bool) -> list[Any]:
    """The list's elements as they are. Python's parser takes what no row may hold: NaN, halves of surrogates."""
    try:
        found = _loads(body)
    except RecursionError:
        # Only one row need be nested without end; the others can be read without it.
        found = [_loads_shallow(each) for each in _split(body)] if many else [_TOO_DEEP]
    else:
        kind, words = (list, "a list of objects") if many else (dict, "one object")
        if not isinstance(found, kind):
            raise BatchRefused(422, "body", "type", f"The body must be {words}; nothing was stored.")
        found = found if many else [found]
    if len(found) > MAX_ROWS:
        why = f"A list may have at most {MAX_ROWS:,} rows; nothing was stored. Send several shorter ones."
        raise BatchRefused(413, "body", "too_long", why)
    if not found:
        raise BatchRefused(422, "body", "empty", "The list is empty; there is nothing to store.")
    return cast(list[Any], found)


def _loads(text: bytes) -> Any:
    try:
        return json.loads(text, parse_int=_number)
    except ValueError:  # also for what is no UTF-8
        raise _not_json() from None


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _loads_shallow(text: bytes) -> Any:
    try:
        return _loads(text)
    except RecursionError:
        return _TOO_DEEP


def _split(body: bytes) -> Iterator[bytes]:
    """The elements of the outermost list, found without recursion."""
    depth, start = 0, 0
    for token in _TOKENS.finditer(body):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
            start = token.end() if depth == 1 else start
        elif mark in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                yield body[start : token.start()]
        elif mark == b"," and depth == 1:
            yield body[start : token.start()]
            start = token.end()
    if depth:
        raise _not_json()


def _not_json() -> BatchRefused:
    return BatchRefused(422, "body", "json", "The body is not JSON; nothing was stored.")


def _row(item: Any) -> MetricIn:
    if item is _TOO_DEEP:
        raise Fault("metric_metadata", f"This is nested deeper than {MAX_DEPTH} levels.")
    try:
        row = _ROW.validate_python(item)
    except ValidationError as error:
        raise fault_of(error) from None
    for name in _TEXTS:
        if not is_storable(cast(dict[str, Any], row)[name]):
            raise Fault(name, UNSTORABLE)
    return row


def fault_of(error: ValidationError, *within: str) -> Fault:
    """The first fault's field and reason; those of further fields follow in the reason."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    named = [
        (_path([*within, *each["loc"]]), _words(each["type"], each["msg"])) for each in faults[:MAX_FAULTS]
    ]
    more = [f"Also {name}: {words}" for name, words in named[1:]]
    if len(faults) > MAX_FAULTS:
        more.append(f"And {len(faults) - MAX_FAULTS:,} more.")
    return Fault(named[0][0], " ".join([named[0][1], *more]))


def _path(where: Iterable[int | str]) -> str:
    """The field's name. One that the sender made up is cut short, and can be stored whatever it holds."""
    name = ".".join(map(str, where))[:100]
    return name if is_storable(name) else ascii(name)[:100]


def _words(kind: str, message: str) -> str:
    return _WORDS.get(kind) or message.removeprefix("Value error, ").rstrip(".") + "."


def _about(item: Any) -> str:
    """Service and type of a row that may be wrong in everything, for the people who look for it."""
    if not isinstance(item, dict):
        return ""
    names = [item.get("service_name"), item.get("metric_type")]
    return " ".join(each[:100] for each in names if isinstance(each, str) and is_storable(each[:100]))
