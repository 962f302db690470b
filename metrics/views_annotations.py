"""Marks and explained gaps for the charts, as JSON."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views import View

from metrics.annotations import MAX_SERVICES, explained_gaps, marks_between
from metrics.reading import DAY
from metrics.rollup_aggregate import INTERVALS, LONGEST, MAX_POINTS, STEPS
from utxoiq_admin.core.time_range import InvalidRange, parse_moment


class AnnotationsView(LoginRequiredMixin, PermissionRequiredMixin, View):
    """`?start=&end=&step=&service=` (times in ISO 8601, `step` in seconds, `service` up to MAX_SERVICES times).

    Marks are those of all services; gaps those of the services named that buckets of `step` would show, by default
    those that a chart of the range has.
    """

    permission_required = "metrics.view_systemmetric"
    raise_exception = True

    def get(self, request: HttpRequest) -> JsonResponse:
        services = list(dict.fromkeys(request.GET.getlist("service")))
        try:
            start, end = (
                parse_moment(request.GET.get(key, "").replace(" ", "+")) for key in ("start", "end")
            )
            step = _step(request.GET.get("step", ""), end - start)
            if start >= end:
                raise InvalidRange("the range ends before it starts")
            if len(services) > MAX_SERVICES:
                raise InvalidRange(f"name at most {MAX_SERVICES} services")
            if any("\0" in name or len(name) > 100 for name in services):
                raise InvalidRange("no service has such a name")
        except InvalidRange as error:
            return JsonResponse({"error": f"{str(error)[:1].upper()}{str(error)[1:]}."}, status=422)
        marks, more = marks_between(start, end, may=request.user.has_perm)
        found = explained_gaps(services, start=start, end=end, step=step, now=timezone.now())
        return JsonResponse(
            {
                "marks": [{**vars(mark), "at": mark.at.isoformat()} for mark in marks],
                "older_marks_left_out": more,
                "gaps": [_gap(gap) for gap in found],
            }
        )


def _step(text: str, length: timedelta) -> int:
    """The width of buckets in seconds. Raises InvalidRange for one that no chart of this length has."""
    known = {step for _, step in STEPS} | set(INTERVALS.values())
    if text and (not text.isdecimal() or int(text) not in known):
        raise InvalidRange(f"“{text[:20]}” is no width of buckets")
    step = int(text) if text else next((step for longest, step in STEPS if length <= longest), DAY)
    # A range widened to whole buckets may be longer than the longest that can be asked for.
    if length > LONGEST + timedelta(seconds=2 * step):
        raise InvalidRange(f"a range may have at most {LONGEST.days} days")
    if length > (MAX_POINTS + 2) * timedelta(seconds=step):
        raise InvalidRange(f"a range may have at most {MAX_POINTS:,} buckets")
    return step


def _gap(gap: Any) -> dict[str, str]:
    return {**vars(gap), "start": gap.start.isoformat(), "end": gap.end.isoformat()}
