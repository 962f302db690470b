"""Two questions of the description as pages: who uses much, and what a service said at a moment."""

import math
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from metrics import catalogue
from metrics.annotations import archived
from metrics.models import SystemMetric
from metrics.usage import Usage, WindowTooLong, high_usage
from utxoiq_admin.core.display import quantity
from utxoiq_admin.core.pages import Page
from utxoiq_admin.core.time_range import PRESETS, InvalidRange, TimeRange, parse_moment, parse_range

VIEW = "metrics.view_systemmetric"
# The description's example: CPU above 80 in the last hour.
TYPE, ABOVE, WINDOW = "cpu", "80", "1h"
WITHIN = timedelta(minutes=5)
MAX_ROWS = 2_000


class HighUsagePage(Page):
    """`?type=&above=&range=` (or `from=&to=`): services whose average is above a threshold."""

    title = "High usage"
    template_name = "metrics/services_high.html"
    permission_required = VIEW

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        get = self.request.GET.get
        metric_type, above = get("type", "") or TYPE, get("above", "").strip() or ABOVE
        answer, rows, refusal = None, [], ""
        try:
            window = self._window()
            answer = high_usage(metric_type=_name(metric_type), threshold=_number(above), window=window)
            rows = [(each, _shown(each), _charts(each.service, metric_type, window)) for each in answer.above]
        except (InvalidRange, WindowTooLong, ValueError) as error:
            refusal = f"{str(error)[:1].upper()}{str(error)[1:]}"
        types = catalogue.type_names()
        return super().get_context_data(
            answer=answer,
            rows=rows,
            refusal=refusal,
            types=types if metric_type in types else [metric_type, *types],
            metric_type=metric_type,
            above=above,
            presets=[(name, label) for name, (label, _) in PRESETS.items()],
            range=get("range", "") or WINDOW,
            absolute={key: get(key, "") for key in ("from", "to")},
            **kwargs,
        )

    def _window(self) -> TimeRange:
        get = self.request.GET.get
        return parse_range(
            preset=get("range", ""),
            start=get("from", "").replace(" ", "+"),
            end=get("to", "").replace(" ", "+"),
            default=WINDOW,
            now=timezone.now(),
        )


def _name(text: str) -> str:
    if "\0" in text:
        raise ValueError("Nothing has such a name.")
    return text


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"“{text[:40]}” is no number: write the threshold like 80 or 0.5.")
    return number


def _shown(usage: Usage) -> list[str]:
    return [quantity(value, usage.unit) for value in (usage.average, usage.lowest, usage.highest)]


def _charts(service: str, metric_type: str, window: TimeRange) -> str:
    when = (
        {"range": window.preset}
        if window.preset
        else {"from": window.start.isoformat(), "to": window.end.isoformat()}
    )
    return f"{reverse('charts')}?{urlencode({'service': service, 'type': metric_type, **when})}"


class MomentPage(Page):
    """`?service=&at=` (and `nearest=1`): all that a service reported within five minutes of a moment."""

    title = "Point in time"
    template_name = "metrics/services_moment.html"
    permission_required = VIEW

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        get, now = self.request.GET.get, timezone.now()
        names = catalogue.service_names()
        service, text = get("service", "") or (names[0] if names else ""), get("at", "").strip()
        rows, refusal, at = [], "", now
        try:
            at = parse_moment(text.replace(" ", "+") if "T" in text else text) if text else now
            rows = list(
                SystemMetric.objects.around(service=_name(service), at=at, within=WITHIN)[: MAX_ROWS + 1]
            )
        except ValueError as error:
            refusal = f"{str(error)[:1].upper()}{str(error)[1:]}"
        shown = _with_distance(rows[:MAX_ROWS], at)
        nearest_only = get("nearest", "") == "1"
        return super().get_context_data(
            names=names if service in names or not service else [service, *names],
            service=service,
            at=at,
            text=text,
            refusal=refusal,
            rows=[row for row in shown if row["nearest"]] if nearest_only else shown,
            types=len({row["metric"].metric_type for row in shown}),
            found=len(shown),
            more=len(rows) > MAX_ROWS,
            nearest_only=nearest_only,
            archived=None if rows else archived(at - WITHIN, at + WITHIN, now=now),
            links=self._links(service, at),
            **kwargs,
        )

    def _links(self, service: str, at: datetime) -> dict[str, str]:
        """Addresses of the neighbouring moments, of this one with the other choice of rows, and of its chart."""

        def here(**changes: str) -> str:
            wanted = {"service": service, "at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
            if self.request.GET.get("nearest") == "1":
                wanted["nearest"] = "1"
            return f"?{urlencode({key: value for key, value in {**wanted, **changes}.items() if value})}"

        around = {"from": (at - WITHIN).isoformat(), "to": (at + WITHIN).isoformat()}
        return {
            "earlier": here(at=f"{at - 2 * WITHIN:%Y-%m-%dT%H:%M:%SZ}"),
            "later": here(at=f"{at + 2 * WITHIN:%Y-%m-%dT%H:%M:%SZ}"),
            "all": here(nearest=""),
            "nearest": here(nearest="1"),
            "charts": f"{reverse('charts')}?{urlencode({'service': service, **around})}",
            "list": f"{reverse('admin:metrics_systemmetric_changelist')}?{urlencode({'service': service, **around})}",
        }


def _with_distance(rows: list[SystemMetric], at: datetime) -> list[dict[str, Any]]:
    """Each row with its distance from the moment, and whether it is the nearest of its type and instance."""
    nearest: dict[tuple[str, str, str], SystemMetric] = {}
    for row in rows:
        key = (row.metric_type, row.unit, _instance(row))
        if key not in nearest or abs(row.timestamp - at) < abs(nearest[key].timestamp - at):
            nearest[key] = row
    chosen = {id(row) for row in nearest.values()}
    return [
        {
            "metric": row,
            "value": quantity(row.metric_value, row.unit),
            "offset": (row.timestamp - at).total_seconds(),
            "nearest": id(row) in chosen,
        }
        for row in rows
    ]


def _instance(row: SystemMetric) -> str:
    metadata = row.metric_metadata
    return str(metadata.get("instance_id", "")) if isinstance(metadata, dict) else ""
