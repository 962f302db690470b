"""Who works on what: one insight a person, one person an insight, for ten minutes by the database's clock.

A claim that ran out is no claim: nobody has to take it away, so a moderator who is killed gives it back in time.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Least

from feedback import review_rows
from feedback.queue_models import ReviewClaim, ReviewSkip
from feedback.review_models import DatabaseClock, InsightReview
from feedback.review_refusals import Refused, Why
from utxoiq_admin.core import cursors

LEAVING = timedelta(seconds=5)
SKIPPED_FOR = timedelta(hours=24)
ORDER = ("-priority", "-insight_id")

# Serves both a free insight and one whose claim ran out; a live one stays, and no row comes back.
_TAKE = """
INSERT INTO review_claims AS claim (insight_id, moderator_id, token, claimed_at, expires_at)
VALUES (%(insight)s, %(moderator)s, %(token)s, clock_timestamp(), clock_timestamp() + %(ttl)s)
ON CONFLICT (insight_id) DO UPDATE
   SET moderator_id = excluded.moderator_id, token = excluded.token, claimed_at = excluded.claimed_at,
       expires_at = excluded.expires_at
 WHERE claim.expires_at <= clock_timestamp()
RETURNING token, claimed_at, expires_at
"""
_RENEW = """
UPDATE review_claims SET expires_at = clock_timestamp() + %(ttl)s
 WHERE token = %(token)s AND moderator_id = %(moderator)s AND expires_at > clock_timestamp() RETURNING expires_at
"""


@dataclass(frozen=True)
class Claim:
    """Proof of holding `insight_id`, asked for by every decision on it."""

    insight_id: str
    token: uuid.UUID
    claimed_at: datetime
    expires_at: datetime


def ttl() -> timedelta:
    return timedelta(seconds=settings.REVIEW_CLAIM_SECONDS)


def live_claims() -> QuerySet[ReviewClaim]:
    return ReviewClaim.objects.filter(expires_at__gt=DatabaseClock())


@transaction.atomic
def claim(*, moderator: User, insight_id: str) -> Claim:
    """Hold the insight, and no other. One that is held already by the same person is held anew, with its token.

    Raises Refused when another holds it; then what the moderator held before is kept.
    """
    review_rows.lock()
    return claim_locked(moderator=moderator, insight_id=insight_id)


def claim_locked(*, moderator: User, insight_id: str) -> Claim:
    """`claim` for whoever holds the queue's lock."""
    mine = live_claims().filter(moderator=moderator, insight_id=insight_id).first()
    if mine:
        return _renewed(mine)
    _refuse_if_held(insight_id)
    ReviewClaim.objects.filter(moderator=moderator).delete()
    token = uuid.uuid4()
    with connection.cursor() as cursor:
        values: dict[str, Any] = {
            "insight": insight_id,
            "moderator": moderator.pk,
            "token": token,
            "ttl": ttl(),
        }
        cursor.execute(_TAKE, values)
        row = cursor.fetchone()
    ReviewSkip.objects.filter(moderator=moderator, insight_id=insight_id).delete()
    return Claim(insight_id, *row)


@transaction.atomic
def claim_next(
    *, moderator: User, among: "QuerySet[InsightReview]", after: InsightReview | None = None
) -> Claim | None:
    """Hold the most urgent of `among` that nobody holds and this moderator has not skipped; None when there is none.

    `after` is the item that is left: the one below it is taken, or the first of all.
    """
    review_rows.lock()
    free = free_for(moderator, among)
    found: list[InsightReview] = []
    if after is not None:
        place = cursors.place(after, ORDER)
        found = cursors.page(free.exclude(pk=after.pk), order=ORDER, cursor=place, size=1).rows
    found = found or list(free.order_by(*ORDER)[:1])
    return claim_locked(moderator=moderator, insight_id=found[0].pk) if found else None


def free_for(moderator: User, among: "QuerySet[InsightReview]") -> "QuerySet[InsightReview]":
    """Those that others do not hold and that this moderator has not skipped."""
    return among.exclude(
        Exists(live_claims().filter(insight_id=OuterRef("insight_id")).exclude(moderator=moderator))
        | Exists(live_skips().filter(insight_id=OuterRef("insight_id"), moderator=moderator))
    )


def renew(*, moderator: User, token: uuid.UUID) -> datetime | None:
    """Hold it for another ten minutes from now; until when, or None if it is held no more."""
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"token": token, "moderator": moderator.pk, "ttl": ttl()}
        cursor.execute(_RENEW, values)
        row = cursor.fetchone()
    return row[0] if row else None


def release(*, moderator: User, token: uuid.UUID) -> None:
    """Give it back; nothing happens if it is held no more."""
    ReviewClaim.objects.filter(moderator=moderator, token=token).delete()


def leave(*, moderator: User, token: uuid.UUID) -> None:
    """A page went: it is given back in LEAVING, unless another tab of the same person renews it before."""
    mine = ReviewClaim.objects.filter(moderator=moderator, token=token)
    mine.update(expires_at=Least(F("expires_at"), DatabaseClock() + LEAVING))


@transaction.atomic
def skip(*, moderator: User, insight_id: str) -> None:
    """Offer it to this moderator no more for a day, and give it back."""
    review_rows.lock()
    if not InsightReview.objects.filter(insight_id=insight_id).exists():
        raise Refused(Why.UNKNOWN, f"{insight_id} is not in the queue, so it cannot be skipped.")
    ReviewClaim.objects.filter(moderator=moderator, insight_id=insight_id).delete()
    ReviewSkip.objects.update_or_create(
        moderator=moderator, insight_id=insight_id, defaults={"until": DatabaseClock() + SKIPPED_FOR}
    )


def live_skips() -> QuerySet[ReviewSkip]:
    return ReviewSkip.objects.filter(until__gt=DatabaseClock())


def check(*, moderator: User, insight_id: str, token: uuid.UUID) -> ReviewClaim:
    """The live claim that the token names, for whoever holds the queue's lock. Raises Refused and says who has it."""
    found = live_claims().filter(insight_id=insight_id).select_related("moderator").first()
    if found and (found.moderator_id, found.token) == (moderator.pk, token):
        return found
    _refuse_if_held(insight_id, but=moderator)
    row = InsightReview.objects.filter(insight_id=insight_id).first()
    if row and row.state == InsightReview.State.DECIDED:
        raise Refused(
            Why.DECIDED,
            f"Nothing was decided: it was decided at {row.decided_at:%H:%M} UTC, while your hold had ended.",
        )
    raise Refused(
        Why.LOST, "Nothing was decided: your hold on it had ended. Nobody else has it; press the key again."
    )


def _refuse_if_held(insight_id: str, but: User | None = None) -> None:
    held = live_claims().filter(~Q(moderator=but), insight_id=insight_id).select_related("moderator").first()
    if held:
        raise Refused(
            Why.HELD,
            f"Held by {held.moderator.get_username()} since {held.claimed_at:%H:%M} UTC. Take the next one.",
        )


def _renewed(mine: ReviewClaim) -> Claim:
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"token": mine.token, "moderator": mine.moderator_id, "ttl": ttl()}
        cursor.execute(_RENEW, values)
        (expires_at,) = cursor.fetchone() or (mine.expires_at,)
    return Claim(mine.insight_id, mine.token, mine.claimed_at, expires_at)
