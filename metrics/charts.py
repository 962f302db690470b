"""What the charts draw: the aggregate's columns, and beside them what is missing and how it was a while before."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from metrics.reading import SHARES, Answer, Request, Series, read
from metrics.rollup_aggregate import Limit, Wish, in_time, plan, refuse_more_than_asked, time_to_live
from metrics.rollup_split import read_split
from metrics.sketch import merge, percentiles
from utxoiq_admin.core.cache import cached

INSTANCE = "instance_id"  # the key of the metadata under which services name their instance
COMPARE = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
}  # "previous" is as far back as the range is long
PERCENTILES = ("p50", "p95", "p99")


@dataclass(frozen=True)
class ChartWish:
    """What a page of charts asks for. `compare` is "", "previous" or one of COMPARE."""

    services: tuple[str, ...]
    types: tuple[str, ...]
    start: datetime
    end: datetime
    percentiles: bool = False
    by_instance: bool = False
    compare: str = ""


@dataclass(frozen=True)
class Plan:
    """The requests that answer a wish, and what it asked for that they do not answer, in words."""

    request: Request
    split_by: str
    before: Request | None
    notes: tuple[str, ...]


def chart_data(wish: ChartWish, *, now: datetime) -> bytes:
    """The answer as JSON, from the cache while nothing changed. Raises Limit."""
    planned = _plan(wish, now)
    keys = [f"service:{service}" for service in planned.request.services]
    return in_time(
        lambda: cached(
            f"charts {planned}",
            keys=keys,
            ttl=time_to_live(planned.request, now),
            compute=lambda: orjson.dumps(_answer(planned, now)).decode(),
        )
    ).encode()


def _plan(wish: ChartWish, now: datetime) -> Plan:
    split_by = INSTANCE if wish.by_instance else ""
    asked = Wish(wish.services, wish.types, wish.start, wish.end, None, wish.percentiles, split_by)
    notes: list[str] = []
    try:
        request = plan(asked)
    except Limit as limit:
        if limit.where != "query.percentiles":
            raise
        notes.append(str(limit))
        asked = replace(asked, percentiles=False)
        request = plan(asked)
    before = None
    if wish.compare:
        try:
            request, before = _compared(wish.compare, asked, request)
        except Limit as limit:
            notes.append(f"Nothing to compare with. {limit}")
    return Plan(_telling_gaps(request, now), split_by, before and _telling_gaps(before, now), tuple(notes))


def _compared(compare: str, asked: Wish, request: Request) -> tuple[Request, Request]:
    """The request, and that of the time before; both in the wider of the two's buckets. Raises Limit."""
    back = COMPARE.get(compare) or asked.end - asked.start
    step = max(request.step, plan(replace(asked, start=asked.start - back, end=asked.end - back)).step)
    if step > request.step:
        request = plan(replace(asked, step=step))
    shift = -int(-back.total_seconds() // step) * step
    return request, replace(request, start=request.start - shift, end=request.end - shift, sketches=False)


def _telling_gaps(request: Request, now: datetime) -> Request:
    """In whole buckets, so that requests of one bucket's time are one in the cache."""
    return replace(request, gaps_until=min(int(now.timestamp()) // request.base * request.base, request.end))


def _answer(planned: Plan, now: datetime) -> dict[str, Any]:
    request = planned.request
    answer, parts = _read(request, planned.split_by)
    body: dict[str, Any] = {
        "start": request.start,
        "end": request.end,
        "step": request.step,
        "source": request.source.value,
        "fetched": now.timestamp(),
        "notes": planned.notes,
        "series": [_columns(one) | part for one, part in zip(answer.series, parts, strict=True)],
        "compare": None,
    }
    if planned.before:
        answer, parts = _read(planned.before, planned.split_by)
        earlier = [_earlier(one) | part for one, part in zip(answer.series, parts, strict=True)]
        body["compare"] = {"shift": request.start - planned.before.start, "series": earlier}
    return body


def _read(request: Request, split_by: str) -> tuple[Answer, list[dict[str, Any]]]:
    if split_by:
        return read_split(request, split_by)
    answer = read(request)
    refuse_more_than_asked(answer)
    return answer, [{}] * len(answer.series)


def _name(one: Series) -> dict[str, Any]:
    return {"service": one.service_name, "type": one.metric_type, "unit": one.unit}


def _columns(one: Series) -> dict[str, Any]:
    columns = {
        **_name(one),
        "count": one.rows,
        "avg": one.average,
        "min": one.lowest,
        "max": one.highest,
        "between": one.gaps.between,
        "holes": one.gaps.holes,
        "data_to": one.last.timestamp() if one.last else None,
    }
    if one.sketch:
        columns |= dict(zip(PERCENTILES, one.percentiles(), strict=True))
        columns["overall"] = dict(zip(PERCENTILES, _overall(one), strict=True))
    return columns


def _earlier(one: Series) -> dict[str, Any]:
    return {**_name(one), "count": one.rows, "avg": one.average, "between": one.gaps.between}


def _overall(one: Series) -> list[float | None]:
    """The percentiles of all rows in the range."""
    whole: dict[int, int] = {}
    for sketch in one.sketch.values():
        merge(whole, sketch.keys(), sketch.values())
    lowest = min(value for value in one.lowest if value is not None)
    highest = max(value for value in one.highest if value is not None)
    return percentiles(whole, SHARES, lowest=lowest, highest=highest)
