"""The list of insights, one insight, and the list as a file."""

from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views import View

from feedback import figures, insights
from feedback.figures import LEAST_RATINGS, ORDERS, Figures, Order
from feedback.models import InsightFigures, InsightReview
from feedback.queue_item import decisions_of
from utxoiq_admin.core.admin import EXPORT_LIMIT, NOT_UNDERSTOOD, PAGE_SIZE, bounded_count
from utxoiq_admin.core.csv_export import BATCH, stream_csv
from utxoiq_admin.core.cursors import InvalidCursor
from utxoiq_admin.core.cursors import Page as Found
from utxoiq_admin.core.display import count_text
from utxoiq_admin.core.pages import Page

PERMISSION = "feedback.view_insightfeedback"
DEFAULT_LEAST = 5  # an average of fewer ratings says little
COLUMNS = {
    "ratings": "ratings",
    "average": "average",
    "comments": "comments",
    "flags": "flags that stand",
    "last_at": "last said",
    "decided_at": "last decision",
}
EXPORTED = (
    "insight_id",
    "users",
    "ratings",
    "average",
    "comments",
    "flags",
    "last_at",
    "last_verdict",
    "decided_at",
)


class NotUnderstood(ValueError):
    """The address asks for an order that the list does not have."""


def requested_order(request: HttpRequest) -> Order:
    """`?sort=flags` has the smallest first, `?sort=-flags` the largest. Raises NotUnderstood."""
    sort = request.GET.get("sort", "-last_at")
    least = request.GET.get("least", str(DEFAULT_LEAST))
    by = sort.removeprefix("-")
    if by not in ORDERS or least not in map(str, LEAST_RATINGS):
        raise NotUnderstood(sort)
    return Order(by, sort.startswith("-"), int(least))


def _query(order: Order, **more: str) -> str:
    sort = f"-{order.by}" if order.descending else order.by
    least = {"least": str(order.least_ratings)} if order.by == "average" else {}
    return "?" + urlencode({"sort": sort, **least, **more})


class InsightsPage(Page):
    title = "Insights"
    template_name = "feedback/insights.html"
    permission_required = PERMISSION

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """An id that is known leads straight to its page."""
        text = request.GET.get("q", "").strip()
        if text and "\0" not in text and figures.known([text]):
            return HttpResponseRedirect(reverse("insight", args=[text]))
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        get = self.request.GET
        text = get.get("q", "").strip()[:300]
        try:
            if "\0" in text:
                raise NotUnderstood(text)
            order = requested_order(self.request)
            found = self._found(order, text)
        except (InvalidCursor, NotUnderstood):
            messages.warning(self.request, NOT_UNDERSTOOD)
            text, order = "", Order()
            found = self._found(order, "", anywhere=False)
        return super().get_context_data(
            rows=insights.search(text) if text else insights.rows(found.rows),
            query=text,
            order=order,
            headers=[self._header(name, title, order) for name, title in COLUMNS.items()],
            least_choices=[(n, _query(Order("average", order.descending, n))) for n in LEAST_RATINGS],
            count=self._count(found, order) if not text else "",
            next_url=_query(order, after=found.next) if found.next else "",
            previous_url=_query(order, before=found.prev) if found.prev else "",
            first_url=_query(order) if found.prev else "",
            export_url=reverse("insights_export") + _query(order),
            **kwargs,
        )

    def _found(self, order: Order, text: str, *, anywhere: bool = True) -> Found[Figures]:
        if text:
            return Found([], None, None)
        before = self.request.GET.get("before") if anywhere else None
        after = self.request.GET.get("after") if anywhere else None
        return figures.listed(
            order=order, cursor=before or after, direction="prev" if before else "next", size=PAGE_SIZE
        )

    def _count(self, found: Found[Figures], order: Order) -> str:
        if not (found.next or found.prev):
            count, exact = len(found.rows), True
        else:
            counted: QuerySet[Any] = InsightFigures.objects.all()
            if order.by == "decided_at":
                counted = InsightReview.objects.filter(decided_at__isnull=False)
            if order.by == "average":
                counted = counted.filter(ratings__gte=order.least_ratings)
            count, exact = bounded_count(counted)
        return f"{count_text(count, exact=exact)} insight{'' if count == 1 else 's'}"

    def _header(self, name: str, title: str, order: Order) -> dict[str, Any]:
        """A click sorts the largest first, another one turns that round."""
        chosen = order.by == name
        descending = not (chosen and order.descending)
        least = order.least_ratings if order.by == "average" else DEFAULT_LEAST
        return {
            "title": title,
            "url": _query(Order(name, descending, least)),
            "sorted": ("descending" if order.descending else "ascending") if chosen else "",
        }


class InsightsExport(LoginRequiredMixin, PermissionRequiredMixin, View):
    """CSV of the list in its order, up to EXPORT_LIMIT rows."""

    permission_required = PERMISSION

    def get(self, request: HttpRequest) -> HttpResponseBase:
        try:
            order = requested_order(request)
        except NotUnderstood:
            raise Http404(NOT_UNDERSTOOD) from None
        return stream_csv("insights", EXPORTED, _exported(order), limit=EXPORT_LIMIT)


def _exported(order: Order) -> Iterator[tuple[Any, ...]]:
    every = figures.every(order)
    while batch := list(islice(every, BATCH)):
        for row in insights.rows(batch):
            one, review = row.figures, row.review
            yield (
                one.insight_id, one.voices, one.ratings, one.average, one.comments, one.flags, one.last_at,
                review and review.last_verdict, review and review.decided_at,
            )  # fmt: skip


class InsightPage(Page):
    title = "Insight"
    template_name = "feedback/insight.html"
    permission_required = PERMISSION

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        insight_id = self.kwargs["insight_id"]
        if "\0" in insight_id or len(insight_id) > 100:
            raise Http404("An insight's id has at most 100 characters.")
        try:
            shown = insights.insight(insight_id, comments_cursor=self.request.GET.get("comments"))
        except InvalidCursor:
            messages.warning(self.request, NOT_UNDERSTOOD)
            shown = insights.insight(insight_id)
        feedback = reverse("admin:feedback_insightfeedback_changelist")
        return super().get_context_data(
            insight=shown,
            name=shown.text.headline if shown.text else insight_id,
            feedback_url=f"{feedback}?{urlencode({'q': insight_id})}",
            review=InsightReview.objects.filter(pk=insight_id).first(),
            decisions=decisions_of(insight_id),
            **kwargs,
        )
