"""`/api/v1/monitoring/retention`: start a run, see how it goes."""

from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from ninja import Router

from utxoiq_admin.accounts.auth import Caller, ServiceAuth
from utxoiq_admin.core.api import ApiError, Fault
from utxoiq_admin.retention import runs
from utxoiq_admin.retention.models import Run
from utxoiq_admin.retention.schemas import RunIn, RunOut, TableOut

router = Router(tags=["retention"])
SCOPE = "retention:run"


class CallerRequest(HttpRequest):
    auth: Caller


def _out(run: Run) -> RunOut:
    values = {name: getattr(run, name) for name in RunOut.model_fields if name not in ("url", "tables")}
    tables = [TableOut.model_validate(vars(each)) for each in run.figures.order_by("id")]
    return RunOut(url=reverse("api:retention_run", args=[run.pk]), tables=tables, **values)


@router.post("/run", auth=ServiceAuth(SCOPE), response={202: RunOut}, summary="Start a run")
def start(request: CallerRequest, body: RunIn | None = None) -> tuple[int, RunOut]:
    """Archive, verify and delete what is due, in the background; `url` says how it goes.

    If a run waits or is under way, that one is answered. While the nights are paused: 409.
    """
    if pause := runs.current_pause():
        raise ApiError(
            409, Fault("retention", "paused", f"Retention is {pause}. Somebody ends it on its page.")
        )
    try:
        run, _ = runs.request(
            trigger=Run.Trigger.API, by=request.auth.name, tables=(body and body.tables) or ()
        )
    except ValueError as error:
        raise ApiError(422, Fault("body.tables", "unknown", str(error))) from error
    return 202, _out(run)


@router.get(
    "/runs/{id}", auth=ServiceAuth(SCOPE), response=RunOut, url_name="retention_run", summary="How a run goes"
)
def show(request: HttpRequest, id: UUID) -> RunOut:
    """State, step and figures of each table so far; rows are counted as they are deleted."""
    runs.mark_crashed()
    return _out(get_object_or_404(Run, pk=id))
