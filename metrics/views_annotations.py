"""Marks and explained gaps for the charts, as JSON."""

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views import View

from metrics.annotations import MAX_SERVICES, explained_gaps, marks_between
from metrics.rollup_aggregate import LONGEST, STEPS
from utxoiq_admin.core.time_range import InvalidRange, parse_moment


class AnnotationsView(LoginRequiredMixin, PermissionRequiredMixin, View):
    """`?start=&end=&service=` (times in ISO 8601, `service` up to MAX_SERVICES times).

    Marks are those of all services; gaps those of the services named, which the range's own buckets would show.
    """

    permission_required = "metrics.view_systemmetric"
    raise_exception = True

    def get(self, request: HttpRequest) -> JsonResponse:
        services = list(dict.fromkeys(request.GET.getlist("service")))
        try:
            start, end = (
                parse_moment(request.GET.get(key, "").replace(" ", "+")) for key in ("start", "end")
            )
            step = next((step for longest, step in STEPS if end - start <= longest), None)
            if start >= end:
                raise InvalidRange("the range ends before it starts")
            if step is None:
                raise InvalidRange(f"a range may have at most {LONGEST.days} days")
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


def _gap(gap: Any) -> dict[str, str]:
    return {**vars(gap), "start": gap.start.isoformat(), "end": gap.end.isoformat()}
