"""How often a service usually reports, learnt from its own rows, and from when on its silence means something."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import connection

SILENT_AFTER = timedelta(minutes=5)  # services write each 60 s: five missed batches
MISSED = 3  # missed reports of one that comes more rarely
REPORTS = 12  # the latest ones, whose median distance is the usual one: a single outage does not move it

# A probe of idx_metrics_service_time for each report. Rows less than 20 s apart are one: a service may write each of
# its types in a statement of its own.
_USUAL = """
SELECT s.name, percentile_cont(0.5) WITHIN GROUP (ORDER BY walk.distance)
FROM unnest(%(names)s::text[], %(lasts)s::timestamptz[]) AS s(name, last)
CROSS JOIN LATERAL (
  WITH RECURSIVE back(at, number) AS (
    SELECT s.last, 0
    UNION ALL
    SELECT (SELECT m."timestamp" FROM system_metrics m
            WHERE m.service_name = s.name AND m."timestamp" < b.at - interval '20 seconds'
            ORDER BY m."timestamp" DESC LIMIT 1), b.number + 1
    FROM back b WHERE b.at IS NOT NULL AND b.number < %(reports)s)
  SELECT lag(at) OVER (ORDER BY number) - at AS distance FROM back) AS walk
WHERE walk.distance IS NOT NULL
GROUP BY s.name
"""


def usual_intervals(lasts: Mapping[str, datetime]) -> dict[str, timedelta]:
    """The usual time between two reports of each service, by those up to a moment; none where it is not known yet.

    `lasts` gives for each service the moment to look back from.
    """
    with connection.cursor() as cursor:
        cursor.execute(_USUAL, {"names": list(lasts), "lasts": list(lasts.values()), "reports": REPORTS})
        return dict(cursor.fetchall())


def silent_after(usual: timedelta | None) -> timedelta:
    """How long a service with this usual interval may be quiet before it counts as silent."""
    return max(SILENT_AFTER, MISSED * (usual or timedelta()))
