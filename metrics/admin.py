"""The list and detail of metrics: to look at, never to edit."""

import json
import uuid
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from metrics import catalogue
from metrics.models import SystemMetric
from utxoiq_admin.core import display as show
from utxoiq_admin.core.admin import KeysetChangeList, LargeTableAdmin
from utxoiq_admin.core.list_filters import ListFilter, RangeFilter
from utxoiq_admin.core.time_range import PRESETS, parse_moment


class TimeFilter(RangeFilter):
    """Always set: without a range, a filter that matches nothing would read every partition."""

    field = "timestamp"
    default = "24h"


class ServiceFilter(ListFilter):
    title = "service"
    parameter_name = "service"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return self.named(catalogue.service_names())

    def queryset(self, request: HttpRequest, queryset: QuerySet[SystemMetric]) -> QuerySet[SystemMetric]:
        return queryset.filter(service_name=self.value()) if self.value() else queryset


class TypeFilter(ListFilter):
    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Those of the chosen service: a type that it never had would search all of its rows for nothing."""
        service = request.GET.get("service")
        return self.named(catalogue.types_of(service) if service else catalogue.type_names())

    def queryset(self, request: HttpRequest, queryset: QuerySet[SystemMetric]) -> QuerySet[SystemMetric]:
        return queryset.filter(metric_type=self.value()) if self.value() else queryset


class MetricChangeList(KeysetChangeList):
    def url_for_result(self, result: SystemMetric) -> str:
        """Two rows may share an id; the time beside it names one of them."""
        url = reverse("admin:metrics_systemmetric_change", args=(quote(result.pk),))
        return f"{url}?{urlencode({'at': result.timestamp.isoformat()})}"


@admin.register(SystemMetric)
class SystemMetricAdmin(LargeTableAdmin):
    list_display = ["time", "service_name", "metric_type", "value", "instance"]
    list_filter = [TimeFilter, ServiceFilter, TypeFilter]
    keyset_order = ("-timestamp", "-id")
    sortable_by = ("timestamp",)
    search_fields = ["id"]
    search_help_text = "Metric id, in the range"
    empty_text = "Metrics appear when a service reports; this application itself reports each minute."
    export_fields = (
        "id",
        "service_name",
        "metric_type",
        "metric_value",
        "unit",
        "timestamp",
        "metric_metadata",
    )
    fieldsets = [
        (None, {"fields": [("service_name", "metric_type"), ("value", "time"), "around", "metadata", "id"]})
    ]
    readonly_fields = ["value", "time", "around", "metadata"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return MetricChangeList

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> SystemMetric | None:
        """The row with this id (and, with `?at=`, this time); the newest of several."""
        try:
            rows = self.get_queryset(request).filter(pk=uuid.UUID(object_id))
            if request.GET.get("at"):
                rows = rows.filter(timestamp=parse_moment(request.GET["at"].replace(" ", "+")))
        except ValueError:
            return None
        return rows.order_by("-timestamp").first()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SystemMetric], search_term: str
    ) -> tuple[QuerySet[SystemMetric], bool]:
        if not search_term.strip():
            return queryset, False
        try:
            return queryset.filter(pk=uuid.UUID(search_term.strip())), False
        except ValueError:
            messages.error(
                request, f"“{search_term[:60]}” is no metric id: a UUID was expected. Nothing is shown."
            )
            return queryset.none(), False

    @display(description="time", ordering="timestamp")
    def time(self, row: SystemMetric) -> SafeString | str:
        return show.moment(row.timestamp)

    @display(description="value")
    def value(self, row: SystemMetric) -> SafeString:
        return format_html(
            '<span class="num" title="{} {}">{}</span>',
            row.metric_value, row.unit, show.quantity(row.metric_value, row.unit),
        )  # fmt: skip

    @display(description="instance")
    def instance(self, row: SystemMetric) -> str:
        metadata = row.metric_metadata
        return str(metadata.get("instance_id", "–")) if isinstance(metadata, dict) else "–"

    @display(description="chart")
    def around(self, row: SystemMetric) -> SafeString:
        query = urlencode({"service": row.service_name, "type": row.metric_type, **_around(row.timestamp)})
        return format_html('<a class="link" href="{}?{}">the hour around it</a>', reverse("charts"), query)

    @display(description="metadata")
    def metadata(self, row: SystemMetric) -> SafeString | str:
        if row.metric_metadata is None:
            return "none"
        return format_html("<pre>{}</pre>", json.dumps(row.metric_metadata, indent=2, ensure_ascii=False))


def _around(moment: datetime) -> dict[str, str]:
    half = PRESETS["1h"][1] / 2
    return {"from": (moment - half).isoformat(), "to": (moment + half).isoformat()}
