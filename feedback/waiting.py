"""What waits for a moderator, for the first page: read from the queue, not counted from flags."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min

from feedback import review_rows
from feedback.models import InsightReview
from feedback.review_claims import ORDER
from feedback.review_texts import known_texts


@dataclass(frozen=True)
class WaitingInsight:
    """An insight in the queue; `since` is when the flag that reached the threshold was set."""

    insight_id: str
    headline: str | None
    flags: int
    since: datetime


@dataclass(frozen=True)
class Waiting:
    """The queue in short: how many, since when the oldest, and the most urgent ones."""

    count: int
    oldest: datetime | None
    first: list[WaitingInsight]


def waiting(limit: int) -> Waiting:
    """The `limit` most urgent insights that wait, and how many there are."""
    review_rows.refresh(wait=False)
    rows = InsightReview.objects.filter(state=InsightReview.State.WAITING)
    found = list(rows.order_by(*ORDER)[:limit])
    texts = known_texts([row.pk for row in found])
    first = [
        WaitingInsight(
            row.pk, texts[row.pk].headline if row.pk in texts else None, row.unjudged, row.waiting_since
        )
        for row in found
        if row.waiting_since
    ]
    return Waiting(**rows.aggregate(count=Count("*"), oldest=Min("waiting_since")), first=first)
