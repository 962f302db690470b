"""Write metrics over HTTP; reading them is in `api_read`."""

from dataclasses import asdict
from typing import Any

from django.utils import timezone
from ninja import Router
from ninja.responses import Status

from metrics import api_read
from metrics.bodies import BatchRefused
from metrics.ingest import Receipt, metrics_receive
from metrics.schemas import ReceiptOut, RefusedOut, request_body
from utxoiq_admin.accounts.api import CallerRequest
from utxoiq_admin.accounts.auth import ServiceAuth
from utxoiq_admin.core.api import MAX_FAULTS, ApiError, Fault

router = Router(tags=["metrics"])
WRITE: dict[str, Any] = {"auth": ServiceAuth("metrics:write"), "response": {200: ReceiptOut, 422: RefusedOut}}


@router.post("", summary="Store one metric", openapi_extra=request_body(many=False), **WRITE)
def write_one(request: CallerRequest) -> Status[Any]:
    """One object. Fields, limits and the answer are those of `/batch`."""
    return _answer(request, many=False)


@router.post("/batch", summary="Store a list of metrics", openapi_extra=request_body(many=True), **WRITE)
def write_batch(request: CallerRequest) -> Status[Any]:
    """A list of up to 10,000 rows and 8 MiB, packed with gzip if you like (`Content-Encoding: gzip`).

    Good rows are stored whatever the others are like; the receipt says of each rejected one where it stood, which
    field is wrong and why. 422 when none was stored. Send `id` and `timestamp` to make a repeat safe.
    """
    return _answer(request, many=True)


def _answer(request: CallerRequest, *, many: bool) -> Status[Any]:
    # The body is read here, past django-ninja, which would unpack nothing and parse it into objects twice; who may
    # not write was refused before a byte of it was read.
    token = request.auth.token
    assert token is not None, "ServiceAuth lets no session write"  # noqa: S101
    try:
        receipt = metrics_receive(
            token=token,
            stream=request,
            encoding=request.headers.get("Content-Encoding", "").strip().lower(),
            length=int(request.META.get("CONTENT_LENGTH") or 0),
            many=many,
            now=timezone.now(),
        )
    except BatchRefused as refusal:
        raise ApiError(refusal.status, Fault(refusal.where, refusal.what, refusal.why)) from None
    return Status(200, receipt) if receipt.stored else Status(422, _refused(receipt, many=many))


def _refused(receipt: Receipt, *, many: bool) -> dict[str, Any]:
    """A receipt that also has the shape of every other error."""
    faults = [
        Fault(f"body.{each.index}.{each.field}" if many else f"body.{each.field}", "rejected", each.reason)
        for each in receipt.rejected[:MAX_FAULTS]
    ]
    return {**asdict(receipt), "errors": [asdict(each) for each in faults]}


api_read.add_to(router)
