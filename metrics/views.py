"""The chart page and the data behind it."""

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views import View

from metrics import catalogue
from metrics.charts import RangeTooLong, chart_data, step_for
from utxoiq_admin.core.pages import Page
from utxoiq_admin.core.time_range import PRESETS, InvalidRange, TimeRange, parse_range

DEFAULT_RANGE = "1h"
PERMISSION = "metrics.view_systemmetric"


def requested_range(request: HttpRequest) -> TimeRange:
    """The range in the address; raises InvalidRange or RangeTooLong."""
    get = request.GET.get
    chosen = parse_range(
        preset=get("range", ""),
        start=get("from", "").replace(" ", "+"),
        end=get("to", "").replace(" ", "+"),
        default=DEFAULT_RANGE,
        now=timezone.now(),
    )
    step_for(chosen.length)
    return chosen


def refusal(request: HttpRequest) -> str:
    """Why the range in the address cannot be drawn, or "": said once, rather than by each chart."""
    try:
        requested_range(request)
    except (InvalidRange, RangeTooLong) as error:
        return str(error)
    return ""


class ChartsPage(Page):
    title = "Metric charts"
    template_name = "metrics/charts.html"
    permission_required = PERMISSION

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        services = catalogue.services()
        service = self.request.GET.get("service") or (_first_choice(services).name if services else "")
        kinds = next((s.kinds for s in services if s.name == service), ())
        types = sorted({kind for kind, _ in kinds})
        wanted = self.request.GET.get("type", "")
        return super().get_context_data(
            services=[s.name for s in services],
            service=service,
            types=types if not wanted or wanted in types else [*types, wanted],
            metric_type=wanted,
            presets=[(name, label) for name, (label, _) in PRESETS.items()],
            range=self.request.GET.get("range", "") or DEFAULT_RANGE,
            refusal=refusal(self.request),
            absolute={key: self.request.GET.get(key, "") for key in ("from", "to")},
            **kwargs,
        )


def _first_choice(services: list[catalogue.Service]) -> catalogue.Service:
    """With nothing chosen: this machine, which always reports; else the service heard last."""
    return next((s for s in services if s.name == "host"), max(services, key=lambda s: s.last))


class ChartDataView(LoginRequiredMixin, PermissionRequiredMixin, View):
    """JSON of one service and type (or of each type of the service), columns ready for uPlot."""

    permission_required = PERMISSION
    raise_exception = True

    def get(self, request: HttpRequest) -> JsonResponse:
        service, metric_type = request.GET.get("service", ""), request.GET.get("type", "")
        if not service or not metric_type or "\0" in service + metric_type:
            return JsonResponse({"error": "Name a service and a metric type."}, status=422)
        now = timezone.now()
        try:
            data = chart_data(
                service=service, metric_type=metric_type, chosen=requested_range(request), now=now
            )
        except (InvalidRange, RangeTooLong) as error:
            return JsonResponse({"error": str(error)}, status=422)
        return JsonResponse({**data.as_json(), "fetched": now.timestamp()})
