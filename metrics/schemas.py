"""What the metrics endpoints take and answer."""

from typing import Annotated, Any, NotRequired
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field, Strict, TypeAdapter

# pydantic reads the standard library's own only from Python 3.12 on.
from typing_extensions import TypedDict

MAX_ROWS = 10_000
MAX_BYTES = 8 * 1024 * 1024  # after decompression
# A date and a time: a bare number leaves open whether it counts seconds or milliseconds.
TIME = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d"


class MetricIn(TypedDict):
    """One metric as it is sent. A TypedDict, because making 5,000 model objects takes a third longer.

    The time stays text here: `datetime.fromisoformat` reads 5,000 in half a millisecond, and its UTC is one object,
    so that later comparisons need not ask Python for the offset as they do of pydantic's.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    service_name: Annotated[str, Field(min_length=1, max_length=100)]
    metric_type: Annotated[str, Field(min_length=1, max_length=50)]
    metric_value: Annotated[
        float, Strict(), Field(allow_inf_nan=False)
    ]  # strict: true and "12" are no measurements
    unit: Annotated[str, Field(min_length=1, max_length=20)]
    timestamp: NotRequired[
        Annotated[str, Field(pattern=TIME, max_length=40, json_schema_extra={"format": "date-time"})] | None
    ]
    metric_metadata: NotRequired[dict[str, Any] | None]
    id: NotRequired[UUID | None]


class RejectedOut(Schema):
    index: int
    field: str
    reason: str


class ReceiptOut(Schema):
    """What became of each row: `accepted` and `duplicate` are stored, `rejected` are not."""

    accepted: int
    duplicate: int
    rejected: list[RejectedOut]


class FaultOut(Schema):
    where: str
    what: str
    why: str


class RefusedOut(ReceiptOut):
    """A receipt of which nothing is stored, with the first faults as every error has them."""

    errors: list[FaultOut]


def request_body(*, many: bool) -> dict[str, Any]:
    """OpenAPI's description of the body, which is read past django-ninja: see `metrics.bodies`."""
    schema = TypeAdapter(list[MetricIn] if many else MetricIn).json_schema()
    # References of pydantic's are relative to a schema of its own; this one stands inside OpenAPI's document.
    row = schema.pop("$defs", {}).get("MetricIn", schema)
    described = {"type": "array", "maxItems": MAX_ROWS, "items": row} if many else row
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": described}}}}
