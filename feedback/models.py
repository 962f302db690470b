"""Table `insight_feedback`, which the platform shares, and the texts of insights as last seen."""

from django.db import models
from django.db.models import Case, F, FloatField, Q, When
from django.db.models.functions import Cast

from feedback.queue_models import (
    IgnoredFlagger,
    QueueSample,
    ReviewClaim,
    ReviewFetch,
    ReviewMark,
    ReviewSkip,
)
from feedback.review_models import InsightReview, JudgedFlag, ReviewEvent, Verdict
from utxoiq_admin.core.cursors import Page, page
from utxoiq_admin.core.defaults import UUID7, DatabaseNow, uuid7

__all__ = [
    "FigureChange",
    "IgnoredFlagger",
    "InsightFeedback",
    "InsightFigures",
    "InsightFlag",
    "InsightReview",
    "InsightText",
    "JudgedFlag",
    "QueueSample",
    "ReviewClaim",
    "ReviewEvent",
    "ReviewFetch",
    "ReviewMark",
    "ReviewSkip",
    "Verdict",
]

NEWEST_FIRST = ("-created_at", "-id")


class InsightFeedbackQuerySet(models.QuerySet["InsightFeedback"]):
    def comments_on(self, insight_id: str, *, cursor: str | None, size: int) -> "Page[InsightFeedback]":
        """The `size` newest comments on an insight beyond the cursor. Raises cursors.InvalidCursor."""
        found = self.filter(insight_id=insight_id, comment__isnull=False)
        return page(found, order=NEWEST_FIRST, cursor=cursor, size=size)

    def of_user(self, user_id: str, *, cursor: str | None, size: int) -> "Page[InsightFeedback]":
        """What a user said, the newest `size` beyond the cursor. Raises cursors.InvalidCursor."""
        return page(self.filter(user_id=user_id), order=NEWEST_FIRST, cursor=cursor, size=size)


