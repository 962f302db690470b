"""Decisions and their undoing: one transaction each, under the queue's lock, written down as an event.

A decision judges exactly the flags that stand and that the moderator saw. A flag that commits later has its own mark
and waits; one that committed before and was not seen refuses the decision. So no flag is between the two.
"""

import uuid
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction

from feedback import review_claims, review_rows
from feedback.queue_models import ReviewClaim
from feedback.review_models import InsightReview, JudgedFlag, ReviewEvent, Verdict
from feedback.review_refusals import Refused, Why
from feedback.review_sql import OPEN

MAX_NOTE = 2_000
MAX_BULK = 100
DECIDE_ESCALATED = "feedback.decide_escalated_insightreview"

_OPEN = f"SELECT f.id FROM insight_flags f WHERE f.insight_id = %s AND {OPEN}"  # noqa: S608
_JUDGE = """
INSERT INTO review_judged_flags (flag_id, insight_id, user_id, verdict, event_id)
SELECT f.id, f.insight_id, f.user_id, %(verdict)s, %(event)s FROM insight_flags f WHERE f.id = ANY(%(flags)s)
RETURNING user_id
"""


@dataclass(frozen=True)
class Item:
    """One of a bulk decision: the insight, and the flags on it that the moderator was shown."""

    insight_id: str
    seen: Set[uuid.UUID]
    text: dict[str, Any] | None = None


@dataclass
class BulkReport:
    """What a bulk decision did: the decisions, and for each insight that was left alone why."""

    bulk: uuid.UUID
    decided: list[ReviewEvent] = field(default_factory=list)
    refused: list[tuple[str, Refused]] = field(default_factory=list)


@transaction.atomic
def decide(
    *,
    moderator: User,
    insight_id: str,
    token: uuid.UUID | None,
    verdict: Verdict,
    note: str = "",
    seen: Set[uuid.UUID],
    text: dict[str, Any] | None = None,
) -> ReviewEvent:
    """Judge the open flags of the insight, which must all be in `seen`; without a token it is claimed first.

    `text` is the insight as the moderator saw it. Raises Refused when another holds or decided it, when flags came
    that were not seen, when an escalation has no note, and when an escalated one is not theirs to decide.
    """
    review_rows.lock()
    if token is None:
        token = review_claims.claim_locked(moderator=moderator, insight_id=insight_id).token
    claim = review_claims.check(moderator=moderator, insight_id=insight_id, token=token)
    return _decide(moderator, Item(insight_id, seen, text), verdict, note, claim)


@transaction.atomic
def decide_bulk(*, moderator: User, items: Sequence[Item], verdict: Verdict, note: str = "") -> BulkReport:
    """Decide each of them alike, in the order of their ids. Those held by others, or with flags that were not shown,
    are left alone and reported. Raises Refused for an escalation without a note and for more than MAX_BULK."""
    if len(items) > MAX_BULK:
        raise Refused(Why.UNKNOWN, f"At most {MAX_BULK} insights are decided at once; nothing was decided.")
    _refuse_without_note(verdict, note)
    review_rows.lock()
    report = BulkReport(uuid.uuid4())
    for item in sorted(items, key=lambda each: each.insight_id):
        try:
            # Each in a savepoint: one that is refused leaves nothing, and the others stand.
            with transaction.atomic():
                claim = _claim_for_bulk(moderator, item.insight_id)
                report.decided.append(_decide(moderator, item, verdict, note, claim, bulk=report.bulk))
        except Refused as refusal:
            report.refused.append((item.insight_id, refusal))
    return report


@transaction.atomic
def undo(*, moderator: User, event_id: int) -> ReviewEvent:
    """Take back the newest decision of an insight, by an event of its own: its flags are open again.

    Raises Refused if it was undone already, or another decision of the insight came after it.
    """
    review_rows.lock()
    event = ReviewEvent.objects.filter(pk=event_id, kind=ReviewEvent.Kind.DECISION).first()
    if event is None:
        raise Refused(Why.UNKNOWN, "There is no such decision. Nothing was undone.")
    newest = newest_in_force(event.insight_id)
    if newest is None or newest.pk != event.pk:
        raise Refused(Why.NOT_NEWEST, _why_not_newest(event, newest))
    users = list(JudgedFlag.objects.filter(event=event).values_list("user_id", flat=True).distinct())
    JudgedFlag.objects.filter(event=event).delete()
    made = ReviewEvent.objects.create(
        insight_id=event.insight_id,
        kind=ReviewEvent.Kind.UNDO,
        verdict=event.verdict,
        moderator=moderator,
        flag_ids=event.flag_ids,
        undoes=event,
    )
    _after(event.insight_id, users)
    return made


