"""Many moderators at once over real connections, some killed while they hold, flags arriving all the while.

Small here; `make stress` runs 50 moderators on 1,000 items.
"""

import os
import random
import threading
import time
from collections import Counter

import pytest
from django.db import close_old_connections, connection

from feedback import review_claims, review_decisions, review_rows
from feedback.models import InsightFeedback, InsightFlag, InsightReview, JudgedFlag, ReviewEvent
from feedback.review_models import Verdict
from feedback.review_refusals import Refused, Why
from tests.feedback.reviewing import moderator, row

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stress]
STRESS = os.environ.get("STRESS") == "1"
MODERATORS, ITEMS, KILLED, LATE = (50, 1_000, 10, 400) if STRESS else (8, 60, 2, 30)
WAITING = InsightReview.objects.filter(state="waiting")
CHOICES = [Verdict.SPAM, Verdict.INACCURATE, Verdict.NOTHING_WRONG, Verdict.MISLEADING]


class Shift:
    """Moderators in threads with a connection each; what went wrong in any of them fails the test."""

    def __init__(self, seed: int) -> None:
        self.seed, self.errors, self.refusals = seed, [], Counter()
        self.flags_over = threading.Event()

    def work(self, person, dies_after: int | None) -> None:
        chance, done = random.Random(f"{self.seed}{person.pk}"), 0
        try:
            while True:
                review_rows.refresh(wait=False)
                claim = review_claims.claim_next(moderator=person, among=WAITING.all())
                if claim is None:
                    # What the killed hold comes back in time, and flags still come; those that came while another
                    # computed are computed before somebody goes home.
                    if self.flags_over.is_set() and not review_rows.refresh() and not WAITING.exists():
                        return
                    time.sleep(0.02)
                    continue
                if done == dies_after:
                    # As a killed browser: the claim stays, nobody renews it, and its connection is gone.
                    connection.close()
                    return
                self.decide(person, claim, chance)
                done += 1
        except Exception as error:
            self.errors.append(error)
        finally:
            connection.close()

    def decide(self, person, claim, chance) -> None:
        seen = review_decisions.open_flags(claim.insight_id)
        if chance.random() < 0.3:
            time.sleep(chance.random() * 0.01)
        for _ in range(20):
            try:
                review_decisions.decide(
                    moderator=person, insight_id=claim.insight_id, token=claim.token,
                    verdict=chance.choice(CHOICES), seen=seen,
                )  # fmt: skip
                return
            except Refused as refusal:
                self.refusals[refusal.why] += 1
                if refusal.why != Why.NEWER_FLAGS:
                    return
                seen = review_decisions.open_flags(claim.insight_id)

    def flag(self) -> None:
        chance = random.Random(self.seed)
        try:
            for number in range(LATE):
                for _ in range(chance.choice([1, 1, 3])):
                    insight = f"i{chance.randrange(ITEMS):04}"
                    InsightFeedback.objects.create(
                        insight_id=insight, user_id=f"late{number}-{chance.random()}", flag_type="spam"
                    )
                time.sleep(0.003)
        except Exception as error:
            self.errors.append(error)
        finally:
            self.flags_over.set()
            connection.close()


