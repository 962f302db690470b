"""What is known of the demo data: one row, read by the banner and the home page, written under its lock."""

import uuid
from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone

# A load or removal writes its progress after each slice, about every second.
SILENT_AFTER = timedelta(minutes=2)


class TakenOver(Exception):
    """Another load or removal of the demo data began; the one that hears this stops."""


class DemoStateQuerySet(models.QuerySet["DemoState"]):
    def held(self, token: uuid.UUID) -> "DemoState":
        """The row, locked. Raises TakenOver unless `token` is still the one that may change demo rows."""
        state = self.select_for_update().get()
        if state.token != token:
            raise TakenOver("Another load or removal of the demo data began; this one has stopped.")
        return state


class DemoState(models.Model):
    """The single row. Whoever changes demo rows holds its lock and commits the markers with the rows:
    a process that dies leaves markers that are true, and the next one goes on from there."""

    class State(models.TextChoices):
        ABSENT = "absent"
        LOADING = "loading"
        PRESENT = "present"
        REMOVING = "removing"

    class Phase(models.TextChoices):
        JOBS = "jobs"
        RECENT = "recent metrics"
        FEEDBACK = "feedback"
        HISTORY = "older metrics"

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    state = models.CharField(max_length=10, choices=State, default=State.ABSENT)
    phase = models.CharField(max_length=20, blank=True, default="")
    percent = models.FloatField(default=0.0)
    rows = models.BigIntegerField(default=0)  # written by load and upkeep, all tables together
    seed = models.BigIntegerField(default=0)
    days = models.PositiveIntegerField(default=0)
    insights = models.PositiveIntegerField(default=0)  # published over `days`
    anchor = models.DateTimeField(null=True)  # the "now" of the load, to which all demo data refers
    token = models.UUIDField(null=True)  # of the load or removal under way; another's token ends it
    started_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(null=True)
    kept_alive_at = models.DateTimeField(null=True)
    # Markers of what stands: metrics from the one moment to before the other; insights loaded; events before.
    metrics_from = models.DateTimeField(null=True)
    metrics_until = models.DateTimeField(null=True)
    insights_loaded = models.PositiveIntegerField(default=0)
    events_until = models.DateTimeField(null=True)
    thinned_until = models.DateTimeField(null=True)  # up to here one row in five minutes is left

    objects = DemoStateQuerySet.as_manager()

    class Meta:
        db_table = "demo_state"
        verbose_name = "demo data"
        verbose_name_plural = "demo data"
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="chk_demo_state_single"),
            models.CheckConstraint(
                condition=Q(state__in=["absent", "loading", "present", "removing"]),
                name="chk_demo_state_word",
            ),
        ]

    def __str__(self) -> str:
        return f"Demo data: {self.state}"

    @property
    def interrupted(self) -> bool:
        """Loading or removing, but whoever did it has not been heard for a while."""
        under_way = self.state in (self.State.LOADING, self.State.REMOVING)
        # Both ways: after a clock was set back, the last word seems to come from the future.
        return under_way and (self.updated_at is None or abs(timezone.now() - self.updated_at) > SILENT_AFTER)
