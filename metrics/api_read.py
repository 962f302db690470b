"""Read metrics over HTTP: raw rows by cursor, and figures over time."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router, Schema
from psycopg import errors
from pydantic import AfterValidator, Field

from metrics.models import SystemMetric
from metrics.rollup_aggregate import INTERVALS, Limit, Wish, aggregate
from utxoiq_admin.accounts.auth import ServiceAuth
from utxoiq_admin.core.api import ApiError, Fault
from utxoiq_admin.core.cursors import InvalidCursor
from utxoiq_admin.core.schemas import UNSTORABLE, Text, is_storable

READ: dict[str, Any] = {"auth": ServiceAuth("metrics:read")}
PAGE, MAX_PAGE = 100, 1_000
DEFAULT_RANGE = timedelta(hours=24)
LONGEST_ROWS = timedelta(days=100)


def _in_utc(moment: datetime) -> datetime:
    """A time without a zone is UTC."""
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("This is no time that can be stored.") from None


def _names(names: list[str]) -> list[str]:
    if not all(1 <= len(name) <= 100 and is_storable(name) for name in names):
        raise ValueError(f"A name has at least 1 and at most 100 characters. {UNSTORABLE}")
    return names


Moment = Annotated[datetime, AfterValidator(_in_utc)]
# Checked as a whole: a fault of one name is then a fault of the parameter, under its own name.
Names = Annotated[list[str], Field(max_length=50), AfterValidator(_names)]


class Range(Schema):
    start_time: Moment | None = Field(None, description="By default 24 hours before the end.")
    end_time: Moment | None = Field(None, description="Excluded; by default now.")

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """start <= t < end. Raises ApiError for a range that is none."""
        end = self.end_time or now
        try:
            start = self.start_time or end - DEFAULT_RANGE
        except OverflowError:
            start = end
        if start >= end:
            raise ApiError(422, Fault("query.end_time", "range", "The range ends before it starts."))
        return start, end


class RowsIn(Range):
    service_name: Names = []
    metric_type: Names = []
    cursor: Text | None = Field(None, max_length=2000, description="`next` of the page before.")
    limit: int = Field(PAGE, ge=1, le=MAX_PAGE)


class RowOut(Schema):
    id: UUID
    service_name: str
    metric_type: str
    metric_value: float
    unit: str
    timestamp: datetime
    metric_metadata: Any


class RowsOut(Schema):
    rows: list[RowOut]
    next: str | None


class AggregateIn(Range):
    service_name: Names = Field(min_length=1)
    metric_type: Names = Field(min_length=1)
    interval: Literal["minute", "hour", "day", "auto"] = "auto"
    percentiles: bool = Field(False, description="Also p50, p95 and p99, each within 2 %.")
    split_by: Text = Field("", max_length=100, description="A key of the metadata; up to 24 hours, top 20.")


class SeriesOut(Schema):
    service_name: str
    metric_type: str
    unit: str
    part: str | None = Field(None, description="The key's value, where split; empty where rows lack the key.")
    parts: int | None = Field(
        None, description="How many there are; the 20 with the highest average are told."
    )
    count: list[int | None]
    avg: list[float | None]
    min: list[float | None]
    max: list[float | None]
    p50: list[float | None] | None = None
    p95: list[float | None] | None = None
    p99: list[float | None] | None = None


class AggregateOut(Schema):
    start: int
    end: int
    step: int
    source: Literal["raw rows", "hourly", "daily"]
    data_to: float | None
    unfinished: bool
    unfinished_from: int | None
    times: list[int]
    series: list[SeriesOut]


def rows(request: HttpRequest, query: Query[RowsIn]) -> dict[str, Any]:
    """Up to `limit` rows with start_time <= timestamp < end_time; `next` is the cursor of the rows before them.

    A range may have 100 days: rows are kept for 90, unless they were restored.
    """
    start, end = query.bounds(timezone.now())
    if end - start > LONGEST_ROWS:
        why = f"A range of rows may have at most {LONGEST_ROWS.days} days; ask for one after the other."
        raise ApiError(422, Fault("query.start_time", "limit", why))
    try:
        page = SystemMetric.objects.page_of(
            services=query.service_name,
            types=query.metric_type,
            start=start,
            end=end,
            cursor=query.cursor,
            size=query.limit,
        )
    except InvalidCursor as error:
        raise ApiError(422, Fault("query.cursor", "cursor", str(error))) from None
    except OperationalError as error:
        if isinstance(error.__cause__, errors.QueryCanceled):
            why = "This takes too long. Choose a shorter range, or name fewer services and types."
            raise ApiError(422, Fault("query.start_time", "limit", why)) from None
        raise
    return {"rows": page.rows, "next": page.next}


def aggregated(request: HttpRequest, query: Query[AggregateIn]) -> HttpResponse:
    """Count, average, lowest and highest of every bucket, exact; null where no row is.

    Buckets are whole: `start` and `end` are the range widened to them. `times` are their starts in Unix seconds,
    shared by all series; units are never mixed. `source` says what was read: raw rows, hourly or daily rollups.
    `unfinished`: the last bucket still fills, and so do all from `unfinished_from` on. `data_to`: the newest row
    seen before the end, to the hour where the end lies within a packed day. 422 names the limit that was passed.
    """
    now = timezone.now()
    start, end = query.bounds(now)
    wish = Wish(
        services=tuple(query.service_name),
        types=tuple(query.metric_type),
        start=start,
        end=end,
        step=INTERVALS.get(query.interval),
        percentiles=query.percentiles,
        split_by=query.split_by,
    )
    try:
        body = aggregate(wish, now=now)
    except Limit as limit:
        raise ApiError(422, Fault(limit.where, "limit", str(limit))) from None
    return HttpResponse(body, content_type="application/json")


def add_to(router: Router) -> None:
    """Serve both on the router that takes metrics: a path belongs to one router, whatever the method."""
    router.get("", response=RowsOut, summary="Rows in a range, newest first", **READ)(rows)
    router.get("/aggregate", response=AggregateOut, summary="Figures over time, in columns", **READ)(
        aggregated
    )