def newest_in_force(insight_id: str) -> ReviewEvent | None:
    """The insight's newest decision that was not undone."""
    decisions = ReviewEvent.objects.filter(insight_id=insight_id, kind=ReviewEvent.Kind.DECISION)
    return decisions.filter(undone_by=None).order_by("-id").first()


def own_last(moderator: User) -> ReviewEvent | None:
    """The moderator's newest decision that was not undone."""
    decisions = ReviewEvent.objects.filter(moderator=moderator, kind=ReviewEvent.Kind.DECISION)
    return decisions.filter(undone_by=None).order_by("-id").first()


def open_flags(insight_id: str) -> set[uuid.UUID]:
    """The ids of the flags that stand and that no decision in force has judged."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [insight_id])
        return {each for (each,) in cursor.fetchall()}


def _decide(
    moderator: User,
    item: Item,
    verdict: Verdict,
    note: str,
    claim: ReviewClaim,
    bulk: uuid.UUID | None = None,
) -> ReviewEvent:
    """One decision, for whoever holds the queue's lock and the insight."""
    _refuse_without_note(verdict, note)
    flags = open_flags(item.insight_id)
    before = newest_in_force(item.insight_id)
    _refuse_what_is_decided(moderator, verdict, before, flags)
    if newer := len(flags - item.seen):
        raise Refused(
            Why.NEWER_FLAGS,
            f"Nothing was decided: {newer} {'flag has' if newer == 1 else 'flags have'} come since you looked. "
            "They are shown now; press the key again if your verdict stands.",
        )
    review_rows.compute([item.insight_id])
    row = InsightReview.objects.filter(pk=item.insight_id).first()
    judged = sorted(flags) if verdict != Verdict.ESCALATED else []
    event = ReviewEvent.objects.create(
        insight_id=item.insight_id,
        kind=ReviewEvent.Kind.DECISION,
        verdict=verdict,
        moderator=moderator,
        note=note.strip()[:MAX_NOTE],
        flag_ids=judged,
        waiting_since=row.waiting_since if row else None,
        claimed_at=claim.claimed_at,
        text=item.text,
        bulk=bulk,
    )
    with connection.cursor() as cursor:
        cursor.execute(_JUDGE, {"verdict": verdict, "event": event.pk, "flags": judged})
        users = {user for (user,) in cursor.fetchall()}
    ReviewClaim.objects.filter(insight_id=item.insight_id).delete()
    _after(item.insight_id, users)
    return event


def _after(insight_id: str, users: Set[str] | list[str]) -> None:
    """What a changed judgement changes: this insight's row, and what its flaggers' flags weigh elsewhere."""
    review_rows.compute([insight_id])
    review_rows.mark_all_of(users)


def _claim_for_bulk(moderator: User, insight_id: str) -> ReviewClaim:
    """A bulk decision takes what nobody holds, without giving up what the moderator has open."""
    held = review_claims.live_claims().filter(insight_id=insight_id).select_related("moderator").first()
    if held and held.moderator_id != moderator.pk:
        raise Refused(Why.HELD, f"held by {held.moderator.get_username()}")
    return held or ReviewClaim(insight_id=insight_id, moderator=moderator)


def _refuse_without_note(verdict: Verdict, note: str) -> None:
    if verdict == Verdict.ESCALATED and not note.strip():
        raise Refused(Why.NOTE, "To escalate, write a note first: what should an administrator decide?")


def _refuse_what_is_decided(
    moderator: User, verdict: Verdict, before: ReviewEvent | None, flags: Set[uuid.UUID]
) -> None:
    if before is None:
        return
    if before.verdict == Verdict.ESCALATED:
        if verdict == Verdict.ESCALATED:
            raise Refused(Why.DECIDED, "It is escalated already; an administrator decides it.")
        if not moderator.has_perm(DECIDE_ESCALATED):
            raise Refused(Why.NOT_YOURS, "It was escalated: an administrator decides it. Undo takes it back.")
    elif not flags:
        raise Refused(
            Why.DECIDED,
            f"Nothing was decided: {before.moderator.get_username()} decided “{before.get_verdict_display()}” at "
            f"{before.at:%H:%M} UTC, and no flag came since. Undo that first to decide anew.",
        )


def _why_not_newest(event: ReviewEvent, newest: ReviewEvent | None) -> str:
    if ReviewEvent.objects.filter(undoes=event).exists():
        return "It was undone already."
    assert newest is not None  # noqa: S101  (the decision itself is in force)
    return (
        f"Nothing was undone: {newest.moderator.get_username()} decided on it later, at {newest.at:%H:%M} UTC. "
        "Only the newest decision can be undone."
    )
