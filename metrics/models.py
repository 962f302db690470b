"""Table `system_metrics`, partitioned by month. Django sees one table whose key is `id`."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

from metrics.rollup_models import LateRow, RollupDay, RollupHour, RollupMark, SealedDay
from metrics.service_models import Retirement, ServiceInstance
from metrics.view_models import SavedView
from utxoiq_admin.core.cursors import Page, page
from utxoiq_admin.core.defaults import UUID7, DatabaseNow, uuid7
from utxoiq_admin.core.json_numbers import AnyNumber

__all__ = [
    "LateRow",
    "Retirement",
    "RollupDay",
    "RollupHour",
    "RollupMark",
    "SavedView",
    "SealedDay",
    "ServiceInstance",
    "SystemMetric",
]


class SystemMetricQuerySet(models.QuerySet["SystemMetric"]):
    def between(self, start: datetime, end: datetime) -> "SystemMetricQuerySet":
        """Rows with start <= timestamp < end: the bounds are what lets PostgreSQL skip partitions."""
        return self.filter(timestamp__gte=start, timestamp__lt=end)

    def around(self, *, service: str, at: datetime, within: timedelta) -> "SystemMetricQuerySet":
        """All that the service reported at most `within` before or after the moment, by type, unit and time."""
        return self.filter(
            service_name=service, timestamp__gte=at - within, timestamp__lte=at + within
        ).order_by("metric_type", "unit", "timestamp", "id")

    def page_of(
        self,
        *,
        services: Sequence[str],
        types: Sequence[str],
        start: datetime,
        end: datetime,
        cursor: str | None,
        size: int,
    ) -> "Page[SystemMetric]":
        """The `size` newest rows of the range beyond the cursor; no names mean all. Raises cursors.InvalidCursor."""
        found = self.between(start, end)
        if services:
            found = found.filter(service_name__in=services)
        if types:
            found = found.filter(metric_type__in=types)
        return page(found, order=("-timestamp", "-id"), cursor=cursor, size=size)


class SystemMetric(models.Model):
    # The real key is (id, "timestamp"), as PostgreSQL demands of a partitioned table; Django's admin refuses
    # composite keys, so here it is `id`, and whoever looks one up expects that there may be several.
    id = models.UUIDField(primary_key=True, default=uuid7, db_default=UUID7())
    service_name = models.CharField(max_length=100)
    metric_type = models.CharField(max_length=50)
    metric_value = models.FloatField()
    unit = models.CharField(max_length=20)
    timestamp = models.DateTimeField(db_default=DatabaseNow())
    metric_metadata = models.JSONField(null=True, blank=True, decoder=AnyNumber)

    objects = SystemMetricQuerySet.as_manager()

    class Meta:
        db_table = "system_metrics"
        verbose_name = "metric"
        ordering = ["-timestamp", "-id"]
        indexes = [
            # The description's three: a service's series, a type over all services, by time (the list's order).
            models.Index(fields=["service_name", "timestamp"], name="idx_metrics_service_time"),
            models.Index(fields=["metric_type", "timestamp"], name="idx_metrics_type_time"),
            models.Index(fields=["timestamp"], name="idx_metrics_timestamp"),
        ]
        constraints = [
            # NaN equals itself in PostgreSQL, and sorts above Infinity: one comparison refuses all three.
            models.CheckConstraint(
                condition=Q(metric_value__gt=float("-inf"), metric_value__lt=float("inf")),
                name="chk_metric_value_finite",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service_name} {self.metric_type} at {self.timestamp:%Y-%m-%d %H:%M:%S}"
