"""Figures of the moderators' work over a range: how long, how much, how often flags were right."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from feedback.models import InsightFlag, JudgedFlag, ReviewEvent
from feedback.review_models import UPHELD
from feedback.review_sql import KNOWN, UPHELD_SQL

TIMEOUT_MS = 10_000
SAMPLED = 300  # seconds between two samples of the queue
MISSING = 2.5  # steps without a sample that are a gap
DAY = 86_400
# What the figures count, in words; their links name it where a single verdict may stand.
COUNTED = {"decided": "all decisions", "upheld": "upheld, whichever", "undone": "undone since"}
SAMPLES_SHOWN = 400  # points of the queue's chart at most

_WORK = f"""
SELECT u.username, count(*) AS decided,
       count(*) FILTER (WHERE e.verdict IN {UPHELD_SQL}) AS upheld,
       count(*) FILTER (WHERE e.verdict = 'nothing_wrong') AS dismissed,
       count(undo.id) AS undone,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM e.at - e.waiting_since))
         FILTER (WHERE e.waiting_since IS NOT NULL) AS half,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM e.at - e.waiting_since))
         FILTER (WHERE e.waiting_since IS NOT NULL) AS most
FROM review_events e JOIN auth_user u ON u.id = e.moderator_id LEFT JOIN review_events undo ON undo.undoes_id = e.id
WHERE e.kind = 'decision' AND e.at >= %(start)s AND e.at < %(end)s
  AND (%(person)s::int IS NULL OR e.moderator_id = %(person)s)
GROUP BY GROUPING SETS ((u.username), ()) ORDER BY u.username NULLS FIRST
"""  # noqa: S608
_TYPES = f"""
SELECT f.flag_type, count(*) FILTER (WHERE j.verdict IN {UPHELD_SQL}),
       count(*) FILTER (WHERE j.verdict IN {UPHELD_SQL} OR j.verdict = 'nothing_wrong')
FROM review_events e JOIN review_judged_flags j ON j.event_id = e.id JOIN insight_flags f ON f.id = j.flag_id
WHERE e.at >= %(start)s AND e.at < %(end)s AND (%(person)s::int IS NULL OR e.moderator_id = %(person)s)
GROUP BY 1 ORDER BY 3 DESC, 1
"""  # noqa: S608
_FLAGS = f"""
SELECT extract(epoch FROM date_trunc('day', flagged_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')::bigint,
       count(*) FILTER (WHERE flag_type = 'inaccurate'), count(*) FILTER (WHERE flag_type = 'misleading'),
       count(*) FILTER (WHERE flag_type = 'spam'), count(*) FILTER (WHERE flag_type NOT IN ({KNOWN}))
FROM insight_flags WHERE flagged_at >= %(start)s AND flagged_at < %(end)s GROUP BY 1 ORDER BY 1
"""  # noqa: S608
_RATINGS = """
SELECT extract(epoch FROM date_trunc('day', created_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')::bigint,
       avg(rating)::float8
FROM insight_feedback WHERE created_at >= %(start)s AND created_at < %(end)s AND rating IS NOT NULL
GROUP BY 1 ORDER BY 1
"""
# Of several samples in a step the longest queue and the greatest age are drawn: a peak is never averaged away.
_QUEUE = """
SELECT (floor(extract(epoch FROM at) / %(step)s) * %(step)s)::bigint, max(waiting),
       max(extract(epoch FROM at - oldest_since)::float8 / 3600)
FROM review_queue_samples WHERE at >= %(start)s AND at < %(end)s GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True)
class Work:
    """What one moderator (None: all together) decided; times from the threshold to the decision."""

    moderator: str | None
    decided: int
    upheld: int
    dismissed: int
    undone: int
    median: timedelta | None
    most: timedelta | None  # nine of ten took no longer

    @property
    def upheld_share(self) -> float | None:
        judged = self.upheld + self.dismissed
        return 100 * self.upheld / judged if judged else None


@dataclass(frozen=True)
class TypeShare:
    """How often flags of one type were right, of those that a decision in force judged either way."""

    flag_type: str
    right: int
    judged: int

    @property
    def percent(self) -> float:
        return 100 * self.right / self.judged if self.judged else 0.0


def work(start: datetime, end: datetime, person: int | None) -> list[Work]:
    """All together first, then each moderator; with `person` only theirs."""
    rows = _ask(_WORK, start, end, person=person)
    return [
        Work(*row[:5], *(timedelta(seconds=float(each)) if each is not None else None for each in row[5:]))
        for row in rows
    ]


def types(start: datetime, end: datetime, person: int | None) -> list[TypeShare]:
    """Most judged first; with `person` of their decisions only."""
    return [TypeShare(*row) for row in _ask(_TYPES, start, end, person=person) if row[2]]


def behind(
    events: "QuerySet[ReviewEvent]", *, verdict: str = "", flag_type: str = ""
) -> "QuerySet[ReviewEvent]":
    """The events that a figure counts: `verdict` is one of COUNTED or a single one.

    `flag_type` is that of a flag which they judged.
    """
    if flag_type:
        of_type = InsightFlag.objects.filter(pk=OuterRef("flag_id"), flag_type=flag_type)
        events = events.filter(Exists(JudgedFlag.objects.filter(Exists(of_type), event=OuterRef("pk"))))
    decided = events.filter(kind=ReviewEvent.Kind.DECISION)
    match verdict:
        case "":
            return events
        case "decided":
            return decided
        case "upheld":
            return decided.filter(verdict__in=UPHELD)
        case "undone":
            return decided.filter(undone_by__isnull=False)
    return events.filter(verdict=verdict)


def charts(start: datetime, end: datetime) -> dict[str, Any]:
    """Columns ready for uPlot: flags and ratings by day (UTC), the queue by samples.

    A day without flags has none; one without ratings, and a time without samples, is a gap.
    """
    step = max(SAMPLED, int((end - start).total_seconds() / SAMPLES_SHOWN))
    times, lengths, ages = _columns(_with_gaps(_ask(_QUEUE, start, end, step=step), step), 3)
    return {
        "queue": [times, lengths],
        "age": [times, ages],
        "flags": _columns(_each_day(_ask(_FLAGS, start, end), end, (0, 0, 0, 0)), 5),
        "ratings": _columns(_each_day(_ask(_RATINGS, start, end), end, (None,)), 2),
        "step": step,
    }


def _with_gaps(rows: Sequence[tuple[Any, ...]], step: int) -> list[tuple[Any, ...]]:
    """The samples, and nothing in between where two or more in a row are missing: nobody measured."""
    found: list[tuple[Any, ...]] = []
    for row in rows:
        if found and row[0] - found[-1][0] > MISSING * step:
            found.append((found[-1][0] + step, *[None] * (len(row) - 1)))
        found.append(row)
    return found


def _each_day(
    rows: Sequence[tuple[Any, ...]], end: datetime, nothing: tuple[Any, ...]
) -> list[tuple[Any, ...]]:
    """A row for each UTC day from the first one with anything on; `nothing` for those that have none."""
    if not rows:
        return []
    known = {row[0]: row for row in rows}
    days = range(rows[0][0], int(end.timestamp()), DAY)
    return [known.get(day, (day, *nothing)) for day in days]


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _ask(statement: str, start: datetime, end: datetime, **more: Any) -> list[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
        cursor.execute(statement, {"start": start, "end": end, **more})
        return list(cursor.fetchall())
