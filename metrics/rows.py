"""Checked metrics become rows of the table: ids, times inside the hot window, and the order to store them in."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, compress, pairwise
from operator import attrgetter, not_
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.conf import settings
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from metrics.parsing import Fault, Parsed, Rejected, fault_of, rejected
from metrics.row_ids import uuid7s
from utxoiq_admin.core.schemas import JsonObject

AHEAD = timedelta(days=1)  # a clock may be wrong; a chart need not reach into next week for it
_METADATA = TypeAdapter(JsonObject)
JSONB_VERSION = b"\1"
_NO_TIME = "A row with an id must carry its timestamp: both together are its identity."
_BAD_TIME = "This is no time of the calendar."


class Row(NamedTuple):
    """A row in the order of `ingest_copy.COLUMNS`, then its place in the list that was sent."""

    id: UUID
    service_name: str
    metric_type: str
    metric_value: float
    unit: str
    timestamp: datetime
    metric_metadata: bytes | None
    place: int


_make_row = partial(tuple.__new__, Row)  # Row's own constructor is Python


@dataclass
class Batch:
    """Rows by (timestamp, id), the order in which every writer locks keys; no key twice. `has_ids`: the sender's."""

    rows: list[Row] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    twins: list[Row] = field(default_factory=list)  # rows whose key an earlier row of the batch has
    has_ids: bool = False


def make_batch(parsed: Parsed, *, now: datetime) -> Batch:
    """The rows to store; those without a timestamp are of `now`."""
    batch = Batch(rejected=parsed.rejected)
    nameless = sum(1 for sent in parsed.rows if sent.get("id") is None)
    batch.has_ids = nameless < len(parsed.rows)
    batch.rows = list(_rows(batch, parsed, iter(uuid7s(nameless)), now))
    _sort(batch)
    # Before twins are told: what is not stored has no row that a twin could be a duplicate of.
    _keep_window(batch, now)
    _part_twins(batch)
    batch.rejected.sort(key=attrgetter("index"))
    return batch


def _rows(batch: Batch, parsed: Parsed, new_ids: Iterator[UUID], now: datetime) -> Iterator[Row]:
    # Thousands of times per request: what most rows share (the time) is read once, and nothing is called in vain.
    times: dict[str | None, datetime] = {None: now}
    for place, sent in zip(parsed.places, parsed.rows, strict=True):
        own_id, time, metadata = sent.get("id"), sent.get("timestamp"), sent.get("metric_metadata")
        try:
            if own_id is not None and time is None:
                raise Fault("timestamp", _NO_TIME)
            moment = times.get(time) or times.setdefault(time, _moment(cast(str, time)))
            text = None if metadata is None else _stored_json(metadata, compiled=parsed.compiled)
        except Fault as fault:
            batch.rejected.append(rejected(place, sent, fault))
            continue
        yield _make_row(
            (
                own_id or next(new_ids),
                sent["service_name"],
                sent["metric_type"],
                sent["metric_value"],
                sent["unit"],
                moment,
                text,
                place,
            )
        )


def _moment(text: str) -> datetime:
    """The time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the first day of year 1, east of Greenwich
        raise Fault("timestamp", _BAD_TIME) from None


def _stored_json(metadata: dict[str, Any], *, compiled: bool) -> bytes:
    """jsonb as the server's binary format has it. What the compiled parser let pass can only be deep, or not finite."""
    if not compiled:
        _check(metadata)
    text = to_json(metadata, inf_nan_mode="constants")
    if compiled and (b"[" in text or text.rfind(b"{") > 0):
        _check(metadata)
    if b"NaN" in text or b"Infinity" in text:  # perhaps inside a string: ask one who knows
        try:
            json.dumps(metadata, allow_nan=False)
        except ValueError:
            raise Fault("metric_metadata", "Numbers in it must be finite.") from None
    return JSONB_VERSION + text


def _check(metadata: dict[str, Any]) -> None:
    try:
        _METADATA.validate_python(metadata)
    except ValidationError as error:
        raise fault_of(error, "metric_metadata") from None


def _sort(batch: Batch) -> None:
    rows = batch.rows
    if batch.has_ids:
        # Twice, since a sort keeps the order of equals: pairs as keys would be thousands of objects more. By the
        # ids' numbers: comparing UUIDs themselves calls Python each time.
        rows.sort(key=attrgetter("id.int"))
    rows.sort(key=attrgetter("timestamp"))


def _part_twins(batch: Batch) -> None:
    """Keep the first of rows with the same key."""
    if not batch.has_ids:
        return
    rows = batch.rows
    same = [a.id.int == b.id.int and a.timestamp == b.timestamp for a, b in pairwise(rows)]
    if any(same):
        batch.rows = list(compress(rows, chain([True], map(not_, same))))
        batch.twins = list(compress(rows, chain([False], same)))


def _keep_window(batch: Batch, now: datetime) -> None:
    """Reject what lies outside of the hot window; the rows are in order, so their ends tell whether any does."""
    days = settings.RETENTION_METRICS_DAYS
    first, last = now - timedelta(days=days), now + AHEAD
    if not batch.rows or (batch.rows[0].timestamp >= first and batch.rows[-1].timestamp <= last):
        return
    old, new = f"Older than the {days} days that are kept.", "More than a day ahead of the server's clock."
    kept = []
    for row in batch.rows:
        if first <= row.timestamp <= last:
            kept.append(row)
        else:
            batch.rejected.append(reject(row, "timestamp", old if row.timestamp < first else new))
    batch.rows = kept


def reject(row: Row, name: str, reason: str) -> Rejected:
    return rejected(row.place, cast(Any, row._asdict()), Fault(name, reason))
