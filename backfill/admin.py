"""The list and detail of backfill jobs."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from backfill.models import BackfillJob
from utxoiq_admin.core import display as show
from utxoiq_admin.core.admin import LargeTableAdmin
from utxoiq_admin.core.list_filters import ChoiceFilter, ListFilter, RangeFilter

TONES = {"running": "info", "completed": "ok", "failed": "bad", "paused": "warn"}


class StatusFilter(ChoiceFilter):
    title = "state"
    parameter_name = field = "status"
    values = BackfillJob.Status.choices


class TypeFilter(ListFilter):
    title = "type"
    parameter_name = "job_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return self.named(BackfillJob.objects.types())

    def queryset(self, request: HttpRequest, queryset: QuerySet[BackfillJob]) -> QuerySet[BackfillJob]:
        return queryset.filter(job_type=self.value()) if self.value() else queryset


class TimeFilter(RangeFilter):
    title = "started"
    field = "started_at"


@admin.register(BackfillJob)
class BackfillJobAdmin(LargeTableAdmin):
    list_display = ["job", "blocks_range", "state", "progress", "started", "took", "created_by"]
    list_filter = [TimeFilter, StatusFilter, TypeFilter]
    keyset_order = ("-started_at", "-id")
    sortable_by = ("started_at", "job_type", "status")
    search_fields = ["id", "created_by"]
    search_help_text = "Job id, or who created it (whole word)"
    empty_text = "A job appears when a platform service starts a backfill."
    export_fields = (
        "id", "job_type", "start_block", "end_block", "current_block", "status", "progress_percentage",
        "estimated_completion", "error_message", "started_at", "completed_at", "created_by",
    )  # fmt: skip
    fieldsets = [
        (None, {"fields": [("job_type", "state"), ("blocks_range", "at_block"), ("progress", "took")]}),
        ("Times (UTC)", {"fields": [("started", "completed"), ("estimate",)]}),
        ("About", {"fields": ["error", ("created_by", "page"), "id"]}),
    ]
    readonly_fields = [
        "state", "blocks_range", "at_block", "progress", "took", "started", "completed", "estimate", "error", "page",
    ]  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[BackfillJob], search_term: str
    ) -> tuple[QuerySet[BackfillJob], bool]:
        return BackfillJob.objects.found(queryset, search_term) if search_term else queryset, False

    @display(description="job", ordering="job_type")
    def job(self, job: BackfillJob) -> SafeString:
        return format_html('<strong>{}</strong> <span class="id">{}</span>', job.job_type, str(job.pk)[-8:])

    @display(description="blocks")
    def blocks_range(self, job: BackfillJob) -> SafeString:
        return format_html(
            '<span class="num">{}–{} <span class="age">{} blocks</span></span>',
            f"{job.start_block:,}", f"{job.end_block:,}", f"{job.blocks:,}",
        )  # fmt: skip

    @display(description="state", ordering="status")
    def state(self, job: BackfillJob) -> SafeString:
        return show.badge(job.status, TONES.get(job.status, "plain"))

    @display(description="progress")
    def progress(self, job: BackfillJob) -> SafeString:
        return show.bar(job.share, TONES.get(job.status, "plain"))

    @display(description="started", ordering="started_at")
    def started(self, job: BackfillJob) -> SafeString | str:
        return show.moment(job.started_at)

    @display(description="duration")
    def took(self, job: BackfillJob) -> str:
        if job.completed_at is None and job.status not in ("running", "paused"):
            return "–"
        return show.duration(job.duration(timezone.now()))

    @display(description="at block")
    def at_block(self, job: BackfillJob) -> str:
        return f"{job.current_block:,}"

    @display(description="completed")
    def completed(self, job: BackfillJob) -> SafeString | str:
        return show.moment(job.completed_at)

    @display(description="estimated completion")
    def estimate(self, job: BackfillJob) -> SafeString | str:
        return show.moment(job.estimated_completion)

    @display(description="page")
    def page(self, job: BackfillJob) -> SafeString:
        return format_html(
            '<a class="link" href="{}">rate, events and buttons</a>', reverse("job", args=[job.pk])
        )

    @display(description="error")
    def error(self, job: BackfillJob) -> SafeString | str:
        return (
            format_html('<pre class="error-text">{}</pre>', job.error_message)
            if job.error_message
            else "none"
        )
