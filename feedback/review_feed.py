"""Decisions for the platform: events in the order of their commits, and how far it has read them."""

from django.db import connection

from feedback.queue_models import ReviewFetch
from feedback.review_models import ReviewEvent

# A row only for a fetch that went further than any before: repeats and pages read again leave no trace.
_NOTE = """
INSERT INTO review_fetches (through, reader)
SELECT %(through)s, %(reader)s WHERE %(through)s > (SELECT coalesce(max(through), 0) FROM review_fetches)
ON CONFLICT DO NOTHING
"""


def events_after(since: int, limit: int) -> list[ReviewEvent]:
    """The next events after id `since`, oldest first. No event with a lower id can still commit: see review_rows."""
    rows = ReviewEvent.objects.filter(pk__gt=since).select_related("moderator").order_by("pk")
    return list(rows[:limit])


def note_fetch(*, through: int, reader: str) -> None:
    """The platform now has all events up to `through`."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, {"through": through, "reader": reader[:100]})


def fetches_of(events: list[ReviewEvent]) -> dict[int, ReviewFetch]:
    """For each event's id the fetch that brought it to the platform, if one did."""
    if not events:
        return {}
    low, high = min(each.pk for each in events), max(each.pk for each in events)
    covering = list(ReviewFetch.objects.filter(through__gte=low, through__lt=high).order_by("through"))
    covering += ReviewFetch.objects.filter(through__gte=high).order_by("through")[:1]
    return {
        event.pk: next(fetch for fetch in covering if fetch.through >= event.pk)
        for event in events
        if covering and covering[-1].through >= event.pk
    }
