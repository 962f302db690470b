"""Beside the decisions: who holds or skips what, whose flags are ignored, what was fetched, how long the queue was."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from feedback.review_models import DatabaseClock
from utxoiq_admin.core.defaults import DatabaseNow


class ReviewClaim(models.Model):
    """Somebody works on an insight until `expires_at` by the database's clock. One for each insight and person."""

    insight_id = models.CharField(max_length=100, primary_key=True)
    moderator = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    token = models.UUIDField(default=uuid.uuid4)
    claimed_at = models.DateTimeField(db_default=DatabaseClock())
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "review_claims"

    def __str__(self) -> str:
        return f"{self.insight_id} held until {self.expires_at:%H:%M:%S}"


class ReviewSkip(models.Model):
    """Not offered to this moderator until then."""

    insight_id = models.CharField(max_length=100)
    moderator = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    until = models.DateTimeField()

    class Meta:
        db_table = "review_skips"
        constraints = [
            models.UniqueConstraint(fields=["insight_id", "moderator"], name="uq_review_skip"),
        ]

    def __str__(self) -> str:
        return f"{self.insight_id} skipped until {self.until:%Y-%m-%d %H:%M}"


class IgnoredFlagger(models.Model):
    """Until then this user's flags neither bring an insight into the queue nor move it up in it."""

    user_id = models.CharField(max_length=100)
    until = models.DateTimeField()
    at = models.DateTimeField(db_default=DatabaseNow())
    moderator = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        db_table = "ignored_flaggers"
        # Asked for each flagger of an item; those that were ended are of no interest there.
        indexes = [models.Index(fields=["user_id"], name="idx_ignored_flaggers", condition=Q(ended_at=None))]

    def __str__(self) -> str:
        return f"{self.user_id} until {self.until:%Y-%m-%d}"


class ReviewMark(models.Model):
    """The insight's flags changed: its row is to be computed again. No unique key: see review_rows."""

    # In Django's eyes only: the table has no key, and often several marks of one insight.
    insight_id = models.CharField(max_length=100, primary_key=True)

    class Meta:
        db_table = "review_marks"

    def __str__(self) -> str:
        return self.insight_id


class ReviewFetch(models.Model):
    """The platform has fetched the events up to `through`; a row for each fetch that brought it new ones."""

    through = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField(db_default=DatabaseClock())
    reader = models.CharField(max_length=100)

    class Meta:
        db_table = "review_fetches"

    def __str__(self) -> str:
        return f"{self.reader} to {self.through}"


class QueueSample(models.Model):
    """How long the queue was, every five minutes: length and age over time cannot be told from decisions alone."""

    at = models.DateTimeField(primary_key=True, db_default=DatabaseNow())
    waiting = models.IntegerField()
    escalated = models.IntegerField()
    oldest_since = models.DateTimeField(null=True)

    class Meta:
        db_table = "review_queue_samples"

    def __str__(self) -> str:
        return f"{self.waiting} at {self.at:%Y-%m-%d %H:%M}"
