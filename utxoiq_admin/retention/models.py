"""What retention did and where it put it: runs, their figures for each table, the manifest of archives, pauses."""

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from utxoiq_admin.core.defaults import UUID7, DatabaseNow, uuid7

OPEN_STATES = ["queued", "running"]


class RunQuerySet(models.QuerySet["Run"]):
    def ended_between(self, start: datetime, end: datetime) -> "RunQuerySet":
        """Runs that worked and ended in [start, end), the latest first."""
        worked = [Run.State.SUCCEEDED, Run.State.FAILED, Run.State.STOPPED, Run.State.CRASHED]
        return self.filter(state__in=worked, finished_at__gte=start, finished_at__lt=end).order_by(
            "-finished_at"
        )


class Run(models.Model):
    """One pass over the tables, from being asked for to its end."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        STOPPED = "stopped"  # somebody asked for it
        CRASHED = "crashed"  # fell silent; the next run took over
        SKIPPED = "skipped"  # paused, or other work of retention was under way

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule"
        PAGE = "page"
        API = "api"
        COMMAND = "command"

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=UUID7(), editable=False)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    open = models.BooleanField(
        null=True, default=True, unique=True
    )  # true while it has not ended: one at most
    trigger = models.CharField(max_length=10, choices=Trigger)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField(db_default=DatabaseNow())
    clock = models.DateTimeField(null=True)  # the moment it takes for now; null: the real one
    tables = ArrayField(models.CharField(max_length=50))
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    token = models.UUIDField(null=True)  # of the lease that it holds: see core.leases
    step = models.CharField(max_length=200, default="")
    stop_requested_by = models.CharField(max_length=150, default="")
    error = models.TextField(default="")

    objects = RunQuerySet.as_manager()

    class Meta:
        db_table = "retention_runs"
        verbose_name = "retention run"
        ordering = ["-requested_at", "-id"]
        # `add` is the right to start one, `change` to stop it and to pause the nights.
        default_permissions = ("add", "change", "view")
        indexes = [
            # The page's list, and the clean-up from its old end.
            models.Index(fields=["-requested_at", "-id"], name="idx_retention_runs_requested"),
            # The last success, asked for by the first page and each minute as a metric.
            models.Index(
                fields=["-finished_at"], name="idx_retention_runs_success", condition=Q(state="succeeded")
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=OPEN_STATES, open=True, finished_at=None)
                | (~Q(state__in=OPEN_STATES) & Q(open=None, finished_at__isnull=False)),
                name="chk_retention_run_open",
            ),
        ]

    def __str__(self) -> str:
        return f"retention {self.state}, asked for {self.requested_at:%Y-%m-%d %H:%M:%S} UTC"

    @property
    def did_something(self) -> bool:
        """Whether any row or object moved."""
        return any(
            each.rows_verified or each.rows_deleted or each.partitions_dropped or each.objects_removed
            for each in self.figures.all()
        )

    @property
    def duration(self) -> timedelta | None:
        """How long it ran; None while it has not ended or never began."""
        return self.finished_at - self.started_at if self.finished_at and self.started_at else None


class RunTable(models.Model):
    """What one run did with one table. Rows are counted in the transactions that move them."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        STOPPED = "stopped"  # its run ended, in whatever way, before its own end

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="figures", db_index=False)
    table = models.CharField(max_length=50)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    rows_verified = models.BigIntegerField(default=0)
    rows_deleted = models.BigIntegerField(default=0)
    rows_superseded = models.BigIntegerField(default=0)
    bytes_archived = models.BigIntegerField(default=0)  # compressed, as they lie in the archive
    bytes_freed = models.BigIntegerField(default=0)  # of partitions that were dropped
    partitions_dropped = models.IntegerField(default=0)
    objects_removed = models.IntegerField(default=0)
    seconds = models.FloatField(default=0)
    error = models.TextField(default="")

    class Meta:
        db_table = "retention_run_tables"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["run", "table"], name="uq_retention_run_table"),
        ]

    def __str__(self) -> str:
        return f"{self.table}: {self.rows_deleted:,} rows deleted"


