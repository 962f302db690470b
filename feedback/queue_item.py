"""One insight as the queue shows it: its text, who flagged it and why, what was said of it, what was decided before."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from feedback import queue_words, review_flaggers, review_texts
from feedback.models import InsightFeedback, InsightFlag, InsightReview, ReviewClaim, ReviewEvent
from feedback.queue_models import IgnoredFlagger, ReviewFetch
from feedback.review_claims import live_claims
from feedback.review_decisions import DECIDE_ESCALATED, newest_in_force, open_flags
from feedback.review_feed import fetches_of
from feedback.review_flaggers import Record
from feedback.review_models import Verdict

FLAGS_SHOWN = 300
COMMENTS_SHOWN = 12
EVENTS_SHOWN = 20
NAMES_SHOWN = 6  # flaggers named beside a reason that many gave


@dataclass(frozen=True)
class Flagger:
    user_id: str
    record: Record
    ignored: IgnoredFlagger | None


@dataclass(frozen=True)
class Reason:
    """Flags of one type with the same reason, folded into one line."""

    flag_type: str
    text: str
    count: int
    first_at: datetime
    flaggers: list[Flagger]
    more: int


@dataclass(frozen=True)
class Decision:
    event: ReviewEvent
    words: str
    fetched: ReviewFetch | None


@dataclass(frozen=True)
class Item:
    """Everything on the right side of the queue. `seen` are the open flags, which a decision on it must name."""

    insight_id: str
    review: InsightReview | None
    text: review_texts.Seen
    original_url: str
    evidence: list[dict[str, Any]]
    seen: list[uuid.UUID]
    reasons: list[Reason]
    timeline: list[InsightFlag]
    comments: list[InsightFeedback]
    decisions: list[Decision]
    undoable: ReviewEvent | None
    why_here: str
    signs: list[str]
    claim: ReviewClaim | None
    mine: bool
    decidable: bool  # by this moderator: an escalated one is an administrator's
    now: datetime

    @property
    def headline(self) -> str:
        return self.text.headline or self.insight_id

    @property
    def kinds(self) -> list[tuple[int, str]]:
        """How many open flags of each type, the most first."""
        if self.review is None:
            return []
        pairs = [(getattr(self.review, kind), kind) for kind in ("inaccurate", "misleading", "spam", "other")]
        return sorted((pair for pair in pairs if pair[0]), key=lambda pair: -pair[0])

    @property
    def escalation(self) -> ReviewEvent | None:
        """The escalation that an administrator still has to answer."""
        found = self.undoable
        return found if found and found.verdict == Verdict.ESCALATED else None


def item(insight_id: str, moderator: User) -> Item:
    """The insight as it stands now; of an insight nobody ever flagged too."""
    # The ids first: what commits between them and the flags below is shown, and refuses a decision until seen.
    seen = open_flags(insight_id)
    flags = list(InsightFlag.objects.filter(insight_id=insight_id).order_by("-flagged_at")[:FLAGS_SHOWN])
    review = InsightReview.objects.filter(pk=insight_id).first()
    claim = live_claims().filter(pk=insight_id).select_related("moderator").first()
    text, now = review_texts.text_of(insight_id), timezone.now()
    said = InsightFeedback.objects.filter(insight_id=insight_id, comment__isnull=False)
    undoable = newest_in_force(insight_id)
    escalated = undoable is not None and undoable.verdict == Verdict.ESCALATED
    return Item(
        insight_id=insight_id,
        review=review,
        text=text,
        original_url=review_texts.original_url(insight_id),
        evidence=[each | {"href": review_texts.evidence_url(each)} for each in text.evidence],
        seen=sorted(seen),
        reasons=_folded([flag for flag in flags if flag.pk in seen]),
        timeline=flags,
        comments=list(said.order_by("-created_at", "-id")[:COMMENTS_SHOWN]),
        decisions=decisions_of(insight_id),
        undoable=undoable,
        why_here=queue_words.why_here(review, now) if review and review.unjudged else "",
        signs=queue_words.signs(review) if review else [],
        claim=claim,
        mine=claim is not None and claim.moderator_id == moderator.pk,
        decidable=not escalated or moderator.has_perm(DECIDE_ESCALATED),
        now=now,
    )


def decisions_of(insight_id: str) -> list[Decision]:
    """The insight's decisions and their undoing, the newest first, with when the platform fetched each."""
    rows = ReviewEvent.objects.filter(insight_id=insight_id).select_related("moderator").order_by("-id")
    return as_decisions(list(rows[:EVENTS_SHOWN]))


def as_decisions(events: list[ReviewEvent]) -> list[Decision]:
    fetched = fetches_of(events)
    return [
        Decision(
            event,
            queue_words.verdict_line(event.verdict, undone=event.kind == ReviewEvent.Kind.UNDO),
            fetched.get(event.pk),
        )
        for event in events
    ]


def _folded(flags: list[InsightFlag]) -> list[Reason]:
    """Equal reasons in one line: their letters' case and the space around them make no other reason."""
    groups: dict[tuple[str, str], list[InsightFlag]] = {}
    for flag in flags:
        key = (flag.flag_type, " ".join((flag.flag_reason or "").casefold().split()))
        groups.setdefault(key, []).append(flag)
    users = {flag.user_id for flag in flags}
    known, ignored = review_flaggers.records(users), review_flaggers.ignored(users)

    def flaggers(of: Iterable[InsightFlag]) -> list[Flagger]:
        people = [Flagger(f.user_id, known[f.user_id], ignored.get(f.user_id)) for f in of]
        return sorted(people, key=lambda each: -each.record.judged)

    return [
        Reason(
            flag_type=group[0].flag_type,
            text=group[-1].flag_reason or "",
            count=len(group),
            first_at=min(flag.flagged_at for flag in group),
            flaggers=flaggers(group)[:NAMES_SHOWN],
            more=max(0, len(group) - NAMES_SHOWN),
        )
        for group in sorted(
            groups.values(), key=lambda each: (-len(each), -max(f.flagged_at.timestamp() for f in each))
        )
    ]
