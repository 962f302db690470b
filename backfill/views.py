"""The pages that show jobs and coverage; those that change something are in `actions`."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.http import Http404, HttpRequest, JsonResponse, StreamingHttpResponse
from django.utils import timezone
from django.views import View

from backfill import coverage, services
from backfill.bars import bar_of
from backfill.fields import size
from backfill.figures import figures
from backfill.listing import ENDED_STATES, OPEN_SHOWN, OPEN_STATES, Choice, every, listing
from backfill.models import BackfillJob, JobEvent
from backfill.standing import rates_over_time, standing_of
from backfill.words import JobRow, range_text, ranges_text, rate_text
from utxoiq_admin.core.csv_export import stream_csv
from utxoiq_admin.core.cursors import InvalidCursor
from utxoiq_admin.core.display import duration
from utxoiq_admin.core.pages import Page
from utxoiq_admin.core.sparkline import sparkline

PERMISSION = "backfill.view_backfilljob"
OPERATE = "backfill.operate_backfilljob"
MISSING_SHOWN = 12
NEIGHBOURS = 8
EXPORT_LIMIT = 100_000
EXPORTED = (
    "id", "job_type", "start_block", "end_block", "current_block", "state", "percent", "blocks_per_second",
    "started_at", "ended_at", "last_report", "started_by", "error",
)  # fmt: skip


class LivePage(Page):
    """A page whose part that changes is also served alone, at `?live=1`."""

    permission_required = PERMISSION
    live_template = ""

    def get_template_names(self) -> list[str]:
        return [self.live_template if "live" in self.request.GET else str(self.template_name)]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query = self.request.GET.copy()
        query["live"] = "1"
        return super().get_context_data(
            may_operate=self.request.user.has_perm(OPERATE),
            now=timezone.now(),
            live=f"?{query.urlencode()}",
            **kwargs,
        )


def _choice(request: HttpRequest) -> tuple[dict[str, str], Choice]:
    get = {name: str(value).replace("\0", "") for name, value in request.GET.items()}
    return get, Choice(get.get("type", ""), get.get("state", ""), get.get("q", "").strip())


class JobsExport(LoginRequiredMixin, PermissionRequiredMixin, View):
    """CSV of the jobs that the list's filters keep, with their verdicts at this moment."""

    permission_required = PERMISSION

    def get(self, request: HttpRequest) -> StreamingHttpResponse:
        rows = map(_exported, every(_choice(request)[1]))
        return stream_csv("jobs", EXPORTED, rows, limit=EXPORT_LIMIT)


def _exported(row: JobRow) -> tuple[Any, ...]:
    job, standing = row.job, row.standing
    return (
        job.pk, job.job_type, job.start_block, job.end_block, job.current_block, row.state, job.share,
        standing.rate_whole, job.started_at, standing.work.ended_at, standing.work.reported_at, job.created_by,
        job.error_message,
    )  # fmt: skip


class JobsPage(LivePage):
    title = "Backfill jobs"
    template_name = "backfill/jobs.html"
    live_template = "backfill/jobs_live.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        get, choice = _choice(self.request)
        after, before = get.get("after"), get.get("before")
        now = timezone.now()
        try:
            found = listing(choice, cursor=before or after, direction="prev" if before else "next", now=now)
        except InvalidCursor as error:
            raise Http404(str(error)) from None
        kept = {name: get[name] for name in ("type", "state", "q") if get.get(name)}
        whole = not (after or before or choice.text)
        return super().get_context_data(
            found=found,
            choice=choice,
            types=BackfillJob.objects.types(),
            states=[state.value for state in (*OPEN_STATES, *ENDED_STATES)],
            kept=kept,
            export_query=urlencode(kept),
            open_shown=OPEN_SHOWN,
            next_url=_url(kept, after=found.next),
            previous_url=_url(kept, before=found.prev),
            finished=[_finished(one) for one in figures(now)] if whole and "live" not in get else [],
            **kwargs,
        )


def _url(kept: dict[str, str], **cursor: str | None) -> str:
    ((_, place),) = cursor.items()
    return "?" + urlencode({**kept, **cursor}) if place else ""


