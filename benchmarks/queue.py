"""The review queue over all feedback: what a page of it, an item and a claim cost in the database."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test import Client

from benchmarks.report import Report
from feedback import review_claims, review_decisions, review_rows
from feedback.models import InsightReview
from feedback.review_models import Verdict

LIMIT_MS = 50
PAGES = {
    "first page": "/review/?live=1",
    "by type": "/review/?live=1&kind=spam",
    "by words in a reason": "/review/?live=1&reason=figures",
    "by id": "/review/?live=1&find=insight-0",
    "with its item": "/review/",
}


def measure(report: Report, *, repeat: int) -> None:
    begun = time.monotonic()
    marks = review_rows.refresh()
    print(f"  computed the queue from {marks:,} marks in {time.monotonic() - begun:.0f} s", flush=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE insight_reviews, insight_flags, review_judged_flags, review_events, review_claims"
        )
    user = User.objects.create_user("bench-queue")
    user.groups.add(Group.objects.get(name="moderators"))
    client = Client()
    client.force_login(user)
    waiting = InsightReview.objects.filter(state=InsightReview.State.WAITING)
    print(f"  {waiting.count():,} insights wait", flush=True)
    for name, url in PAGES.items():
        report.add(
            f"review queue, {name}, in the database", _p95(lambda url=url: client.get(url), repeat), LIMIT_MS
        )  # type: ignore[misc]
    report.add("claim the next one, in the database", _p95(lambda: _claim(user, waiting), repeat), LIMIT_MS)
    report.add(
        "decide and claim the next, in the database", _p95(lambda: _decide(user, waiting), repeat), LIMIT_MS
    )


def _claim(user: User, waiting: Any) -> None:
    assert review_claims.claim_next(moderator=user, among=waiting.all())


def _decide(user: User, waiting: Any) -> None:
    with transaction.atomic():
        claim = review_claims.claim_next(moderator=user, among=waiting.all())
        assert claim is not None
        review_decisions.decide(
            moderator=user,
            insight_id=claim.insight_id,
            token=claim.token,
            verdict=Verdict.SPAM,
            seen=review_decisions.open_flags(claim.insight_id),
        )
    _claim(user, waiting)


def _p95(work: Callable[[], Any], repeat: int) -> float:
    """95th percentile of the time spent in queries, in ms, after two turns that warm the buffers."""
    times: list[float] = []
    for _ in range(repeat + 2):
        spent = [0.0]

        def timed(execute: Any, *args: Any, spent: list[float] = spent) -> Any:
            begun = time.perf_counter()
            try:
                return execute(*args)
            finally:
                spent[0] += (time.perf_counter() - begun) * 1000

        with connection.execute_wrapper(timed):
            work()
        times.append(spent[0])
    return statistics.quantiles(times[2:], n=20)[-1]
