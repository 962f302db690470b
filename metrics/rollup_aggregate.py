"""What an aggregate or a chart may ask for, which source answers it, and the answer as JSON in columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from django.db import OperationalError
from django.utils import timezone
from psycopg import errors

from metrics.annotations import Reason, archived
from metrics.reading import DAY, HOUR, Answer, Request, Source, read
from metrics.rollup_split import PARTS, read_split
from utxoiq_admin.core.cache import cached

MINUTE = 60
INTERVALS = {"minute": MINUTE, "hour": HOUR, "day": DAY}
# Longest range -> bucket, when nobody names one: some 1,500 points, about one for each pixel that a chart is wide.
STEPS = (
    (timedelta(hours=24), MINUTE),
    (timedelta(days=2), 2 * MINUTE),
    (timedelta(days=7), 10 * MINUTE),
    (timedelta(days=31), HOUR),
    (timedelta(days=90), 3 * HOUR),
    (timedelta(days=366), 12 * HOUR),
    (timedelta(days=800), DAY),
)
LONGEST = timedelta(days=800)  # rollups are kept for two years
MAX_POINTS = 2_000  # of one series
MAX_ASKED = 200  # services times types
MAX_NUMBERS = 300_000  # points of all series: 5 MB of JSON, half a second
MAX_SKETCHES = 30_000  # points that are made of sketches: a second
RAW_SERVICE_DAYS = (
    30  # raw rows are read where services times days is not more: one second for ten types each
)
SPLIT_LONGEST = timedelta(hours=24)
TTL, TTL_OPEN = 300.0, 15.0  # seconds an answer is kept, and one whose end is not over
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class Limit(ValueError):
    """More was asked than is answered; `where` names the parameter, the message the limit, `url` leads on."""

    def __init__(self, where: str, why: str, url: str = "") -> None:
        super().__init__(why)
        self.where, self.url = where, url


@dataclass(frozen=True)
class Wish:
    """What was asked: `step` in seconds, None where the answer chooses; `split_by` a key of the metadata."""

    services: tuple[str, ...]
    types: tuple[str, ...]
    start: datetime
    end: datetime
    step: int | None = None
    percentiles: bool = False
    split_by: str = ""


def aggregate(wish: Wish, *, now: datetime) -> bytes:
    """The answer as JSON, from the cache while nothing changed. Raises Limit."""
    request = plan(wish)
    name = f"aggregate {request} {wish.split_by!r}"
    keys = [f"service:{service}" for service in request.services]

    def compute() -> str:
        return orjson.dumps(_columns(request, wish.split_by, now)).decode()

    return in_time(lambda: cached(name, keys=keys, ttl=time_to_live(request, now), compute=compute)).encode()


def time_to_live(request: Request, now: datetime) -> float:
    """Seconds for which an answer may be kept."""
    return TTL_OPEN if request.end > now.timestamp() else TTL


def in_time(work: Callable[[], str]) -> str:
    """What the work yields. Raises Limit where the database was too slow for it."""
    try:
        return work()
    except OperationalError as error:
        if isinstance(error.__cause__, errors.QueryCanceled):
            why = "This takes longer than 10 s. Choose a shorter range, a longer interval or fewer services."
            raise Limit("query.start_time", why) from None
        raise


def plan(wish: Wish) -> Request:
    """Source, width and whole buckets for a wish. Raises Limit."""
    length = wish.end - wish.start
    if length <= timedelta(0):
        raise Limit("query.end_time", "The range ends before it starts.")
    if length > LONGEST:
        raise Limit("query.start_time", f"A range may have at most {LONGEST.days} days.")
    if wish.start < EARLIEST or wish.end > LATEST:
        raise Limit("query.start_time", f"Times go from {EARLIEST:%Y} to {LATEST:%Y}.")
    asked = len(set(wish.services)) * len(set(wish.types))
    if asked > MAX_ASKED:
        raise Limit(
            "query.service_name", f"Services times types may be at most {MAX_ASKED}; this is {asked}."
        )
    step = wish.step or _step_for(wish, length)
    if wish.split_by and (length > SPLIT_LONGEST or step >= DAY):
        raise Limit("query.split_by", "Splitting reads raw rows: at most 24 hours, by minute or hour.")
    first = int(wish.start.timestamp() // step) * step
    last = -int(-wish.end.timestamp() // step) * step
    source = Source.RAW if wish.split_by else _source(step)
    services, types = tuple(sorted(set(wish.services))), tuple(sorted(set(wish.types)))
    request = Request(services, types, first, last, step, source, sketches=wish.percentiles)
    _refuse_too_much(request, asked * (PARTS if wish.split_by else 1))
    if source == Source.RAW and (left := _archived(wish)):
        why = (
            f"From {max(left.start, wish.start):%Y-%m-%d %H:%M} on {left.text}: ask for an interval of hour or day, "
            "without splitting, or have them restored."
        )
        raise Limit("query.interval", why, left.url)
    return request


def _source(step: int) -> Source:
    return Source.RAW if step < HOUR else Source.HOURLY if step % DAY else Source.DAILY


def _step_for(wish: Wish, length: timedelta) -> int:
    step = next(step for longest, step in STEPS if length <= longest)
    too_many = len(set(wish.services)) * length > RAW_SERVICE_DAYS * timedelta(days=1)
    if step < HOUR and not wish.split_by and (too_many or _archived(wish)):
        return HOUR
    return step


def _archived(wish: Wish) -> Reason | None:
    """Why raw rows of the range are not all in the table; a day that was restored is there again."""
    return archived(wish.start, wish.end, now=timezone.now())


def _refuse_too_much(request: Request, series: int) -> None:
    points = (request.end - request.start) // request.step
    if points > MAX_POINTS:
        why = f"A series may have at most {MAX_POINTS:,} points; this asks for {points:,}. Choose a longer interval."
        raise Limit("query.interval", why)
    if points * series > MAX_NUMBERS:
        why = (
            f"All series together may have at most {MAX_NUMBERS:,} points; this asks for {points * series:,}."
        )
        raise Limit("query.service_name", why)
    hours = (request.end - request.start) // min(request.step, request.base) * series
    if request.sketches and hours > MAX_SKETCHES:
        why = f"Percentiles are made of at most {MAX_SKETCHES:,} buckets; this needs {hours:,}."
        raise Limit("query.percentiles", why)


def refuse_more_than_asked(answer: Answer) -> None:
    """A service's type may come in several units, which nobody knows before. Raises Limit."""
    points = len(answer.series) * len(answer.request.times)
    if points > MAX_NUMBERS:
        why = (
            f"There are {len(answer.series):,} series, units told apart, of {len(answer.request.times):,} points each; "
            f"all together may have at most {MAX_NUMBERS:,}. Choose fewer services or a longer interval."
        )
        raise Limit("query.service_name", why)


