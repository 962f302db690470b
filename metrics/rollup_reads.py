"""The statements behind `reading`: one each, so that marks, rollups and raw rows are of one moment."""

from metrics.rollup_sql import PLACES, UNSEALED, figures, late_rows, raw_rows, total

UNSETTLED = "unsettled"

_SCOPE = "{0}.service_name = ANY(%(services)s::text[]) AND {0}.metric_type = ANY(%(types)s::text[])"
_EMPTY = ", NULL::bytea, NULL::bytea, NULL::bytea, NULL::bytea"
_NO_FIGURES = (
    "NULL::bigint, NULL::float8, NULL::float8, NULL::float8, NULL::timestamptz, NULL::int[], NULL::int[]"
)
_KEY = "service_name, metric_type, unit, extract(epoch FROM {0})::bigint"
_FIGURES = "rows, total, lowest, highest, last_at"
_SKETCH = {True: "bins, bin_rows", False: "NULL::int[], NULL::int[]"}

_PENDING = f"""
WITH pending AS MATERIALIZED (
  SELECT DISTINCT service_name, metric_type, unit, hour FROM metric_rollup_marks m
  WHERE {_SCOPE.format("m")} AND hour >= %(start)s AND hour < %(end)s AND {UNSEALED.format("m")}),
places AS MATERIALIZED ({PLACES.format("pending")})
"""  # noqa: S608
_LATE = f"""(SELECT m.* FROM {late_rows('l."timestamp" >= %(start)s AND l."timestamp" < %(end)s')}
  WHERE {_SCOPE.format("m")}) AS m"""  # noqa: S608

_PACKED = f"""
SELECT 'packed', service_name, metric_type, unit, extract(epoch FROM day)::bigint, NULL::bigint, NULL::float8,
       NULL::float8, NULL::float8, last_at, NULL::int[], NULL::int[],
       array_send(hour_rows), array_send(hour_totals), array_send(hour_lowest), array_send(hour_highest)
FROM metric_rollup_days d WHERE {_SCOPE.format("d")} AND day >= %(first_day)s AND day <= %(last_day)s
"""  # noqa: S608


def _hours(sketches: bool) -> str:
    return f"""
SELECT 'hour', {_KEY.format("hour")}, {_FIGURES}, {_SKETCH[sketches]}{_EMPTY}
FROM metric_rollup_hours h WHERE {_SCOPE.format("h")} AND hour >= %(start)s AND hour < %(end)s
"""  # noqa: S608


def _days(sketches: bool) -> str:
    return f"""
SELECT 'day', {_KEY.format("day")}, {_FIGURES}, {_SKETCH[sketches]}{_EMPTY}
FROM metric_rollup_days d WHERE {_SCOPE.format("d")} AND day >= %(first_day)s AND day <= %(last_day)s
"""  # noqa: S608


def _hours_of_pending_days(sketches: bool) -> str:
    """The hours of those days that have a pending one: they are put together anew."""
    return f"""
UNION ALL
SELECT 'hour', {_KEY.format("hour")}, {_FIGURES}, {_SKETCH[sketches]}{_EMPTY}
FROM (SELECT DISTINCT service_name, metric_type, unit, date_bin('1 day', hour, 'epoch') AS day FROM pending) AS p
CROSS JOIN LATERAL (
  SELECT h.hour, {_FIGURES}, bins, bin_rows FROM metric_rollup_hours h
  WHERE h.service_name = p.service_name AND h.metric_type = p.metric_type AND h.unit = p.unit
    AND h.hour >= p.day AND h.hour < p.day + interval '24 hours' OFFSET 0) AS h
"""  # noqa: S608


def _kept(*, daily: bool, sketches: bool) -> str:
    return _days(sketches) if daily else _hours(sketches) if sketches else _PACKED


def settled(*, daily: bool, sketches: bool) -> str:
    """What the rollups hold, and one row UNSETTLED if that is not all: planned in a third of `rolled_up`'s time."""
    return f"""{_kept(daily=daily, sketches=sketches)}
UNION ALL SELECT '{UNSETTLED}', '', '', '', NULL::bigint, {_NO_FIGURES}{_EMPTY}
WHERE EXISTS (SELECT FROM metric_rollup_marks m
              WHERE {_SCOPE.format("m")} AND hour >= %(start)s AND hour < %(end)s)
   OR EXISTS (SELECT FROM metric_late_rows l WHERE l."timestamp" >= %(start)s AND l."timestamp" < %(end)s)
"""  # noqa: S608


def rolled_up(*, daily: bool, sketches: bool) -> str:
    """Rows of (kind, service, type, unit, epoch, figures, sketch, packed hours) that `reading` puts together."""
    kept = _kept(daily=daily, sketches=sketches) + (_hours_of_pending_days(sketches) if daily else "")
    rest = f"{_KEY.format('hour')}, {_FIGURES}, {_SKETCH[sketches]}{_EMPTY}"
    return f"""{_PENDING} {kept}
UNION ALL SELECT 'pending', {_KEY.format("hour")}, {_NO_FIGURES}{_EMPTY} FROM pending
UNION ALL SELECT 'raw', {rest} FROM ({figures(raw_rows("places"))}) AS raw
UNION ALL SELECT 'late', {rest} FROM ({figures(_LATE)}) AS late
"""  # noqa: S608


FIRST = "extract(epoch FROM first_at)::float8"


def raw_buckets(sketches: bool) -> str:
    """Buckets of raw rows, each with its first row's time. Without sketches one pass: the index on service and time
    serves it."""
    at = "date_bin(%(width)s::interval, m.\"timestamp\", 'epoch')"
    scope = f'{_SCOPE.format("m")} AND m."timestamp" >= %(start)s AND m."timestamp" < %(end)s'
    if sketches:
        rows = f"(SELECT m.*, {at} AS hour FROM system_metrics m WHERE {scope}) AS m"  # noqa: S608
        columns = f"{_KEY.format('hour')}, {_FIGURES}, bins, bin_rows, {FIRST}"
        return f"SELECT 'raw', {columns} FROM ({figures(rows, first=True)}) AS raw"  # noqa: S608
    return f"""
SELECT 'raw', {_KEY.format("at")}, {_FIGURES}, NULL::int[], NULL::int[], {FIRST} FROM (
  SELECT service_name, metric_type, unit, {at} AS at, count(*) AS rows, {total("metric_value")} AS total,
         min(metric_value) AS lowest, max(metric_value) AS highest, min("timestamp") AS first_at,
         max("timestamp") AS last_at
  FROM system_metrics m WHERE {scope} GROUP BY 1, 2, 3, 4) AS raw
"""  # noqa: S608
