"""The pages that change something: each asks first, says what will happen, and does it by POST."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from backfill import coverage, services
from backfill.fields import size
from backfill.forms import ChosenForm, StartForm
from backfill.models import BackfillJob
from backfill.overlaps import Overlap, overlapping
from backfill.services import BadRange, JobNotFound, NothingMissing, Wish, WrongState
from backfill.standing import standing_of
from backfill.views import OPERATE
from backfill.words import JobRow, range_text, ranges_text
from utxoiq_admin.core.pages import Page

MOST = 100  # jobs in one action
REFUSALS = (WrongState, JobNotFound, Overlap, NothingMissing, BadRange)


@dataclass(frozen=True)
class Verb:
    """One thing that can be done to chosen jobs: the words of its page, and the service that does it."""

    ask: str
    what: str
    past: str
    does: Callable[..., BackfillJob]


def _retry(*, job_id: UUID, actor: str, why: str) -> BackfillJob:
    return services.job_retry(job_id=job_id, actor=actor, created_by=actor, why=why)


VERBS = {
    "pause": Verb(
        "Pause",
        "Its worker is told at its next report, and waits from then on. What it does until then counts.",
        "paused",
        services.job_pause,
    ),
    "resume": Verb(
        "Resume",
        "It goes on where it stood: with its worker, if that still calls, else with the next one that claims it.",
        "resumed",
        services.job_resume,
    ),
    "cancel": Verb(
        "Cancel",
        "It ends for good, as failed with your reason. Its worker is told to stop at its next report; the job's page "
        "says when it heard. What is done stays done.",
        "cancelled",
        services.job_cancel,
    ),
    "retry": Verb(
        "Retry",
        "A new job is started for the blocks of it that nobody has done. It waits for a worker to claim it.",
        "retried",
        _retry,
    ),
}


class ActionPage(Page):
    """Pause, resume, cancel or retry the jobs named in the address."""

    template_name = "backfill/action.html"
    permission_required = OPERATE

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if kwargs["verb"] not in VERBS:
            raise Http404("There is no such action.")
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        verb = VERBS[self.kwargs["verb"]]
        ids = self.request.GET.getlist("job")[:MOST]
        form = ChosenForm({"job": ids})
        chosen = list(form.cleaned_data["job"]) if form.is_valid() else []
        rows = [JobRow(each) for each in standing_of(chosen)]
        self.title = f"{verb.ask} {len(rows)} job{'' if len(rows) == 1 else 's'}?"
        return super().get_context_data(
            action=verb,
            rows=rows,
            back=_back([row.job for row in rows]),
            **kwargs,
        )

    def post(self, request: HttpRequest, verb: str) -> HttpResponse:
        form = ChosenForm(request.POST)
        if not form.is_valid():
            messages.error(request, "Nothing was changed: choose jobs that are still in the table.")
            return HttpResponseRedirect(reverse("jobs"))
        jobs = list(form.cleaned_data["job"])[:MOST]
        made: BackfillJob | None = None
        for job in jobs:
            made = self._act(VERBS[verb], job, form.cleaned_data)
        shown = [made] if made and len(jobs) == 1 else jobs
        return HttpResponseRedirect(_back(shown))

    def _act(self, verb: Verb, job: BackfillJob, values: dict[str, Any]) -> BackfillJob | None:
        """The job it left behind: the same, or the new one of a retry. None where it was refused."""
        options = {"allow_overlap": True} if values["overlap"] and verb.past == "resumed" else {}
        try:
            done = verb.does(
                job_id=job.pk, actor=self.request.user.get_username(), why=values["why"], **options
            )
        except REFUSALS as error:
            messages.error(self.request, f"{job} was not {verb.past}: {error}")
            return None
        more = f" Job {done} waits for a worker." if done.pk != job.pk else ""
        messages.success(self.request, f"{job} is {verb.past}.{more}")
        return done


def _back(jobs: list[BackfillJob]) -> str:
    return reverse("job", args=[jobs[0].pk]) if len(jobs) == 1 else reverse("jobs")


class StartPage(Page):
    """Look at a range, then start it: whole, or only what of it is missing."""

    title = "Start a job"
    template_name = "backfill/start.html"
    permission_required = OPERATE

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = {name: self.request.GET.get(name, "") for name in ("type", "first", "last", "why")}
        form = StartForm(asked if asked["type"] or asked["first"] or asked["last"] else None)
        preview = _preview(form.cleaned_data) if form.is_bound and form.is_valid() else None
        return super().get_context_data(
            form=form, asked=asked, types=BackfillJob.objects.types(), preview=preview, **kwargs
        )

    def post(self, request: HttpRequest) -> HttpResponse:
        form = StartForm(request.POST)
        if not form.is_valid():
            messages.error(
                request, "Nothing was started: " + " ".join(form.errors.as_text().split("*")).strip()
            )
            return HttpResponseRedirect(reverse("job-start"))
        values, who = form.cleaned_data, request.user.get_username()
        wish = Wish(values["type"], values["first"], values["last"], who, who, values["why"], waits=True)
        try:
            jobs = self._start(wish, request.POST.get("mode", ""))
        except REFUSALS as error:
            messages.error(request, f"Nothing was started. {error}")
            return HttpResponseRedirect(f"{reverse('job-start')}?{_query(wish)}")
        count = f"{len(jobs)} jobs wait" if len(jobs) > 1 else f"Job {jobs[0]} waits"
        messages.success(request, f"{count} for a worker.")
        return HttpResponseRedirect(_back(jobs))

    def _start(self, wish: Wish, mode: str) -> list[BackfillJob]:
        if mode == "missing":
            return services.job_start_missing(wish=wish)
        return [services.job_start(wish=wish, allow_overlap=mode == "overlap")]


def _query(wish: Wish) -> str:
    return urlencode(
        {"type": wish.job_type, "first": wish.start_block, "last": wish.end_block, "why": wish.why}
    )


def _preview(values: dict[str, Any]) -> dict[str, Any]:
    """What would happen: blocks, jobs in the way, and what nobody has done or is doing."""
    kind, first, last = values["type"], values["first"], values["last"]
    overlaps = [JobRow(each) for each in standing_of(overlapping(kind, first, last))]
    pieces = coverage.unclaimed(kind, first, last)
    return {
        "values": values,
        "range": range_text(first, last),
        "blocks": last - first + 1,
        "overlaps": overlaps,
        "missing": size(pieces),
        "pieces": min(len(pieces), services.MAX_PIECES),
        "pieces_all": len(pieces),
        "pieces_text": ranges_text(pieces),
        "whole_is_missing": size(pieces) == last - first + 1,
        "known_type": kind in BackfillJob.objects.types(),
    }
