"""Table `service_tokens`: what a platform service shows to be let in. The secret itself is never kept."""

import hashlib
from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from utxoiq_admin.core.defaults import UUID7, DatabaseNow, uuid7

SCOPES = {
    "metrics:write": "store metrics",
    "metrics:read": "read metrics and their aggregates",
    "feedback:write": "store ratings, comments and flags",
    "feedback:read": "read feedback, its figures and moderators' decisions",
    "backfill:write": "start, claim, move and end jobs",
    "backfill:read": "read jobs",
    "monitoring:read": "read the health and the sizes of the database",
    "retention:run": "start a retention run and see how it went",
}
NAME = r"^[\w.\- ]+\Z"


def secret_digest(secret: str) -> str:
    """SHA-256 as hex. A plain hash is enough: 256 random bits cannot be guessed, however fast one may try."""
    # A header may hold bytes that are no text; they must miss, not fail.
    return hashlib.sha256(secret.encode("utf-8", "backslashreplace")).hexdigest()


class ServiceTokenQuerySet(models.QuerySet["ServiceToken"]):
    def usable(self, now: datetime) -> "ServiceTokenQuerySet":
        """Tokens that open something at `now`: neither revoked nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)

    def with_secret(self, secret: str) -> "ServiceTokenQuerySet":
        """The token with this secret, if any. It is found by digest: the time it takes tells nothing."""
        return self.filter(digest=secret_digest(secret))


class ServiceToken(models.Model):
    class State(models.TextChoices):
        ACTIVE = "active"
        EXPIRED = "expired"
        REVOKED = "revoked"

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=UUID7(), editable=False)
    name = models.CharField(
        max_length=100,
        help_text="The service that will use it, such as web-api.",
        validators=[RegexValidator(NAME, "Use letters, digits, spaces and . _ - only.")],  # it stands in logs
    )
    digest = models.CharField(max_length=64, editable=False)
    prefix = models.CharField(max_length=20, editable=False)
    scopes = ArrayField(models.CharField(max_length=40))
    created_at = models.DateTimeField(db_default=DatabaseNow(), editable=False)
    created_by = models.CharField(max_length=150, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_by = models.CharField(max_length=150, null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ServiceTokenQuerySet.as_manager()

    class Meta:
        db_table = "service_tokens"
        verbose_name = "service token"
        ordering = ["name"]
        # Nobody edits or deletes a token: `change` is the right to revoke it, and its row stays as a record.
        default_permissions = ("add", "change", "view")
        constraints = [
            models.UniqueConstraint(
                fields=["name"],
                name="uq_service_token_name",
                violation_error_message="There is a token of this name already.",
            ),
            # The look-up of every API request.
            models.UniqueConstraint(fields=["digest"], name="uq_service_token_digest"),
            models.CheckConstraint(
                condition=Q(scopes__contained_by=list(SCOPES), scopes__len__gt=0),
                name="chk_service_token_scopes",
                violation_error_message=f"Scopes are one or more of: {', '.join(SCOPES)}.",
            ),
            models.CheckConstraint(
                condition=Q(revoked_at=None, revoked_by=None)
                | Q(revoked_at__isnull=False, revoked_by__isnull=False),
                name="chk_service_token_revoked",
            ),
            models.CheckConstraint(
                condition=Q(expires_at=None) | Q(expires_at__gt=F("created_at")),
                name="chk_service_token_expires",
                violation_error_message="The expiry lies in the past.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def state(self, now: datetime | None = None) -> State:
        """Whether it opens anything; revoked wins over expired, because somebody decided it."""
        if self.revoked_at:
            return self.State.REVOKED
        expired = self.expires_at is not None and self.expires_at <= (now or timezone.now())
        return self.State.EXPIRED if expired else self.State.ACTIVE


class TokenUsage(models.Model):
    """What a token wrote in one hour, in rows; written only by `accounts.usage`, which also forgets old hours."""

    token = models.ForeignKey(ServiceToken, on_delete=models.CASCADE, related_name="+", db_index=False)
    hour = models.DateTimeField()
    accepted = models.BigIntegerField(default=0)
    duplicate = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)

    class Meta:
        db_table = "service_token_usage"
        default_permissions = ()
        constraints = [
            # Also the look-up of the token's page: its hours of the last day.
            models.UniqueConstraint(fields=["token", "hour"], name="uq_token_usage_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M}: {self.accepted} accepted, {self.rejected} rejected"


class TokenRejection(models.Model):
    """Why rows of a token were rejected: one row per field and reason, the latest few of them."""

    token = models.ForeignKey(ServiceToken, on_delete=models.CASCADE, related_name="+", db_index=False)
    field = models.CharField(max_length=150)
    reason = models.CharField(max_length=500)
    about = models.CharField(max_length=250)  # the series of the last row, as far as it could be read
    rows = models.BigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        db_table = "service_token_rejections"
        default_permissions = ()
        constraints = [
            # Also the look-up of the token's page.
            models.UniqueConstraint(fields=["token", "field", "reason"], name="uq_token_rejection_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"