def _columns(request: Request, split_by: str, now: datetime) -> dict[str, Any]:
    """One time axis (bucket starts in Unix seconds), and of each series a column for each figure."""
    answer, extra = (read(request), []) if not split_by else read_split(request, split_by)
    refuse_more_than_asked(answer)
    return {
        "start": request.start,
        "end": request.end,
        "step": request.step,
        "source": request.source.value,
        "data_to": answer.data_to.timestamp() if answer.data_to else None,
        "unfinished": request.end > now.timestamp(),
        "unfinished_from": _unfinished_from(request, now),
        "times": request.times,
        "series": [
            _column(one, more) for one, more in zip(answer.series, extra or _nothing(answer), strict=True)
        ],
    }


def _unfinished_from(request: Request, now: datetime) -> int | None:
    """The start of the first bucket whose time is not over; None when all are."""
    current = int(now.timestamp()) // request.step * request.step
    return max(current, request.start) if request.end > now.timestamp() else None


def _nothing(answer: Answer) -> Sequence[dict[str, Any]]:
    return [{}] * len(answer.series)


def _column(one: Any, more: dict[str, Any]) -> dict[str, Any]:
    column = {
        "service_name": one.service_name,
        "metric_type": one.metric_type,
        "unit": one.unit,
        **more,
        "count": one.rows,
        "avg": one.average,
        "min": one.lowest,
        "max": one.highest,
    }
    if one.sketch:
        column |= dict(zip(("p50", "p95", "p99"), one.percentiles(), strict=True))
    return column
