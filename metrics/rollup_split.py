"""Series taken apart by a key of their metadata, such as `instance_id`: from raw rows, so for short ranges only."""

import json
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from metrics.raw_reads import TIMEOUT_MS
from metrics.reading import Answer, Request, Series, tell_gaps
from metrics.rollup_reads import FIRST
from metrics.rollup_sql import figures, total

PARTS = 20  # of each series: those with the highest average

_ROWS = """(SELECT json_build_array(service_name, coalesce(metric_metadata ->> %(key)s, ''))::text AS service_name,
    metric_type, unit, metric_value, "timestamp", date_bin(%(width)s::interval, "timestamp", 'epoch') AS hour
  FROM system_metrics r WHERE r.service_name = ANY(%(services)s::text[]) AND r.metric_type = ANY(%(types)s::text[])
    AND "timestamp" >= %(start)s AND "timestamp" < %(end)s) AS m"""

# Service and part are one name, a JSON array, which the figures group by like any name.
_SPLIT = f"""
WITH buckets AS MATERIALIZED ({figures(_ROWS, first=True)}),
parts AS (
  SELECT service_name, metric_type, unit,
         row_number() OVER (PARTITION BY service_name::json ->> 0, metric_type, unit
           ORDER BY {total("total")} / sum(rows) DESC, service_name) AS place,
         count(*) OVER (PARTITION BY service_name::json ->> 0, metric_type, unit) AS parts
  FROM buckets GROUP BY 1, 2, 3)
SELECT service_name, metric_type, unit, extract(epoch FROM hour)::bigint, rows, total, lowest, highest, last_at,
       bins, bin_rows, parts, {FIRST}
FROM buckets JOIN parts USING (service_name, metric_type, unit) WHERE place <= {PARTS}
ORDER BY 1, 2, 3
"""  # noqa: S608


def read_split(request: Request, key: str) -> tuple[Answer, list[dict[str, Any]]]:
    """The highest PARTS parts of each series, and for each {"part": its value ("": none), "parts": how many exist}."""
    found: dict[tuple[str, str, str], Series] = {}
    more: list[dict[str, Any]] = []
    data_to: datetime | None = None
    for name, metric_type, unit, at, rows, total_, lowest, highest, last_at, *sketch, parts, first in _fetch(
        request, key
    ):
        service, part = json.loads(name)
        series = found.get((name, metric_type, unit))
        if series is None:
            series = Series.empty((service, metric_type, unit), len(request.times))
            found[name, metric_type, unit] = series
            more.append({"part": part, "parts": parts})
        place = (at - request.start) // request.step
        series.add(place, rows, total_, lowest, highest, sketch if request.sketches else (None, None))
        series.moments[place] = (first - request.start, last_at.timestamp() - request.start)
        series.last = last_at if series.last is None else max(series.last, last_at)
        data_to = last_at if data_to is None else max(data_to, last_at)
    tell_gaps(request, list(found.values()))
    return Answer(request, list(found.values()), data_to), more


def _fetch(request: Request, key: str) -> list[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
        cursor.execute(
            _SPLIT,
            {
                "key": key,
                "services": list(request.services),
                "types": list(request.types),
                "start": datetime.fromtimestamp(request.start, UTC),
                "end": datetime.fromtimestamp(request.end, UTC),
                "width": f"{request.step} seconds",
            },
        )
        return cursor.fetchall()
