"""What every service reports right now, for the first page."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from metrics.catalogue import Service, services
from metrics.charts import AVERAGE

MAIN = ("cpu", "memory", "latency", "error_rate", "queue_depth")
TREND_TYPE = "cpu"
POINTS = 48

_VALUES = f"""
SELECT s.name, m.metric_type, m.unit, {AVERAGE}
FROM unnest(%(names)s::text[], %(lasts)s::timestamptz[]) AS s(name, last)
JOIN system_metrics m ON m.service_name = s.name
  AND m."timestamp" > s.last - interval '5 minutes' AND m."timestamp" <= s.last
WHERE m.metric_type = ANY(%(types)s)
GROUP BY 1, 2, 3
"""  # noqa: S608
_TREND = f"""
SELECT service_name, floor(extract(epoch FROM "timestamp" - %(start)s) / %(step)s)::int AS bucket, {AVERAGE}
FROM system_metrics
WHERE metric_type = %(type)s AND "timestamp" >= %(start)s AND "timestamp" < %(end)s
GROUP BY 1, 2
"""  # noqa: S608


@dataclass(frozen=True)
class ServiceNow:
    """A service with its averages over the five minutes before its last report: {type: (value, unit)}, and a day
    of CPU in POINTS averages (None where nothing was reported)."""

    service: Service
    values: dict[str, tuple[float, str]]
    trend: list[float | None]
    silent: bool
    gone: bool


def services_now(now: datetime) -> list[ServiceNow]:
    """Every service: silent ones first, gone ones last, else by CPU from the highest."""
    known = services()
    values = _latest_values(known)
    trends = _trends(now)
    rows = [
        ServiceNow(
            service,
            values.get(service.name, {}),
            trends.get(service.name, []),
            service.silent_since(now) is not None,
            service.gone(now),
        )
        for service in known
    ]
    return sorted(
        rows, key=lambda r: (r.gone, not r.silent, -r.values.get("cpu", (0.0, ""))[0], r.service.name)
    )


def _latest_values(known: list[Service]) -> dict[str, dict[str, tuple[float, str]]]:
    found: dict[str, dict[str, tuple[float, str]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            _VALUES, {"names": [s.name for s in known], "lasts": [s.last for s in known], "types": list(MAIN)}
        )
        for name, metric_type, unit, average in cursor.fetchall():
            found.setdefault(name, {})[metric_type] = (average, unit)
    return found


def _trends(now: datetime) -> dict[str, list[float | None]]:
    start, step = now - timedelta(hours=24), 24 * 3600 / POINTS
    found: dict[str, list[float | None]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_TREND, {"type": TREND_TYPE, "start": start, "end": now, "step": step})
        for name, bucket, average in cursor.fetchall():
            if 0 <= bucket < POINTS:
                found.setdefault(name, [None] * POINTS)[bucket] = average
    return found