class ArchiveQuerySet(models.QuerySet["Archive"]):
    def to_finish(self, table: str, now: datetime) -> "ArchiveQuerySet":
        """Verified objects whose rows may stand in the table: a run ended early, or a hold is over. Oldest first."""
        return self.filter(
            Q(state=Archive.State.VERIFIED) | Q(state=Archive.State.RESTORED, hold_until__lte=now),
            table=table,
        ).order_by("first_at", "id")

    def standing(self, table: str) -> "ArchiveQuerySet":
        """Objects whose rows stand in the table too: verified and not deleted yet, or restored."""
        return self.filter(table=table, state__in=[Archive.State.VERIFIED, Archive.State.RESTORED])

    def held(self, table: str, now: datetime) -> "ArchiveQuerySet":
        """Restored objects whose rows are kept from retention for now."""
        return self.filter(table=table, state=Archive.State.RESTORED, hold_until__gt=now)

    def away(self, table: str, start: datetime, end: datetime) -> "ArchiveQuerySet":
        """Objects of rows in [start, end) that are in the table no more, oldest first."""
        gone = [Archive.State.ARCHIVED, Archive.State.REMOVED]
        return self.filter(table=table, state__in=gone, first_at__lt=end, last_at__gte=start).order_by(
            "first_at", "id"
        )

    def with_object(self) -> "ArchiveQuerySet":
        """Those that can be read: verified, and not removed."""
        return self.filter(state__in=Archive.READABLE)


class Archive(models.Model):
    """The manifest: one object in the storage. Its figures are those of what was spooled, before any upload."""

    class State(models.TextChoices):
        WRITING = "writing"  # not verified; its run is at it, or ended before it was
        VERIFIED = "verified"  # read back and found equal; its rows are still in the table
        ARCHIVED = "archived"  # its rows left the table
        RESTORED = "restored"  # its rows are in the table again, held until a date
        REMOVED = "removed"  # its time in the archive is over; this row stays
        FAILED = "failed"  # never verified; its object is swept after a week
        DAMAGED = "damaged"  # verified once, and not found equal later

    READABLE = (State.VERIFIED, State.ARCHIVED, State.RESTORED)
    VIEWABLE = (*READABLE, State.DAMAGED)  # of a damaged one what can still be read

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=UUID7(), editable=False)
    table = models.CharField(max_length=50)
    key = models.CharField(max_length=300, unique=True)
    state = models.CharField(max_length=10, choices=State, default=State.WRITING)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    rows = models.IntegerField()
    bytes = models.BigIntegerField()
    checksum = models.CharField(max_length=32)  # the sum of each line's md5, modulo 2^128, as hex
    sha256 = models.CharField(max_length=64, default="")  # of the object's bytes
    run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, related_name="archives")
    created_at = models.DateTimeField(db_default=DatabaseNow())
    verified_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)  # when its rows left the table, the last time
    rows_deleted = models.IntegerField(default=0)
    # md5 of lines whose row was edited after it was spooled: a newer version lives in the table or another object.
    superseded = ArrayField(models.UUIDField(), default=list)
    restored_at = models.DateTimeField(null=True)
    restored_by = models.CharField(max_length=150, default="")
    hold_until = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    error = models.TextField(default="")

    objects = ArchiveQuerySet.as_manager()

    class Meta:
        db_table = "archives"
        verbose_name = "archive"
        ordering = ["-first_at", "-id"]
        # `change` is the right to restore.
        default_permissions = ("change", "view")
        indexes = [
            # The page's list and the search: a table's objects by time of their rows.
            models.Index(fields=["table", "-first_at", "-id"], name="idx_archives_table_time"),
            models.Index(fields=["-first_at", "-id"], name="idx_archives_time"),
            # to_finish, held, expiry: nearly all are archived or removed.
            models.Index(fields=["state", "table"], name="idx_archives_state"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["writing", "failed", "damaged", "removed"])
                | Q(verified_at__isnull=False),
                name="chk_archive_verified",
            ),
            models.CheckConstraint(
                condition=~Q(state="restored") | Q(hold_until__isnull=False), name="chk_archive_hold"
            ),
            models.CheckConstraint(
                condition=Q(rows__gt=0, last_at__gte=models.F("first_at")), name="chk_archive_range"
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def manifest_key(self) -> str:
        """The small file beside the object that explains it without this database."""
        return self.key.removesuffix(".jsonl.gz") + ".manifest.json"


class Pause(models.Model):
    """Somebody had the nights skipped, from `created_at` until `until`, or until it was ended."""

    created_at = models.DateTimeField(db_default=DatabaseNow())
    until = models.DateTimeField()
    by = models.CharField(max_length=150)
    reason = models.CharField(max_length=200, default="")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=150, default="")

    class Meta:
        db_table = "retention_pauses"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"paused until {self.until:%Y-%m-%d %H:%M} UTC by {self.by}"
