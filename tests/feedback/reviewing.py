"""Flags and moderators for the tests of the queue."""

from typing import Any

from django.contrib.auth.models import Group, User

from feedback import review_claims, review_decisions, review_rows
from feedback.models import InsightFeedback, InsightReview, ReviewEvent
from feedback.review_models import Verdict


def moderator(name: str = "ana") -> User:
    made = User.objects.create_user(name)
    group, _ = Group.objects.get_or_create(name="moderators")
    made.groups.add(group)
    return made


def flag(
    insight_id: str, *users: str, word: str = "inaccurate", reason: str | None = None, **more: Any
) -> None:
    for user in users:
        InsightFeedback.objects.create(
            insight_id=insight_id, user_id=user, flag_type=word, flag_reason=reason, **more
        )


def flagged(insight_id: str, count: int = 3, **more: Any) -> str:
    flag(insight_id, *(f"{insight_id}-u{n}" for n in range(count)), **more)
    review_rows.refresh()
    return insight_id


def row(insight_id: str) -> InsightReview:
    return InsightReview.objects.get(pk=insight_id)


def decided(who: User, insight_id: str, verdict: Verdict = Verdict.SPAM, **more: Any) -> ReviewEvent:
    claim = review_claims.claim(moderator=who, insight_id=insight_id)
    seen = more.pop("seen", review_decisions.open_flags(insight_id))
    return review_decisions.decide(
        moderator=who, insight_id=insight_id, token=claim.token, verdict=verdict, seen=seen, **more
    )
