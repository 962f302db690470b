"""Tables of the ground floor: work that was asked for or ran, who holds which work, and who was heard when."""

from collections.abc import Iterable
from datetime import timedelta

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from utxoiq_admin.core.defaults import UUID7, DatabaseNow, uuid7


class TaskRunQuerySet(models.QuerySet["TaskRun"]):
    def of(self, name: str) -> "TaskRunQuerySet":
        """The runs of one task, newest first."""
        return self.filter(name=name).order_by("-queued_at", "-id")

    def newest_of(self, names: Iterable[str]) -> "dict[str, TaskRun]":
        """The newest run of each of these tasks that ever ran; one probe of idx_task_runs_name each."""
        newest = [self.of(name)[:1] for name in set(names)]
        return {run.name: run for run in self.none().union(*newest, all=True)}

    def message_overdue(self, wait: timedelta) -> "TaskRunQuerySet":
        """Queued rows whose last message (or, without one, the row itself) is older than `wait`, oldest first."""
        return (
            self.filter(state=TaskRun.State.QUEUED, finished_at=None, queued_at__lt=Now() - wait)
            .alias(last_try=Coalesce("message_sent_at", "queued_at"))
            .filter(last_try__lt=Now() - wait)
            .order_by("queued_at")
        )

    def silent(self, wait: timedelta) -> "TaskRunQuerySet":
        """Running rows whose worker was last heard longer than `wait` ago."""
        return self.filter(state=TaskRun.State.RUNNING, finished_at=None, heartbeat_at__lt=Now() - wait)

    def ended_before(self, age: timedelta) -> "TaskRunQuerySet":
        """Rows that ended, queued longer than `age` ago, oldest first."""
        return self.filter(finished_at__isnull=False, queued_at__lt=Now() - age).order_by("queued_at", "id")


class TaskRun(models.Model):
    """One piece of work for Celery: the row is the work, its message only a knock on the worker's door."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        LOST = "lost"  # its worker was not heard any more; what it did of the work is not known

    ENDED = (State.SUCCEEDED, State.FAILED, State.LOST)

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=UUID7(), editable=False)
    name = models.CharField(max_length=100)
    args = models.JSONField(default=dict, blank=True)
    queue = models.CharField(max_length=50, default="", blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED, db_default=State.QUEUED)
    queued_at = models.DateTimeField(db_default=DatabaseNow())
    message_sent_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=200, default="", blank=True)
    detail = models.TextField(default="", blank=True)
    error = models.TextField(default="", blank=True)

    objects = TaskRunQuerySet.as_manager()

    class Meta:
        db_table = "core_task_runs"
        verbose_name = "task run"
        ordering = ["-queued_at", "-id"]
        indexes = [
            # TaskRunQuerySet.of: when did this task last run, and how did it end.
            models.Index(fields=["name", "-queued_at", "-id"], name="idx_task_runs_name"),
            # The list of all runs, and ended_before: the clean-up walks it from the old end.
            models.Index(fields=["queued_at", "id"], name="idx_task_runs_queued"),
            # message_overdue and silent, once a minute: nearly all rows have ended.
            models.Index(
                fields=["state", "queued_at"],
                name="idx_task_runs_open",
                condition=Q(finished_at__isnull=True),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "succeeded", "failed", "lost"]),
                name="chk_task_run_state",
            ),
            models.CheckConstraint(
                condition=(
                    Q(state="queued", started_at=None, finished_at=None)
                    | Q(
                        state="running",
                        started_at__isnull=False,
                        heartbeat_at__isnull=False,
                        finished_at=None,
                    )
                    | Q(
                        state__in=["succeeded", "failed", "lost"],
                        started_at__isnull=False,
                        finished_at__isnull=False,
                    )
                ),
                name="chk_task_run_times",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"

    @property
    def duration(self) -> timedelta | None:
        """How long it ran; None while it has not ended."""
        if self.started_at and self.finished_at:
            return self.finished_at - self.started_at
        return None


class Lease(models.Model):
    """Who may do a piece of work, until when by the database's clock; written only by `core.leases`."""

    name = models.CharField(primary_key=True, max_length=100)
    token = models.UUIDField()
    holder = models.CharField(max_length=200)
    acquired_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "core_leases"
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("heartbeat_at")), name="chk_lease_expires_later"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} held by {self.holder}"


class Heartbeat(models.Model):
    """When a process of the platform was last heard: "worker", "beat", "listener". No row: never heard."""

    name = models.CharField(primary_key=True, max_length=50)
    at = models.DateTimeField(db_default=DatabaseNow())
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        db_table = "core_heartbeats"

    def __str__(self) -> str:
        return f"{self.name}, last heard {self.at:%Y-%m-%d %H:%M:%S} UTC"


class HeartbeatGap(models.Model):
    """A silence of more than 45 s between two heartbeats of one name; a trigger of `core_heartbeats` writes it."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=50)
    heard_until = models.DateTimeField()
    heard_again = models.DateTimeField()

    class Meta:
        db_table = "core_heartbeat_gaps"
        # Which silences a chart's range overlaps.
        indexes = [models.Index(fields=["heard_again"], name="idx_heartbeat_gaps_again")]
        constraints = [
            models.CheckConstraint(
                condition=Q(heard_again__gt=F("heard_until")), name="chk_heartbeat_gap_order"
            ),
        ]

    def __str__(self) -> str:
        return (
            f"{self.name} not heard {self.heard_until:%Y-%m-%d %H:%M:%S} to {self.heard_again:%H:%M:%S} UTC"
        )
