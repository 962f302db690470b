"""The first page: the worst thing first, then what is fine with its age, then what runs."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from backfill.health import job_checks
from backfill.listing import worst_first as worst_jobs_first
from backfill.models import BackfillJob
from feedback.waiting import waiting
from metrics.health import partition_check, rollup_check, service_checks
from metrics.overview import MAIN, State, Verdict, overview
from metrics.overview_rows import row_of
from utxoiq_admin.core.health import Check, Level, worst_first
from utxoiq_admin.core.liveness import process_checks, server_checks
from utxoiq_admin.core.pages import Page
from utxoiq_admin.retention.health import retention_check

# What the platform's description promises and nothing here does yet.
NOT_SET_UP = ("alerts", "backup")
SHOWN = 6


def checks_for(request: HttpRequest, services: list[State], now: datetime) -> list[Check]:
    """Every named check that this visitor may know of, the worst first."""
    may = request.user.has_perm
    checks = [*process_checks(now), *server_checks()]
    if may("metrics.view_systemmetric"):
        checks += [*service_checks(services, now), partition_check(now), rollup_check(now)]
    if may("backfill.view_backfilljob"):
        checks += job_checks(now)
    if may("retention.view_run"):
        checks.append(retention_check(now))
    return worst_first(checks)


class HomePage(Page):
    title = "Home"
    template_name = "home.html"
    permission_required = ()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated and not request.user.get_all_permissions():
            raise PermissionDenied("Your account has no group yet.")
        return LoginRequiredMixin.dispatch(self, request, *args, **kwargs)

    def get_template_names(self) -> list[str]:
        return ["home_live.html"] if "live" in self.request.GET else [self.template_name]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may, now = self.request.user.has_perm, timezone.now()
        services = overview(now) if may("metrics.view_systemmetric") else []
        checks = checks_for(self.request, services, now)
        problems = [check for check in checks if check.level >= Level.UNKNOWN]
        context: dict[str, Any] = {
            "now": now,
            "banner_in_page": True,
            "problems": problems,
            "fine": [check for check in checks if check.level == Level.OK],
            "not_set_up": NOT_SET_UP,
            "flag_threshold": settings.FLAG_THRESHOLD,
            "service_rows": [
                (row := row_of(state, now), row.cell("cpu"), [row.cell(name) for name in MAIN])
                for state in services
                if state.verdict <= Verdict.WELL
            ],
            "gone": [state.service for state in services if state.verdict > Verdict.WELL],
            "columns": [name.replace("_", " ") for name in MAIN],
        }
        if may("feedback.view_insightfeedback"):
            context["review"] = waiting(SHOWN)
        if may("backfill.view_backfilljob"):
            running = BackfillJob.objects.running()
            context |= {"jobs": worst_jobs_first(running)[:SHOWN], "jobs_count": running.count()}
        return super().get_context_data(**context, **kwargs)
