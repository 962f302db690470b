"""The list and detail of feedback."""

import uuid
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from feedback.models import InsightFeedback
from utxoiq_admin.core import display as show
from utxoiq_admin.core.admin import LargeTableAdmin
from utxoiq_admin.core.list_filters import ChoiceFilter, ExactFilter, ListFilter, RangeFilter

FLAG_TONES = {"inaccurate": "bad", "misleading": "warn", "spam": "plain", "other": "info"}


class RatingFilter(ChoiceFilter):
    title = "rating"
    parameter_name = field = "rating"
    values = [(str(n), f"{n} ★") for n in range(5, 0, -1)]


class FlagFilter(ListFilter):
    title = "flag"
    parameter_name = "flag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("any", "any flag"),
            *((word, word) for word in InsightFeedback.Flag.values),
            ("other", "other"),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[InsightFeedback]
    ) -> QuerySet[InsightFeedback]:
        word = self.value()
        if word is None:
            return queryset
        flagged = queryset.filter(flag_type__isnull=False)
        if word == "any":
            return flagged
        if word == "other":
            return flagged.exclude(flag_type__in=InsightFeedback.Flag.values)
        return flagged.filter(flag_type=word)


class CommentFilter(ListFilter):
    title = "comment"
    parameter_name = "comment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "yes")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[InsightFeedback]
    ) -> QuerySet[InsightFeedback]:
        return queryset.filter(comment__isnull=False) if self.value() == "yes" else queryset


class TimeFilter(RangeFilter):
    title = "written"
    field = "created_at"


class InsightFilter(ExactFilter):
    title = parameter_name = "insight"
    field = "insight_id"


class UserFilter(ExactFilter):
    title = parameter_name = "user"
    field = "user_id"


def feedback_link(text: str, **wanted: str) -> SafeString:
    """A link to the list with exactly this insight's (`insight=`) or this user's (`user=`) feedback."""
    url = reverse("admin:feedback_insightfeedback_changelist")
    return format_html('<a href="{}?{}" class="link">{}</a>', url, urlencode(wanted), text)


@admin.register(InsightFeedback)
class InsightFeedbackAdmin(LargeTableAdmin):
    list_display = ["created", "insight", "user", "stars", "flag", "words"]
    list_filter = [TimeFilter, FlagFilter, RatingFilter, CommentFilter, InsightFilter, UserFilter]
    keyset_order = ("-created_at", "-id")
    sortable_by = ("created_at",)
    search_fields = ["insight_id", "user_id"]
    search_help_text = "Insight, user or feedback id"
    empty_text = "Feedback appears when users of the platform rate, comment on or flag an insight."
    export_fields = (
        "id", "insight_id", "user_id", "rating", "comment", "flag_type", "flag_reason", "created_at", "updated_at",
    )  # fmt: skip
    fieldsets = [
        (None, {"fields": [("all_of_insight", "all_of_user"), ("stars", "flag")]}),
        ("Words", {"fields": ["comment_text", "reason_text"]}),
        ("Times (UTC)", {"fields": [("created", "updated"), "id"]}),
    ]
    readonly_fields = [
        "all_of_insight", "all_of_user", "stars", "flag", "comment_text", "reason_text", "created", "updated",
    ]  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[InsightFeedback], search_term: str
    ) -> tuple[QuerySet[InsightFeedback], bool]:
        text = search_term.strip()
        if not text:
            return queryset, False
        wanted = Q(insight_id=text) | Q(user_id=text)
        with suppress(ValueError):
            wanted |= Q(pk=uuid.UUID(text))
        return queryset.filter(wanted), False

    @display(description="written", ordering="created_at")
    def created(self, row: InsightFeedback) -> SafeString | str:
        return show.moment(row.created_at)

    @display(description="updated")
    def updated(self, row: InsightFeedback) -> SafeString | str:
        return show.moment(row.updated_at)

    @display(description="insight")
    def insight(self, row: InsightFeedback) -> SafeString:
        return feedback_link(row.insight_id, insight=row.insight_id)

    @display(description="user")
    def user(self, row: InsightFeedback) -> SafeString:
        return feedback_link(row.user_id, user=row.user_id)

    @display(description="insight")
    def all_of_insight(self, row: InsightFeedback) -> SafeString:
        # An id may be empty in SQL; such an insight has no page.
        page = row.insight_id and format_html(
            '<a href="{}" class="link">{}</a>', reverse("insight", args=[row.insight_id]), row.insight_id
        )
        return format_html("{} · {}", page, feedback_link("all feedback on it", insight=row.insight_id))

    @display(description="user")
    def all_of_user(self, row: InsightFeedback) -> SafeString:
        return format_html("{} · {}", row.user_id, feedback_link("all feedback from them", user=row.user_id))

    @display(description="rating")
    def stars(self, row: InsightFeedback) -> SafeString | str:
        return show.stars(row.rating)

    @display(description="flag")
    def flag(self, row: InsightFeedback) -> SafeString | str:
        if row.flag_type is None:
            return "–"
        word = row.flag_label
        label = word if word != "other" else f"other: {row.flag_type}"
        return show.badge(label, FLAG_TONES[word])

    @display(description="comment or reason")
    def words(self, row: InsightFeedback) -> SafeString | str:
        text = row.comment or row.flag_reason or ""
        return format_html('<span class="words" title="{}">{}</span>', text, text[:140]) if text else "–"

    @display(description="comment")
    def comment_text(self, row: InsightFeedback) -> str:
        return row.comment or "none"

    @display(description="flag reason")
    def reason_text(self, row: InsightFeedback) -> str:
        return row.flag_reason or "none"