def test_no_item_is_decided_twice_none_is_lost_and_all_claims_end(settings):
    settings.REVIEW_CLAIM_SECONDS = 3
    seed = random.SystemRandom().randrange(10**6) if STRESS else 7
    print(f"seed {seed}")
    people = [moderator(f"m{n}") for n in range(MODERATORS)]
    InsightFeedback.objects.bulk_create(
        InsightFeedback(insight_id=f"i{item:04}", user_id=f"u{item}-{n}", flag_type="inaccurate")
        for item in range(ITEMS)
        for n in range(3)
    )
    assert review_rows.refresh() == ITEMS
    assert WAITING.count() == ITEMS
    shift, begun = Shift(seed), time.monotonic()
    threads = [
        threading.Thread(target=shift.work, args=(person, 1 if n < KILLED else None))
        for n, person in enumerate(people)
    ]
    threads.append(threading.Thread(target=shift.flag))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    close_old_connections()
    took = time.monotonic() - begun
    assert shift.errors == []
    review_rows.refresh()
    # Every flag is judged by one decision, or waits; and every decision judged some.
    judged = Counter(pk for event in ReviewEvent.objects.all() for pk in event.flag_ids)
    assert set(judged.values()) == {1}
    assert set(judged) == set(JudgedFlag.objects.values_list("pk", flat=True))
    standing = set(InsightFlag.objects.filter(withdrawn_at=None).values_list("pk", flat=True))
    unjudged = standing - set(judged)
    assert sum(InsightReview.objects.values_list("unjudged", flat=True)) == len(unjudged)
    assert all(review.unjudged < 3 for review in InsightReview.objects.all())
    assert set(InsightReview.objects.values_list("state", flat=True)) == {"decided"}
    assert InsightReview.objects.count() == ITEMS
    # A decision after the first of an item has judged at least three new flags.
    first: set[str] = set()
    for event in ReviewEvent.objects.order_by("pk"):
        assert len(event.flag_ids) >= 3
        first.add(event.insight_id)
    assert len(first) == ITEMS
    assert not review_claims.live_claims().exists()
    print(
        f"{ReviewEvent.objects.count()} decisions by {MODERATORS} in {took:.1f} s; refusals {dict(shift.refusals)}"
    )


def test_of_two_who_press_at_once_one_decides_and_the_other_is_told(settings):
    people = [moderator("ana"), moderator("bo")]
    for n in range(5):
        InsightFeedback.objects.bulk_create(
            InsightFeedback(insight_id=f"i{n}", user_id=f"u{k}", flag_type="spam") for k in range(3)
        )
        review_rows.refresh()
        seen, results = review_decisions.open_flags(f"i{n}"), []
        start = threading.Barrier(2)

        def press(person, n=n, seen=seen, results=results, start=start):
            try:
                start.wait(5)
                results.append(
                    review_decisions.decide(
                        moderator=person, insight_id=f"i{n}", token=None, verdict=Verdict.SPAM, seen=seen
                    ).kind
                )
            except Refused as refusal:
                results.append(refusal.why)
            finally:
                connection.close()

        threads = [threading.Thread(target=press, args=(person,)) for person in people]
        [thread.start() for thread in threads]
        [thread.join(10) for thread in threads]
        assert sorted(results) == ["decided", "decision"]
        assert row(f"i{n}").state == "decided"
    assert ReviewEvent.objects.count() == 5


def test_an_event_of_a_slow_decision_never_appears_behind_the_readers_place():
    """A decision that has its id keeps the others waiting for theirs until it is committed."""
    ana, bo = moderator("ana"), moderator("bo")
    for name in ("a", "b"):
        InsightFeedback.objects.bulk_create(
            InsightFeedback(insight_id=name, user_id=f"u{k}", flag_type="spam") for k in range(3)
        )
    review_rows.refresh()
    holds, go = threading.Event(), threading.Event()

    def slow():
        from django.db import transaction

        try:
            with transaction.atomic():
                review_decisions.decide(
                    moderator=ana,
                    insight_id="a",
                    token=None,
                    verdict=Verdict.SPAM,
                    seen=review_decisions.open_flags("a"),
                )
                holds.set()
                go.wait(5)
        finally:
            connection.close()

    def quick():
        try:
            review_decisions.decide(
                moderator=bo,
                insight_id="b",
                token=None,
                verdict=Verdict.SPAM,
                seen=review_decisions.open_flags("b"),
            )
        finally:
            connection.close()

    first, second = threading.Thread(target=slow), threading.Thread(target=quick)
    first.start()
    assert holds.wait(5)
    second.start()
    second.join(0.3)
    assert second.is_alive() and not ReviewEvent.objects.exists()
    go.set()
    first.join(5)
    second.join(5)
    assert list(ReviewEvent.objects.order_by("pk").values_list("insight_id", flat=True)) == ["a", "b"]
