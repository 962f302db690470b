"""What is known of a job beside its own row. The table's triggers write these (migration 0003), for HTTP and SQL alike.

None has a foreign key to `backfill_jobs`: the ledger and the events outlive the jobs, and the others go with them by
trigger, in one statement for a whole batch of deletions.
"""

from django.db import models
from django.db.models.functions import Now

from backfill.fields import BlockSetField
from utxoiq_admin.core.defaults import UUID7, uuid7


class Sample(models.Model):
    """The job stood at `block` at that moment. The stretch before one that `begins` is no work: a claim, a resume."""

    pk = models.CompositePrimaryKey("job_id", "at")
    job_id = models.UUIDField()
    at = models.DateTimeField()
    block = models.IntegerField()
    begins = models.BooleanField(default=False, db_default=False)

    class Meta:
        db_table = "backfill_samples"
        verbose_name = "job sample"

    def __str__(self) -> str:
        return f"{self.job_id} at {self.block:,}"


class JobWorkQuerySet(models.QuerySet["JobWork"]):
    def let_go(self) -> "JobWorkQuerySet":
        """Jobs that a worker once claimed and has not been heard of for as long as a lease lasts."""
        return self.filter(lease__isnull=False, lease_until__lt=Now())


class JobWork(models.Model):
    """The worker's side of a job: who holds it and until when, what was heard of it, what it was told."""

    job_id = models.UUIDField(primary_key=True)
    waits = models.BooleanField(default=False, db_default=False)  # started by a person; no worker has it yet
    holder = models.CharField(max_length=200, default="", db_default="", blank=True)
    lease = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(db_default=Now())  # the state, or the holder
    reported_at = models.DateTimeField(null=True, blank=True)
    moved_at = models.DateTimeField(null=True, blank=True)  # the block grew
    paused_at = models.DateTimeField(null=True, blank=True)
    # Between its reports while it ran, all together: neither pauses nor the wait for a worker count.
    worked_seconds = models.FloatField(default=0.0, db_default=0.0)
    worked_blocks = models.BigIntegerField(default=0, db_default=0)
    ended_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    stop_confirmed_at = models.DateTimeField(null=True, blank=True)  # the worker heard that it must stop
    retry_of = models.UUIDField(null=True, blank=True)

    objects = JobWorkQuerySet.as_manager()

    class Meta:
        db_table = "backfill_work"
        verbose_name = "job's worker"
        indexes = [
            # The failures of the last day, asked by every look at the first page.
            models.Index(
                fields=["ended_at"],
                name="idx_backfill_work_ended",
                condition=models.Q(ended_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} held by {self.holder or 'nobody known'}"


class JobEvent(models.Model):
    """Something happened to a job: what, when, through whom, and why they said they did it."""

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=UUID7())
    job_id = models.UUIDField()
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=20)
    actor = models.CharField(max_length=200)
    detail = models.TextField(default="", db_default="", blank=True)

    class Meta:
        db_table = "backfill_events"
        verbose_name = "job event"
        indexes = [
            # The timeline of one job.
            models.Index(fields=["job_id", "at"], name="idx_backfill_events_job"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.actor}"


class LedgerEntry(models.Model):
    """The blocks that one job did, and those that it reported failed. `done` only grows; it outlives the job.

    `folded`: its job is gone, and its blocks are counted in the type's fold.
    """

    job_id = models.UUIDField(primary_key=True)
    job_type = models.CharField(max_length=50)
    done = BlockSetField()
    failed = BlockSetField()
    folded = models.BooleanField(default=False, db_default=False)

    class Meta:
        db_table = "backfill_ledger"
        verbose_name = "ledger entry"
        indexes = [
            # Coverage of one type.
            models.Index(fields=["job_type"], name="idx_backfill_ledger_type"),
        ]

    def __str__(self) -> str:
        return f"{self.job_type} of {self.job_id}"


class LedgerFold(models.Model):
    """The done blocks of a type's jobs that are gone from the table: their entries, folded into one row."""

    job_type = models.CharField(primary_key=True, max_length=50)
    done = BlockSetField()

    class Meta:
        db_table = "backfill_ledger_folds"
        verbose_name = "folded ledger"

    def __str__(self) -> str:
        return self.job_type
