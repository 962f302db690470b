"""Backfill jobs over HTTP: workers start or claim one and report on it; anybody with the scope reads and steers."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from backfill import coverage, reports, services
from backfill.models import BackfillJob
from backfill.overlaps import Overlap
from backfill.reports import BadReport, Report
from backfill.schemas import (
    ClaimOut,
    DecisionIn,
    FaultOut,
    JobOut,
    JobsOut,
    JobType,
    OverlapOut,
    ProgressIn,
    ProgressOut,
    StartIn,
    StateOut,
    claim_out,
    state_out,
)
from backfill.services import BadRange, JobNotFound, NothingMissing, Wish, WrongState
from backfill.standing import standing_of
from utxoiq_admin.accounts.api import CallerRequest
from utxoiq_admin.accounts.auth import ServiceAuth
from utxoiq_admin.core.api import ApiError, Fault
from utxoiq_admin.core.cursors import InvalidCursor, page
from utxoiq_admin.core.schemas import Text

router = Router(tags=["backfill"])
WRITE: dict[str, Any] = {"auth": ServiceAuth("backfill:write")}
READ: dict[str, Any] = {"auth": ServiceAuth("backfill:read")}
PAGE, MAX_PAGE = 100, 500


class JobsIn(Schema):
    job_type: JobType | None = None
    status: BackfillJob.Status | None = None
    created_by: Text | None = Field(None, max_length=100)
    cursor: Text | None = Field(None, max_length=2000, description="`next` of the page before.")
    limit: int = Field(PAGE, ge=1, le=MAX_PAGE)


class ClaimIn(Schema):
    job_type: JobType | None = Field(None, description="Only a job of this type.")
    worker: Text | None = Field(
        None, max_length=100, description="Shown as the holder; by default the token."
    )


@router.post("/start", response={201: ClaimOut, 409: OverlapOut}, summary="Start a job", **WRITE)
def start(request: CallerRequest, body: StartIn) -> Status[Any]:
    """A running job, leased to the caller. 409 with the jobs that it overlaps: running, paused or completed ones of
    its type."""
    caller = request.auth.name
    wish = Wish(body.job_type, body.start_block, body.end_block, body.created_by or caller, caller)
    try:
        claim = reports.job_begin(wish=wish, holder=caller, allow_overlap=body.allow_overlap)
    except BadRange as error:
        raise ApiError(422, Fault(f"body.{error.field}", "range", str(error))) from None
    except Overlap as error:
        return _overlap(error)
    return Status(201, _claimed(claim))


@router.post("/claim", response={200: ClaimOut, 204: None}, summary="Take a job that waits", **WRITE)
def claim(request: CallerRequest, query: Query[ClaimIn]) -> Status[Any]:
    """The oldest job that waits for a worker, or whose worker was not heard of for 5 minutes; 204 if there is none.

    The lease lasts 5 minutes from each report. `missing` lists what of the job nobody has done yet.
    """
    found = reports.job_claim(job_type=query.job_type, holder=query.worker or request.auth.name)
    return Status(200, _claimed(found)) if found else Status(204, None)


@router.post("/progress", response=ProgressOut, summary="Report on a job", **WRITE)
def progress(request: CallerRequest, job_id: UUID, body: ProgressIn) -> dict[str, Any]:
    """Safe to repeat, and in any order. `command` is what to do now: continue, pause (call again every few seconds
    until it changes), or stop.

    `applied` is false for an older block than is known, for a job that has ended, and for a worker that was replaced.
    """
    report = Report(
        block=body.current_block,
        status=body.status,
        error=body.error_message,
        estimate=body.estimated_completion,
        failed_blocks=body.failed_blocks,
        lease=body.lease,
    )
    try:
        answer = reports.job_progress(job_id=job_id, report=report, actor=request.auth.name)
    except JobNotFound as error:
        raise ApiError(404, Fault("query.job_id", "not_found", str(error))) from None
    except BadReport as error:
        raise ApiError(422, Fault(f"body.{error.field}", "range", str(error))) from None
    job = answer.job
    return {
        "id": job.pk,
        "status": job.status,
        "current_block": job.current_block,
        "progress_percentage": job.share,
        "applied": answer.applied,
        "command": answer.command,
    }


@router.get("/status", response=JobsOut, summary="Jobs, newest first", **READ)
def status(request: HttpRequest, query: Query[JobsIn]) -> dict[str, Any]:
    """Up to `limit` jobs that the filters keep; `next` is the cursor of the older ones."""
    wanted = {name: getattr(query, name) for name in ("job_type", "status", "created_by")}
    jobs = BackfillJob.objects.filter(**{name: value for name, value in wanted.items() if value is not None})
    try:
        found = page(jobs, order=("-started_at", "-id"), cursor=query.cursor, size=query.limit)
    except InvalidCursor as error:
        raise ApiError(422, Fault("query.cursor", "cursor", str(error))) from None
    return {"jobs": found.rows, "next": found.next}


@router.get("/{job_id}", response=StateOut, summary="One job as it stands", **READ)
def one(request: HttpRequest, job_id: UUID) -> StateOut:
    """With its rates in blocks/s, the time left in seconds (shortest and longest), and what is the matter with it."""
    job = _known(lambda: services.job_found(job_id))
    (standing,) = standing_of([job])
    return state_out(standing, coverage.failed_of(job_id))


@router.post("/{job_id}/pause", response=JobOut, summary="Have its worker wait", **WRITE)
def pause(request: CallerRequest, job_id: UUID, body: DecisionIn | None = None) -> BackfillJob:
    """The worker hears of it at its next report. 409 where the job's state does not allow it."""
    return _known(lambda: services.job_pause(job_id=job_id, **_who(request, body)))


