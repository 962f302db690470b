"""Which services report, which metrics each has, and when each was last heard."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from metrics.raw_reads import read_rows
from metrics.rhythm import silent_after, usual_intervals

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

# The same over the rollups, which know a service's types without its rows; and over the marks, for what they do not
# have yet. [A service with 420,000 rows: 0.8 ms, against 110 ms of its rows.]
_OF_SERVICE = """
  (SELECT metric_type FROM {table} WHERE service_name = %(service)s ORDER BY metric_type LIMIT 1)
  UNION ALL
  SELECT (SELECT metric_type FROM {table} WHERE service_name = %(service)s AND metric_type > name
          ORDER BY metric_type LIMIT 1)
  FROM {name} WHERE name IS NOT NULL"""
_TYPES_OF = f"""
WITH RECURSIVE kept(name) AS ({_OF_SERVICE.format(table="metric_rollup_days", name="kept")}),
marked(name) AS ({_OF_SERVICE.format(table="metric_rollup_marks", name="marked")})
SELECT name FROM kept WHERE EXISTS (
  SELECT FROM metric_rollup_days
  WHERE service_name = %(service)s AND metric_type = name AND day >= %(first_day)s)
UNION SELECT name FROM marked WHERE name IS NOT NULL
ORDER BY 1
"""  # noqa: S608

# What a service reports is what it reported in the hour before it was last heard.
_REPORTS = """
SELECT s.name, last.at, kinds.metric_type, kinds.unit
FROM unnest(%(present)s::text[]) AS s(name)
CROSS JOIN LATERAL (
  SELECT "timestamp" AS at FROM system_metrics WHERE service_name = s.name
  ORDER BY "timestamp" DESC LIMIT 1) AS last
CROSS JOIN LATERAL (
  SELECT DISTINCT metric_type, unit FROM system_metrics
  WHERE service_name = s.name AND "timestamp" > last.at - interval '1 hour' AND "timestamp" <= last.at) AS kinds
ORDER BY 1, 3, 4
"""

# Services all of whose rows have left for the archive, by what the rollups keep of their last day.
_FORMER = """
WITH RECURSIVE found(name) AS (
  (SELECT min(service_name) FROM metric_rollup_days)
  UNION ALL
  SELECT (SELECT min(service_name) FROM metric_rollup_days WHERE service_name > name) FROM found
  WHERE name IS NOT NULL),
former AS (SELECT name FROM found WHERE name IS NOT NULL AND name <> ALL(%(present)s::text[])),
lasts AS (
  SELECT name, max(last_at) AS at FROM former JOIN metric_rollup_days ON service_name = name GROUP BY name)
SELECT DISTINCT name, at, metric_type, unit FROM lasts JOIN metric_rollup_days
  ON service_name = name AND day = (at AT TIME ZONE 'UTC')::date
ORDER BY 1, 3, 4
"""


@dataclass(frozen=True)
class Service:
    """One service: when its newest row is from, its (metric type, unit) pairs by name, and the usual time between
    two of its reports (None while there were not two)."""

    name: str
    last: datetime
    kinds: tuple[tuple[str, str], ...]
    usual: timedelta | None = None

    @property
    def silent_after(self) -> timedelta:
        """How long it may be quiet."""
        return silent_after(self.usual)

    def silent_since(self, now: datetime) -> datetime | None:
        """When it was last heard, if that is longer ago than its rhythm explains; None while it reports."""
        return self.last if now - self.last > self.silent_after else None

    def gone(self, now: datetime) -> bool:
        """Silent for so long that nobody waits for it."""
        return now - self.last > max(GONE_AFTER, self.silent_after)


def service_names() -> list[str]:
    """Every service with a row in the table, by name."""
    return _names(_SERVICES)


def type_names() -> list[str]:
    """Every metric type with a row in the table, by name."""
    return _names(_TYPES)


def types_of(service: str) -> list[str]:
    """Every metric type that the service reported in the days that are kept as rows, by name."""
    first_day = timezone.now().date() - timedelta(days=settings.RETENTION_METRICS_DAYS)
    with connection.cursor() as cursor:
        cursor.execute(_TYPES_OF, {"service": service, "first_day": first_day})
        return [row[0] for row in cursor.fetchall()]


def services() -> list[Service]:
    """Every service with what it reports, by name; also those whose rows are in the archive."""
    found: dict[str, tuple[datetime, list[tuple[str, str]]]] = {}
    parameters = {"present": service_names()}
    rows = read_rows(_REPORTS, parameters)
    with connection.cursor() as cursor:
        cursor.execute(_FORMER, parameters)
        rows += cursor.fetchall()
    for name, last, metric_type, unit in rows:
        found.setdefault(name, (last, []))[1].append((metric_type, unit))
    usual = usual_intervals({name: last for name, (last, _) in found.items()})
    return [
        Service(name, last, tuple(kinds), usual.get(name)) for name, (last, kinds) in sorted(found.items())
    ]


def _names(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()]
