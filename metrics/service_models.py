"""What is kept about services beside their rows: the instances heard, and which services people retired."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from utxoiq_admin.core.defaults import UUID7, DatabaseNow, uuid7


class ServiceInstance(models.Model):
    """An `instance_id` that a service named in its rows' metadata; written by `instances.note` each minute."""

    pk = models.CompositePrimaryKey("service_name", "instance_id")
    service_name = models.CharField(max_length=100)
    instance_id = models.CharField(max_length=200)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        db_table = "metric_instances"

    def __str__(self) -> str:
        return f"{self.instance_id} of {self.service_name}"


class RetirementQuerySet(models.QuerySet["Retirement"]):
    def standing(self) -> "RetirementQuerySet":
        """Those that nobody took back; one that was heard since is no longer in force all the same."""
        return self.filter(ended_at=None)


class Retirement(models.Model):
    """Somebody said that a service is not coming back. It counts until the service is heard, or it is taken back."""

    id = models.UUIDField(primary_key=True, default=uuid7, db_default=UUID7(), editable=False)
    service_name = models.CharField(max_length=100)
    note = models.TextField()
    retired_at = models.DateTimeField(db_default=DatabaseNow())
    retired_by = models.CharField(max_length=150)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, default="", db_default="", blank=True)

    objects = RetirementQuerySet.as_manager()

    class Meta:
        db_table = "metric_service_retirements"
        constraints = [
            # One in force for each service; also what the overview reads.
            models.UniqueConstraint(
                fields=["service_name"], condition=Q(ended_at=None), name="uq_retirement_standing"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service_name} retired by {self.retired_by}"

    def counts(self, last: datetime) -> bool:
        """Whether it is in force for a service last heard at `last`."""
        return self.ended_at is None and last <= self.retired_at
