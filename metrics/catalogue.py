"""Which services report, which metrics each has, and when each was last heard."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

SILENT_AFTER = timedelta(minutes=5)  # services write each 60 s: five missed batches
GONE_AFTER = timedelta(days=7)

# Loose index scans: one probe of idx_metrics_service_time (idx_metrics_type_time) per distinct name, never a
# scan of the rows. [26 million rows in 7 partitions, 20 services: see `make bench`.]
_SERVICES = """
WITH RECURSIVE found(name) AS (
  (SELECT service_name FROM system_metrics ORDER BY service_name LIMIT 1)
  UNION ALL
  SELECT (SELECT service_name FROM system_metrics WHERE service_name > name ORDER BY service_name LIMIT 1)
  FROM found WHERE name IS NOT NULL)
SELECT name FROM found WHERE name IS NOT NULL
"""
_TYPES = _SERVICES.replace("service_name", "metric_type")

# What a service reports is what it reported in the hour before it was last heard.
_REPORTS = """
SELECT s.name, last.at, kinds.metric_type, kinds.unit
FROM unnest(%s::text[]) AS s(name)
CROSS JOIN LATERAL (
  SELECT "timestamp" AS at FROM system_metrics WHERE service_name = s.name
  ORDER BY "timestamp" DESC LIMIT 1) AS last
CROSS JOIN LATERAL (
  SELECT DISTINCT metric_type, unit FROM system_metrics
  WHERE service_name = s.name AND "timestamp" > last.at - interval '1 hour' AND "timestamp" <= last.at) AS kinds
ORDER BY 1, 3, 4
"""


@dataclass(frozen=True)
class Service:
    """One service: when its newest row is from, and its (metric type, unit) pairs by name."""

    name: str
    last: datetime
    kinds: tuple[tuple[str, str], ...]

    def silent_since(self, now: datetime) -> datetime | None:
        """When it was last heard, if that is longer ago than SILENT_AFTER; None while it reports."""
        return self.last if now - self.last > SILENT_AFTER else None

    def gone(self, now: datetime) -> bool:
        """Silent for so long that it counts as retired."""
        return now - self.last > GONE_AFTER


def service_names() -> list[str]:
    """Every service with a row in the table, by name."""
    return _names(_SERVICES)


def type_names() -> list[str]:
    """Every metric type with a row in the table, by name."""
    return _names(_TYPES)


def services() -> list[Service]:
    """Every service with what it reports, by name."""
    found: dict[str, tuple[datetime, list[tuple[str, str]]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_REPORTS, [service_names()])
        for name, last, metric_type, unit in cursor.fetchall():
            found.setdefault(name, (last, []))[1].append((metric_type, unit))
    return [Service(name, last, tuple(kinds)) for name, (last, kinds) in found.items()]


def _names(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()]