def _finished(one: Any) -> dict[str, Any]:
    newest = one.newest
    return {
        "type": one.job_type,
        "outcomes": [(name, one.total(name)) for name in ("completed", "failed", "cancelled")],
        "took": duration(timedelta(seconds=newest.seconds)) if newest.seconds else "–",
        "rate": rate_text(newest.rate),
        "took_trend": sparkline(
            [week.seconds for week in one.weeks], label=f"duration of {one.job_type}, by week"
        ),
        "rate_trend": sparkline([week.rate for week in one.weeks], label=f"rate of {one.job_type}, by week"),
    }


class JobPage(LivePage):
    title = "Backfill job"
    template_name = "backfill/job.html"
    live_template = "backfill/job_live.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        try:
            job = services.job_found(self.kwargs["job_id"])
        except services.JobNotFound as error:
            raise Http404(str(error)) from None
        (standing,) = standing_of([job])
        failed = coverage.failed_of(job.pk)
        ended = not JobRow(standing).is_open
        missing = coverage.missing(job.job_type, job.start_block, job.end_block) if ended else []
        self.title = f"Job {job.job_type} {range_text(job.start_block, job.end_block)}"
        return super().get_context_data(
            row=JobRow(standing),
            job=job,
            work=standing.work,
            verdict=standing.verdict,
            usual_rate=rate_text(standing.pace.usual),
            usual_interval=standing.pace.interval if standing.pace.legs else None,
            failed=ranges_text(failed),
            failed_count=size(failed),
            missing=ranges_text(missing),
            missing_count=size(missing),
            verbs=_verbs(job, missing=bool(missing)),
            events=JobEvent.objects.filter(job_id=job.pk).order_by("-at", "-id")[:100],
            neighbours=[JobRow(each) for each in standing_of(_neighbours(job))],
            command=f"python examples/backfill_worker.py {job.job_type} …",
            **kwargs,
        )


def _verbs(job: BackfillJob, *, missing: bool) -> list[str]:
    """What an operator can do with it now."""
    if job.status == BackfillJob.Status.RUNNING:
        return ["pause", "cancel"]
    if job.status == BackfillJob.Status.PAUSED:
        return ["resume", "cancel"]
    return ["retry"] if missing else []


def _neighbours(job: BackfillJob) -> list[BackfillJob]:
    """Jobs of its type that share blocks with it, and the ones next to it on either side."""
    same = BackfillJob.objects.filter(job_type=job.job_type).exclude(pk=job.pk)
    sharing = BackfillJob.objects.sharing(job.job_type, job.start_block, job.end_block).exclude(pk=job.pk)
    below = same.filter(end_block__lt=job.start_block).order_by("-end_block", "-pk")[:1]
    above = same.filter(start_block__gt=job.end_block).order_by("start_block", "pk")[:1]
    return [*below, *sharing.order_by("start_block", "pk")[:NEIGHBOURS], *above]


class JobDataView(LoginRequiredMixin, PermissionRequiredMixin, View):
    """JSON of one job's rate over time, in columns ready for uPlot."""

    permission_required = PERMISSION
    raise_exception = True

    def get(self, request: HttpRequest, job_id: UUID) -> JsonResponse:
        return JsonResponse({**rates_over_time(job_id), "fetched": timezone.now().timestamp()})


class CoveragePage(LivePage):
    title = "Coverage"
    template_name = "backfill/coverage.html"
    live_template = "backfill/coverage_live.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        types = coverage.by_type()
        return super().get_context_data(
            types=[_covered(one) for one in types],
            tip=types[0].tip if types else settings.CHAIN_TIP_BLOCK,
            tip_set=settings.CHAIN_TIP_BLOCK,
            **kwargs,
        )


def _covered(one: coverage.Coverage) -> dict[str, Any]:
    done, blocks = size(one.done), one.tip + 1
    longest = sorted(one.missing, key=lambda each: each[0] - each[1])[:MISSING_SHOWN]
    return {
        "type": one.job_type,
        "bar": bar_of(one),
        "done": done,
        "percent": done * 1000 // blocks / 10,
        "at_work": size(one.at_work),
        "failed": size(one.failed),
        "missing": size(one.missing),
        "pieces": len(one.missing),
        "ranges": [
            {"first": a, "last": b, "text": range_text(a, b), "blocks": b - a + 1} for a, b in longest
        ],
    }