@router.post("/{job_id}/resume", response={200: JobOut, 409: OverlapOut}, summary="Let it go on", **WRITE)
def resume(request: CallerRequest, job_id: UUID, body: DecisionIn | None = None) -> Status[Any]:
    """409 where another job has taken its blocks meanwhile."""
    overlap = body.allow_overlap if body else False
    try:
        job = _known(lambda: services.job_resume(job_id=job_id, allow_overlap=overlap, **_who(request, body)))
    except Overlap as error:
        return _overlap(error)
    return Status(200, job)


@router.post("/{job_id}/cancel", response=JobOut, summary="End it for good", **WRITE)
def cancel(request: CallerRequest, job_id: UUID, body: DecisionIn | None = None) -> BackfillJob:
    """Stored as failed with the reason; the worker is told to stop at its next report."""
    return _known(lambda: services.job_cancel(job_id=job_id, **_who(request, body)))


@router.post("/{job_id}/retry", response={201: JobOut, 409: OverlapOut}, summary="Do what is left", **WRITE)
def retry(request: CallerRequest, job_id: UUID, body: DecisionIn | None = None) -> Status[Any]:
    """A new job from the first to the last block of an ended one that nobody has done; it waits for a worker."""
    who = _who(request, body)
    try:
        job = _known(lambda: services.job_retry(job_id=job_id, created_by=who["actor"], **who))
    except NothingMissing as error:
        raise ApiError(409, Fault("path.job_id", "nothing_missing", str(error))) from None
    except Overlap as error:
        return _overlap(error)
    return Status(201, job)


def _claimed(found: reports.Claim) -> ClaimOut:
    job = found.job
    return claim_out(found, coverage.missing(job.job_type, job.current_block, job.end_block))


def _known(call: Callable[[], BackfillJob]) -> BackfillJob:
    try:
        return call()
    except JobNotFound as error:
        raise ApiError(404, Fault("path.job_id", "not_found", str(error))) from None
    except WrongState as error:
        raise ApiError(409, Fault("path.job_id", "state", str(error))) from None


def _who(request: CallerRequest, body: DecisionIn | None) -> dict[str, str]:
    """Who decides and why: whom the caller names, else the caller."""
    named = body.by if body else None
    return {"actor": named or request.auth.name, "why": body.reason if body else ""}


def _overlap(error: Overlap) -> Status[Any]:
    fault = FaultOut(where="body", what="overlap", why=str(error))
    return Status(409, {"errors": [fault], "jobs": error.jobs})
