"""Who decided what, and the figures of it: page, chart data, export. Moderators see their own, administrators all."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.utils import timezone
from django.views import View

from feedback import review_figures
from feedback.models import InsightReview, ReviewEvent
from feedback.queue_item import as_decisions
from feedback.review_models import Verdict
from feedback.review_texts import known_texts
from feedback.review_views import PERMISSION
from utxoiq_admin.core.csv_export import keyset_rows, stream_csv
from utxoiq_admin.core.cursors import InvalidCursor, page
from utxoiq_admin.core.pages import Page
from utxoiq_admin.core.schemas import is_storable
from utxoiq_admin.core.time_range import PRESETS, InvalidRange, TimeRange, parse_range

DEFAULT_RANGE = "30d"
ORDER = ("-id",)
SHOWN = 50
MOST_FLAGGED = 5
EXPORT_LIMIT = 100_000
EXPORTED = (
    "id", "at", "kind", "verdict", "insight_id", "moderator__username", "note", "waiting_since", "undoes_id",
    "flag_ids",
)  # fmt: skip


@dataclass(frozen=True)
class Filters:
    """What an address asks for; a value that no filter has counts as none."""

    range: TimeRange
    verdict: str
    moderator: str
    insight: str
    type: str = ""  # of a flag that the decision judged
    refusal: str = ""
    typed: tuple[str, str] = ("", "")  # from and to, as they stand in the address

    @classmethod
    def of(cls, request: HttpRequest) -> "Filters":
        def text(name: str) -> str:
            value = request.GET.get(name, "").strip()[:150]
            return value if is_storable(value) else ""

        now, refusal = timezone.now(), ""
        try:
            start, end = (text(name).replace(" +", "+") for name in ("from", "to"))
            moments = {"start": start, "end": end}
            chosen = parse_range(preset=text("range"), **moments, default=DEFAULT_RANGE, now=now)
        except InvalidRange as error:
            refusal = f"{error}. These are the last 30 days."
            chosen = parse_range(preset="", start="", end="", default=DEFAULT_RANGE, now=now)
        verdict = text("verdict") if text("verdict") in (*review_figures.COUNTED, *Verdict.values) else ""
        typed = (text("from"), text("to"))
        return cls(
            chosen, verdict, text("moderator"), text("insight"), text("type"), refusal=refusal, typed=typed
        )

    def rows(self, user: User) -> "QuerySet[ReviewEvent]":
        """The events that pass; of other moderators only for administrators."""
        found = ReviewEvent.objects.filter(at__gte=self.range.start, at__lt=self.range.end)
        found = review_figures.behind(found, verdict=self.verdict, flag_type=self.type)
        if self.insight:
            found = found.filter(insight_id=self.insight)
        if not user.is_superuser:
            return found.filter(moderator=user)
        return found.filter(moderator__username=self.moderator) if self.moderator else found


def query_of(request: HttpRequest, **changes: str | None) -> str:
    query = request.GET.copy()
    query.pop("after", None)
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = value
    return query.urlencode()


class HistoryPage(Page):
    title = "Decisions and figures"
    template_name = "feedback/review_history.html"
    permission_required = PERMISSION

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        assert isinstance(user, User)  # noqa: S101  (the page asks for a permission)
        filters = Filters.of(self.request)
        try:
            found = page(filters.rows(user), order=ORDER, cursor=self.request.GET.get("after"), size=SHOWN)
        except InvalidCursor:
            found = page(filters.rows(user), order=ORDER, cursor=None, size=SHOWN)
        events = list(found.rows)
        people = User.objects.in_bulk({event.moderator_id for event in events})
        for event in events:
            event.moderator = people[event.moderator_id]
        start, end = filters.range.start, filters.range.end
        person = None if user.is_superuser else user.pk
        flagged = list(
            InsightReview.objects.filter(state=InsightReview.State.WAITING).order_by("-unjudged")[
                :MOST_FLAGGED
            ]
        )
        texts = known_texts([*(e.insight_id for e in events), *(row.pk for row in flagged)])
        return super().get_context_data(
            filters=filters,
            decisions=[(each, texts.get(each.event.insight_id)) for each in as_decisions(events)],
            next=query_of(self.request, after=found.next) if found.next else "",
            export=query_of(self.request),
            without_type=query_of(self.request, type=None),
            data_query=query_of(self.request, verdict=None, moderator=None, insight=None, type=None),
            work=review_figures.work(start, end, person),
            types=review_figures.types(start, end, person),
            most_flagged=[(row, texts.get(row.pk)) for row in flagged],
            presets=[
                (query_of(self.request, range=name, **{"from": None, "to": None}), name, PRESETS[name][0])
                for name in ("24h", "7d", "30d", "90d")
            ],
            verdicts=[*review_figures.COUNTED.items(), *Verdict.choices],
            **kwargs,
        )


class HistoryDataView(LoginRequiredMixin, PermissionRequiredMixin, View):
    """JSON of the charts."""

    permission_required = PERMISSION

    def get(self, request: HttpRequest) -> JsonResponse:
        chosen = Filters.of(request).range
        bounds = {"start": chosen.start.timestamp(), "end": chosen.end.timestamp()}
        return JsonResponse(review_figures.charts(chosen.start, chosen.end) | bounds)


class HistoryExport(LoginRequiredMixin, PermissionRequiredMixin, View):
    """The rows that the filters show, as CSV."""

    permission_required = PERMISSION

    def get(self, request: HttpRequest) -> StreamingHttpResponse:
        assert isinstance(request.user, User)  # noqa: S101
        rows: Iterator[tuple[Any, ...]] = keyset_rows(
            Filters.of(request).rows(request.user), ORDER, EXPORTED, EXPORT_LIMIT + 1
        )
        cells = ((*row[:-1], " ".join(map(str, row[-1]))) for row in rows)
        return stream_csv("decisions", EXPORTED, cells, limit=EXPORT_LIMIT)