class InsightFeedback(models.Model):
    class Flag(models.TextChoices):
        """The words that the platform knows; another one is kept as it came and shown as "other"."""

        INACCURATE = "inaccurate"
        MISLEADING = "misleading"
        SPAM = "spam"

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=UUID7())
    insight_id = models.CharField(max_length=100)
    user_id = models.CharField(max_length=100)
    rating = models.IntegerField(null=True, blank=True)
    comment = models.TextField(null=True, blank=True)
    flag_type = models.CharField(max_length=50, null=True, blank=True)
    flag_reason = models.TextField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=DatabaseNow())
    updated_at = models.DateTimeField(db_default=DatabaseNow())

    objects = InsightFeedbackQuerySet.as_manager()

    class Meta:
        db_table = "insight_feedback"
        verbose_name = "feedback"
        verbose_name_plural = "feedback"
        ordering = list(NEWEST_FIRST)
        indexes = [
            # The description's three: one insight, one user, by time (the list's order).
            models.Index(fields=["insight_id"], name="idx_feedback_insight"),
            models.Index(fields=["user_id"], name="idx_feedback_user"),
            models.Index(fields=["created_at"], name="idx_feedback_created"),
            # Ours: the list filtered by flag, and flags per insight; one row in a hundred is flagged.
            models.Index(
                fields=["created_at"],
                name="idx_feedback_flagged_created",
                condition=Q(flag_type__isnull=False),
            ),
            models.Index(
                fields=["insight_id"],
                include=["flag_type"],
                name="idx_feedback_flagged_insight",
                condition=Q(flag_type__isnull=False),
            ),
            # Ours: comments on one insight, newest first.
            models.Index(
                fields=["insight_id", "created_at", "id"],
                name="idx_feedback_comments",
                condition=Q(comment__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["insight_id", "user_id"], name="uq_insight_user_feedback"),
            models.CheckConstraint(
                condition=Q(rating=None) | Q(rating__gte=1, rating__lte=5), name="chk_rating_range"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.insight_id} by {self.user_id}"

    @property
    def flag_label(self) -> str:
        """The flag's word; "other" for a word the platform does not list; "" without a flag."""
        if self.flag_type is None:
            return ""
        return self.flag_type if self.flag_type in self.Flag.values else "other"


class InsightFlag(models.Model):
    """One flag of one user, from when it was set to when it was withdrawn. Triggers keep it (migration 0003).

    Setting the same flag again is no new one; another word withdraws the first. Rows that retention removes from
    `insight_feedback` leave their flags standing.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=UUID7())
    insight_id = models.CharField(max_length=100)
    user_id = models.CharField(max_length=100)
    flag_type = models.CharField(max_length=50)
    flag_reason = models.TextField(null=True, blank=True)
    flagged_at = models.DateTimeField(db_default=DatabaseNow())
    withdrawn_at = models.DateTimeField(null=True, blank=True)  # null: it stands

    class Meta:
        db_table = "insight_flags"
        verbose_name = "flag"
        indexes = [
            # One insight's timeline; one flagger's record; flags per day by type.
            models.Index(fields=["insight_id", "flagged_at"], name="idx_flags_insight_time"),
            models.Index(fields=["user_id", "flagged_at"], name="idx_flags_user_time"),
            models.Index(fields=["flagged_at"], include=["flag_type"], name="idx_flags_time"),
        ]
        constraints = [
            # Also finds the flags that stand against an insight, and the one that a trigger has to withdraw.
            models.UniqueConstraint(
                fields=["insight_id", "user_id"], condition=Q(withdrawn_at=None), name="uq_flag_standing"
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_at=None) | Q(withdrawn_at__gte=F("flagged_at")),
                name="chk_flag_withdrawn_after",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.flag_type} on {self.insight_id} by {self.user_id}"


class Counts(models.Model):
    """What the users say of an insight, in numbers; in a change, how much each number moves."""

    voices = models.BigIntegerField()  # users who said anything: rows of `insight_feedback`
    ratings = models.BigIntegerField()
    stars = models.BigIntegerField()  # the sum of the ratings
    comments = models.BigIntegerField()
    flags = models.BigIntegerField()  # flags that stand: rows of `insight_flags`
    last_at = (
        models.DateTimeField()
    )  # when somebody last said something; 1970 in a change that only takes away

    class Meta:
        abstract = True


class InsightFigures(Counts):
    """The figures of one insight, but for the changes that the refresher has not added yet: read `figures`."""

    insight_id = models.CharField(max_length=100, primary_key=True)
    average = models.GeneratedField(
        expression=Case(
            When(ratings__gt=0, then=Cast("stars", FloatField()) / Cast("ratings", FloatField())),
            default=None,
        ),
        output_field=models.FloatField(null=True),
        db_persist=True,
    )

    class Meta:
        db_table = "insight_figures"
        verbose_name_plural = "insight figures"
        # Each order of the list of insights. The averages stop where a few ratings mean too little.
        indexes = [
            models.Index(fields=["last_at", "insight_id"], name="idx_figures_last"),
            models.Index(fields=["ratings", "insight_id"], name="idx_figures_ratings"),
            models.Index(fields=["comments", "insight_id"], name="idx_figures_comments"),
            models.Index(fields=["flags", "insight_id"], name="idx_figures_flags"),
            *(
                models.Index(
                    fields=["average", "insight_id"],
                    name=f"idx_figures_average_{least}",
                    condition=Q(ratings__gte=least),
                )
                for least in (1, 5, 20)
            ),
            # What the refresher may remove: nobody says anything any more.
            models.Index(fields=["insight_id"], name="idx_figures_empty", condition=Q(voices=0, flags=0)),
        ]

    def __str__(self) -> str:
        return self.insight_id


class FigureChange(Counts):
    """One statement moved an insight's figures by this much. Triggers write it, the refresher takes it."""

    # In Django's eyes only: the table has no key, and often several changes of one insight.
    insight_id = models.CharField(max_length=100, primary_key=True)

    class Meta:
        db_table = "insight_figure_changes"

    def __str__(self) -> str:
        return f"{self.insight_id} changed"


class InsightText(models.Model):
    """What an insight said when it was last seen; the insights themselves live in BigQuery."""

    insight_id = models.CharField(max_length=100, primary_key=True)
    headline = models.CharField(max_length=300)
    summary = models.TextField()
    category = models.CharField(max_length=50)
    confidence = models.FloatField(null=True)
    evidence = models.JSONField(default=list)
    published_at = models.DateTimeField(null=True)
    is_demo = models.BooleanField(default=False, db_default=False)
    fetched_at = models.DateTimeField(null=True)  # when the platform's insight API last answered for it
    gone_at = models.DateTimeField(null=True)  # when it answered that there is no such insight any more

    class Meta:
        db_table = "insight_texts"
        verbose_name = "insight text"

    def __str__(self) -> str:
        return self.headline
