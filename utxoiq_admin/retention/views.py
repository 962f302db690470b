"""The page of retention: what is kept where, the runs, and the buttons of those who run them."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views import View

from utxoiq_admin.core.display import utc
from utxoiq_admin.core.pages import Page
from utxoiq_admin.retention import health, own, runs, storage
from utxoiq_admin.retention.figures import kept
from utxoiq_admin.retention.models import Run
from utxoiq_admin.retention.preview import preview

RECENT = 15
LONGEST_PAUSE = timedelta(days=31)


def next_night(now: datetime) -> datetime:
    """When the schedule starts the next run, unless it is paused."""
    return runs.last_night(now) + timedelta(days=1)


class RetentionPage(Page):
    title = "Retention"
    template_name = "retention/retention.html"
    permission_required = "retention.view_run"

    def get_template_names(self) -> list[str]:
        return ["retention/retention_live.html"] if "live" in self.request.GET else [self.template_name]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = timezone.now()
        runs.mark_crashed()
        latest = list(Run.objects.prefetch_related("figures")[:RECENT])
        return super().get_context_data(
            now=now,
            next_night=next_night(now),
            pause=runs.current_pause(),
            last_success=health.last_success(),
            kept=kept(now),
            own=[*own.OWN, *own.ELSEWHERE],
            runs=latest,
            current=next((run for run in latest if run.open), None),
            place=storage.place(),
            **kwargs,
        )


class PreviewPage(Page):
    """What a run would do now, and the button that starts it."""

    title = "Preview of a retention run"
    template_name = "retention/preview.html"
    permission_required = "retention.add_run"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        tables = preview(now=timezone.now())
        return super().get_context_data(
            tables=tables, does_something=any(each.does_something for each in tables), **kwargs
        )


class Action(LoginRequiredMixin, PermissionRequiredMixin, View):
    """Something posted from the page; it answers with a message on it."""

    raise_exception = True
    http_method_names = ["post"]

    def handle_no_permission(self) -> Any:
        self.raise_exception = self.request.user.is_authenticated
        return super().handle_no_permission()


class StartRun(Action):
    permission_required = "retention.add_run"

    def post(self, request: HttpRequest) -> HttpResponse:
        run, new = runs.request(trigger=Run.Trigger.PAGE, by=request.user.get_username())
        if new:
            messages.success(request, "The run was started; this page shows how it goes.")
        else:
            messages.info(request, f"A run is {run.state} already; no other was started.")
        return redirect("retention")


class StopRun(Action):
    permission_required = "retention.change_run"

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        if runs.stop(run=get_object_or_404(Run, pk=pk), by=request.user.get_username()):
            messages.success(
                request, "The run stops before its next step. What it did stays; nothing is lost."
            )
        else:
            messages.info(request, "The run had ended already.")
        return redirect("retention")


class PauseNights(Action):
    permission_required = "retention.change_run"

    def post(self, request: HttpRequest) -> HttpResponse:
        now = timezone.now()
        try:
            until = datetime.fromisoformat(request.POST.get("until", "") + "+00:00")
        except ValueError:
            messages.error(request, "Nothing was paused: choose a date and a time.")
            return redirect("retention")
        if not now < until <= now + LONGEST_PAUSE:
            messages.error(
                request, f"Nothing was paused: a pause ends within {LONGEST_PAUSE.days} days from now."
            )
            return redirect("retention")
        reason = request.POST.get("reason", "").replace("\0", "").strip()[:200]
        runs.pause(until=until, by=request.user.get_username(), reason=reason)
        messages.success(request, f"Nights are skipped until {utc(until)} UTC.")
        return redirect("retention")


class ResumeNights(Action):
    permission_required = "retention.change_run"

    def post(self, request: HttpRequest) -> HttpResponse:
        runs.resume(by=request.user.get_username())
        messages.success(request, "The pause is over; the next night runs.")
        return redirect("retention")
