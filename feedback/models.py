"""Table `insight_feedback`, which the platform shares, and the texts of insights as last seen."""

from django.db import models
from django.db.models import Q

from utxoiq_admin.core.defaults import UUID7, DatabaseNow, uuid7


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

    class Meta:
        db_table = "insight_feedback"
        verbose_name = "feedback"
        verbose_name_plural = "feedback"
        ordering = ["-created_at", "-id"]
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

    class Meta:
        db_table = "insight_texts"
        verbose_name = "insight text"

    def __str__(self) -> str:
        return self.headline
