"""What moderators do with flagged insights: tables of ours, beside the one that the platform shares.

Truth stands in `insight_flags`, `review_events` (never changed) and `review_judged_flags`; `insight_reviews` is what
they come to for one insight, kept by `review_rows`, so that a page of the queue computes nothing.
"""

from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q


class DatabaseClock(Func):
    """`clock_timestamp()`: now() would be the start of a transaction that waited for the queue's lock."""

    function = "clock_timestamp"
    arity = 0
    output_field = models.DateTimeField()


class Verdict(models.TextChoices):
    INACCURATE = "inaccurate", "Inaccurate"
    MISLEADING = "misleading", "Misleading"
    SPAM = "spam", "Spam"
    NOTHING_WRONG = "nothing_wrong", "Nothing wrong"
    ALREADY_GONE = "already_gone", "Already gone"
    ESCALATED = "escalated", "Escalated"


# The flags were right: it counts for every flagger, whichever word they chose.
UPHELD = (Verdict.INACCURATE, Verdict.MISLEADING, Verdict.SPAM)


class InsightReview(models.Model):
    """Where one insight stands: how many flags no decision has judged, how urgent it is, what was decided last."""

    class State(models.TextChoices):
        QUIET = "quiet"  # fewer unjudged flags than the threshold, and never decided
        WAITING = "waiting"
        ESCALATED = "escalated"
        DECIDED = "decided"

    insight_id = models.CharField(max_length=100, primary_key=True)
    state = models.CharField(max_length=10, choices=State)
    unjudged = models.IntegerField()  # standing flags that no decision in force has judged
    counted = models.IntegerField()  # those of them whose flagger is not ignored: the threshold is for these
    inaccurate = models.IntegerField()
    misleading = models.IntegerField()
    spam = models.IntegerField()
    other = models.IntegerField()
    trusted = models.IntegerField()  # from people who were right in most of their earlier flags
    points = models.FloatField()  # of flags and rating
    priority = models.FloatField()  # points, and one more for each day of waiting: see review_sql
    rating = models.FloatField(null=True)
    ratings = models.IntegerField()
    waiting_since = models.DateTimeField(null=True)  # when the flag that reached the threshold was set
    newest_flag_at = models.DateTimeField(null=True)
    burst = models.IntegerField()  # the most flags set within ten minutes, and within how many seconds
    burst_seconds = models.IntegerField()
    new_accounts = models.IntegerField()  # flaggers first heard of in the week before they flagged
    last_event_id = models.BigIntegerField(null=True)  # the newest decision in force
    last_verdict = models.CharField(max_length=20, choices=Verdict, null=True)
    decided_at = models.DateTimeField(null=True)
    computed_at = models.DateTimeField()

    class Meta:
        db_table = "insight_reviews"
        verbose_name = "review"
        permissions = [
            ("decide_insightreview", "Can decide on flagged insights"),
            ("decide_escalated_insightreview", "Can decide on escalated insights"),
        ]
        indexes = [
            # The queue's pages, and its counts by state.
            models.Index(F("state"), F("priority").desc(), F("insight_id").desc(), name="idx_reviews_queue"),
            # The tab of decided ones, newest first.
            models.Index(
                F("decided_at").desc(), F("insight_id").desc(), name="idx_reviews_decided", condition=Q(state="decided")
            ),
            # The list of insights by their last decision, those that were flagged again included.
            models.Index(
                F("decided_at").desc(), F("insight_id").desc(), name="idx_reviews_last_decision",
                condition=Q(decided_at__isnull=False),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.insight_id} ({self.state})"

    @property
    def reopened(self) -> bool:
        """Decided before, and flagged again since."""
        return self.state == self.State.WAITING and self.last_verdict is not None


class ReviewEvent(models.Model):
    """A decision or the undoing of one. Never changed or erased: triggers refuse it (migration reviews).

    Ids are given under the queue's lock, which is held until the transaction ends: their order is commit order.
    """

    class Kind(models.TextChoices):
        DECISION = "decision"
        UNDO = "undo"

    id = models.BigAutoField(primary_key=True)
    insight_id = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind)
    verdict = models.CharField(max_length=20, choices=Verdict)  # of an undo: the one that was undone
    moderator = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False
    )  # idx_review_events_person begins with it
    at = models.DateTimeField(db_default=DatabaseClock())
    note = models.TextField(blank=True, default="")
    flag_ids = ArrayField(models.UUIDField(), default=list)  # exactly the flags it judged, or gave back
    waiting_since = models.DateTimeField(null=True)
    claimed_at = models.DateTimeField(null=True)
    text = models.JSONField(null=True)  # the insight as the moderator saw it
    bulk = models.UUIDField(null=True)  # decided together with others
    undoes = models.OneToOneField("self", models.PROTECT, null=True, related_name="undone_by")

    class Meta:
        db_table = "review_events"
        verbose_name = "decision"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["insight_id", "id"], name="idx_review_events_insight"),
            models.Index(fields=["moderator", "id"], name="idx_review_events_person"),
            # The history's figures over a range.
            models.Index(fields=["at"], name="idx_review_events_at"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="decision", undoes=None) | Q(kind="undo", undoes__isnull=False),
                name="chk_review_event_undo",
            )
        ]

    def __str__(self) -> str:
        return f"{self.id}: {self.kind} {self.verdict} of {self.insight_id}"

    @property
    def within(self) -> timedelta | None:
        """From the threshold to the decision."""
        return self.at - self.waiting_since if self.waiting_since and not self.undoes_id else None

    @property
    def upheld(self) -> bool | None:
        """Whether the flags were right; None where the decision says nothing of that."""
        if self.verdict in UPHELD:
            return True
        return False if self.verdict == Verdict.NOTHING_WRONG else None


class JudgedFlag(models.Model):
    """A flag that a decision in force has judged; undoing takes the row away. The key lets no flag be judged twice."""

    flag_id = models.UUIDField(primary_key=True)
    insight_id = models.CharField(max_length=100)
    user_id = models.CharField(max_length=100)
    verdict = models.CharField(max_length=20, choices=Verdict)
    event = models.ForeignKey(ReviewEvent, models.PROTECT, related_name="judged")

    class Meta:
        db_table = "review_judged_flags"
        # How often a flagger was right: read for each flagger of an item, by this index alone.
        indexes = [models.Index(fields=["user_id", "verdict"], name="idx_judged_flags_user")]

    def __str__(self) -> str:
        return f"{self.flag_id}: {self.verdict}"
