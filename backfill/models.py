"""Table `backfill_jobs`: the platform's historical ingestion of block ranges."""

import uuid
from datetime import datetime, timedelta

from django.db import connection, models
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Greatest

from backfill.tracking_models import JobEvent, JobWork, LedgerEntry, LedgerFold, Sample
from utxoiq_admin.core.defaults import UUID7, DatabaseNow, uuid7

__all__ = ["BackfillJob", "JobEvent", "JobWork", "LedgerEntry", "LedgerFold", "Sample"]


class BackfillJobQuerySet(models.QuerySet["BackfillJob"]):
    def failed_since(self, moment: datetime, *, cancelled: bool) -> "BackfillJobQuerySet":
        """Jobs that failed after `moment`, or were cancelled, by when that happened, newest first; with `ended_at`."""
        ended = JobWork.objects.filter(ended_at__gte=moment, cancelled_at__isnull=not cancelled)
        work = JobWork.objects.filter(job_id=OuterRef("pk"))
        return (
            self.filter(status=BackfillJob.Status.FAILED, pk__in=ended.values("pk"))
            .annotate(ended_at=Subquery(work.values("ended_at")))
            .order_by("-ended_at", "-pk")
        )

    def running(self) -> "BackfillJobQuerySet":
        """Jobs under way, newest first."""
        return self.filter(status=BackfillJob.Status.RUNNING)

    def touching(self, start: datetime, end: datetime) -> "BackfillJobQuerySet":
        """Jobs that started or ended in [start, end), the latest event first."""
        return self.filter(
            Q(started_at__gte=start, started_at__lt=end) | Q(completed_at__gte=start, completed_at__lt=end)
        ).order_by(Greatest("started_at", Coalesce("completed_at", "started_at")).desc(), "-id")

    def sharing(self, job_type: str, first: int, last: int) -> "BackfillJobQuerySet":
        """Jobs of the type whose range shares a block with first..last."""
        return self.filter(job_type=job_type, start_block__lte=last, end_block__gte=first)

    def found(self, queryset: "models.QuerySet[BackfillJob]", text: str) -> "models.QuerySet[BackfillJob]":
        """Of `queryset`, the job with this id, or the jobs created by exactly this name."""
        try:
            return queryset.filter(pk=uuid.UUID(text.strip()))
        except ValueError:
            return queryset.filter(created_by=text.strip())

    def types(self) -> list[str]:
        """Every job type, by name; one index probe a type (a loose index scan), however many jobs there are."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
                WITH RECURSIVE found(name) AS (
                  (SELECT min(job_type) FROM backfill_jobs)
                  UNION ALL
                  SELECT (SELECT min(job_type) FROM backfill_jobs WHERE job_type > name) FROM found
                  WHERE name IS NOT NULL)
                SELECT name FROM found WHERE name IS NOT NULL
                """
            )
            return [row[0] for row in cursor.fetchall()]


class BackfillJob(models.Model):
    class Status(models.TextChoices):
        RUNNING = "running"
        COMPLETED = "completed"
        FAILED = "failed"
        PAUSED = "paused"

    OPEN = (Status.RUNNING, Status.PAUSED)
    TAKEN = (*OPEN, Status.COMPLETED)  # their blocks are done, or being done

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=UUID7())
    job_type = models.CharField(max_length=50)
    start_block = models.IntegerField()
    end_block = models.IntegerField()
    current_block = models.IntegerField()
    status = models.CharField(max_length=20, choices=Status)
    progress_percentage = models.FloatField(null=True, default=0.0, db_default=0.0)
    estimated_completion = models.DateTimeField(null=True, blank=True)
    error_message = models.TextField(null=True, blank=True)
    started_at = models.DateTimeField(db_default=DatabaseNow())
    completed_at = models.DateTimeField(null=True, blank=True)
    created_by = models.CharField(max_length=100, null=True, blank=True)

    objects = BackfillJobQuerySet.as_manager()

    class Meta:
        db_table = "backfill_jobs"
        verbose_name = "backfill job"
        permissions = [("operate_backfilljob", "Can start, pause, resume, retry and cancel backfill jobs")]
        ordering = ["-started_at", "-id"]
        indexes = [
            # The description's three: jobs in a state, jobs by time (the list's order), jobs of a type.
            models.Index(fields=["status"], name="idx_backfill_status"),
            models.Index(fields=["started_at"], name="idx_backfill_started"),
            models.Index(fields=["job_type"], name="idx_backfill_job_type"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["running", "completed", "failed", "paused"]),
                name="chk_backfill_status",
            ),
            models.CheckConstraint(condition=Q(end_block__gte=F("start_block")), name="chk_backfill_range"),
            models.CheckConstraint(
                condition=Q(progress_percentage__gte=0, progress_percentage__lte=100)
                | Q(progress_percentage=None),
                name="chk_backfill_progress",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_type} {self.start_block:,}–{self.end_block:,}"

    @property
    def blocks(self) -> int:
        """How many blocks the range holds, both ends included."""
        return self.end_block - self.start_block + 1

    @property
    def passed(self) -> int:
        """How many blocks of its range the job has behind it, failed ones included."""
        if self.status == self.Status.COMPLETED:
            return self.blocks
        return max(0, min(self.current_block, self.end_block + 1) - self.start_block)

    @property
    def share(self) -> float:
        """The same in percent, cut to a hundredth, 100 only when completed; from the blocks, whoever wrote the row."""
        if self.status == self.Status.COMPLETED:
            return 100.0
        return min(99.99, self.passed * 10_000 // self.blocks / 100)

    def duration(self, now: datetime) -> timedelta:
        """From start to completion, or to `now` while it has none."""
        return (self.completed_at or now) - self.started_at
