"""The chart page, the data behind it, and the rows behind the data."""

import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views import View

from metrics import catalogue
from metrics.annotations import archived
from metrics.charts import COMPARE, ChartWish, chart_data
from metrics.models import SystemMetric
from metrics.overview import overview
from metrics.rollup_aggregate import Limit
from utxoiq_admin.core.admin import EXPORT_LIMIT
from utxoiq_admin.core.csv_export import keyset_rows, stream_csv
from utxoiq_admin.core.pages import Page
from utxoiq_admin.core.time_range import InvalidRange, parse_moment

PERMISSION = "metrics.view_systemmetric"
MOST_NAMES = 200
PRESETS = ("15m", "1h", "6h", "24h", "7d", "30d", "90d", "1y")
# What main.js imports, fetched beside it and not one after the other.
MODULES = (
    "annotations", "dom", "exports", "keys", "legend", "loader", "marks", "page", "panels", "picker", "plot", "ranges",
    "state", "table", "time", "toolbar", "tooltip", "units", "views",
)  # fmt: skip
ROW_FIELDS = ("timestamp", "service_name", "metric_type", "metric_value", "unit", "metric_metadata", "id")


class ChartsPage(Page):
    """The page's frame; everything chosen on it stands in the address, which the browser reads."""

    title = "Metric charts"
    template_name = "metrics/charts.html"
    permission_required = PERMISSION

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = timezone.now()
        services = catalogue.services()
        return super().get_context_data(
            services=services,
            presets=PRESETS,
            modules=[static(f"js/charts/{name}.js") for name in MODULES],
            setup=self._setup(services, now),
            **kwargs,
        )

    def _setup(self, services: list[catalogue.Service], now: datetime) -> dict[str, Any]:
        chosen = any(self.request.GET.get(key) for key in ("service", "type"))
        return {
            "now": now.timestamp(),
            "user": self.request.user.pk,
            "services": [
                {"name": s.name, "last": s.last.timestamp(), "gone": s.gone(now), "kinds": s.kinds}
                for s in services
            ],
            "worst": "" if not services or chosen else _worst(now),
            "presets": list(PRESETS),
            "export_limit": EXPORT_LIMIT,
            "urls": {
                name: _address(address)
                for name, address in (
                    ("data", "chart-data"),
                    ("rows", "chart-rows"),
                    ("views", "chart-views"),
                    ("annotations", "chart-annotations"),
                )
            },
        }


def _address(name: str) -> str:
    """The page's address, "" where nobody offers it: marks and reasons come from a floor above."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def _worst(now: datetime) -> str:
    """The service that looks worst: what a page opens on with nothing chosen."""
    return next((state.service.name for state in overview(now)), "")


class Data(LoginRequiredMixin, PermissionRequiredMixin, View):
    """Answers about series in a range. A visitor without rights is answered 403, not sent to sign in."""

    permission_required = PERMISSION
    raise_exception = True

    def get(self, request: HttpRequest) -> HttpResponseBase:
        try:
            return self.answer(request, *_names_and_range(request))
        except (InvalidRange, Limit) as error:
            return JsonResponse({"error": str(error), "url": getattr(error, "url", "")}, status=422)

    def answer(
        self, request: HttpRequest, services: tuple[str, ...], types: tuple[str, ...], *bounds: datetime
    ) -> HttpResponseBase:
        raise NotImplementedError


def _names_and_range(request: HttpRequest) -> tuple[tuple[str, ...], tuple[str, ...], datetime, datetime]:
    """Services, types, start <= t < end. Raises Limit and InvalidRange."""
    services, types = (tuple(dict.fromkeys(request.GET.getlist(key))) for key in ("service", "type"))
    if not services or not types or not all(name and "\0" not in name for name in services + types):
        raise Limit("service", "Name at least one service and one metric type.")
    if len(services) * len(types) > MOST_NAMES:
        raise Limit("service", f"Services times types may be at most {MOST_NAMES}. Choose fewer.")
    start, end = (parse_moment(request.GET.get(key, "")) for key in ("start", "end"))
    if start >= end:
        raise InvalidRange("The range ends before it starts.")
    return services, types, start, end


class ChartDataView(Data):
    """JSON of all series of a page: columns over one time axis. Server-Timing says what answering took."""

    def answer(
        self, request: HttpRequest, services: tuple[str, ...], types: tuple[str, ...], *bounds: datetime
    ) -> HttpResponse:
        begun, now = time.perf_counter(), timezone.now()
        compare = request.GET.get("compare", "")
        if compare and compare != "previous" and compare not in COMPARE:
            raise Limit("compare", f"Compare with previous, {' or '.join(COMPARE)}.")
        wish = ChartWish(
            services=services,
            types=types,
            start=bounds[0],
            end=bounds[1],
            percentiles=request.GET.get("percentiles") == "1",
            by_instance=request.GET.get("by") == "instance",
            compare=compare,
        )
        body = chart_data(wish, now=now)
        # The body may come from the cache; what the server's clock says may not.
        answer = HttpResponse(
            b'{"now":%.3f,%b' % (now.timestamp(), body[1:]), content_type="application/json"
        )
        answer["Server-Timing"] = f"app;dur={(time.perf_counter() - begun) * 1000:.1f}"
        answer["Cache-Control"] = "no-store"
        return answer


class ChartRowsView(Data):
    """CSV of the raw rows behind the charts, newest first, times in the zone that the page shows."""

    def answer(
        self, request: HttpRequest, services: tuple[str, ...], types: tuple[str, ...], *bounds: datetime
    ) -> HttpResponseBase:
        name = request.GET.get("zone") or "UTC"
        zone = _zone(name)
        found = SystemMetric.objects.between(*bounds).filter(service_name__in=services, metric_type__in=types)
        rows = keyset_rows(found, order=("-timestamp", "-id"), fields=ROW_FIELDS)
        local = ((moment.astimezone(zone), *rest) for moment, *rest in rows)
        header = (f"timestamp ({name})", *ROW_FIELDS[1:])
        left = archived(bounds[0], bounds[1], now=timezone.now())
        where = request.build_absolute_uri(left.url) if left and left.url else ""
        note = (
            f"{left.text}, from {max(left.start, bounds[0]):%Y-%m-%d %H:%M} UTC on: {where}" if left else ""
        )
        return stream_csv("metrics", header, local, limit=EXPORT_LIMIT, note=note)


def _zone(name: str) -> ZoneInfo:
    """The time zone of this IANA name. Raises InvalidRange."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not known; not a name; a folder's name
        raise InvalidRange(f"“{name[:40]}” is no time zone.") from None
