"""Taking the demo data out again: exactly the rows that are marked as demo, in bounded batches.

A row counts as demo by its own mark (`metric_metadata.demo`, a user id `demo-…`, `created_by = 'demo'`,
`is_demo`), never by the name of its service: real rows of a service that the demo shows too stay.
"""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

from django.db import transaction
from django.utils import timezone

from utxoiq_admin.demo import storage
from utxoiq_admin.demo.models import DemoState

State = DemoState.State
_MARKS = [
    ("backfill_jobs", "created_by = 'demo'"),
    ("insight_feedback", "user_id LIKE 'demo-%%'"),
    ("insight_texts", "is_demo"),
]


def request_removal() -> bool:
    """Mark the data as being removed, so that nothing keeps it alive; False when there is none."""
    changed = (
        DemoState.objects.filter(state__in=[State.PRESENT, State.LOADING])
        # A load under way finds its token gone, and stops.
        .update(state=State.REMOVING, phase="", percent=0.0, token=uuid.uuid4(), updated_at=timezone.now())
    )
    return changed == 1


def remove_demo() -> int:
    """Remove all demo rows; return how many. Killed and run again, it removes what is left."""
    token = uuid.uuid4()
    DemoState.objects.get_or_create()
    DemoState.objects.update(
        state=State.REMOVING, phase="", percent=0.0, token=token, updated_at=timezone.now()
    )
    removed = remove_rows(token)
    DemoState.objects.filter(token=token).update(state=State.ABSENT, percent=0.0, rows=0, anchor=None)
    return removed


def remove_rows(token: uuid.UUID) -> int:
    """Remove all demo rows for whoever holds the token. Raises TakenOver when another took it."""
    removed = 0
    for table, mark in _MARKS:
        while batch := _batch(token, partial(storage.delete_some, table, mark)):
            removed += batch
    # What their flags were goes too; it is no row that the load counted.
    while _batch(token, partial(storage.delete_some, "insight_flags", "user_id LIKE 'demo-%%'")):
        pass
    for first, end, percent in _spans():
        removed += _batch(token, partial(storage.delete_metrics, first, end), percent)
    return removed


@transaction.atomic
def _batch(token: uuid.UUID, delete: Callable[[], int], percent: float = 0.0) -> int:
    storage.quick_commit()
    state = DemoState.objects.held(token)
    removed = delete()
    state.percent, state.updated_at = percent, timezone.now()
    state.save(update_fields=["percent", "updated_at"])
    return removed


def _spans() -> Iterator[tuple[datetime, datetime, float]]:
    """The metrics' time cut into short spans, with the share of it that is done after each."""
    if (span := storage.metrics_span()) is None:
        return
    begin, last = span
    first = begin
    while first <= last:
        end = first + storage.DELETE_SPAN
        yield first, end, round(min(99.0, 100 * (end - begin) / (last - begin + storage.DELETE_SPAN)), 1)
        first = end
