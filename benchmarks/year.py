"""A year of two series, one of which has twice the rows; as retention leaves it: the old days are rollups alone."""

from datetime import UTC, datetime, time, timedelta

from django.db import connection

from metrics import rollups, sealing
from metrics.partitions import ensure_months

ONCE, TWICE = "year-once", "year-twice"
HOT_DAYS = 90

_ROWS = """
INSERT INTO system_metrics (service_name, metric_type, metric_value, unit, "timestamp")
SELECT %s, 'type-01', 50 + 30 * sin(extract(epoch FROM at) / 86400 * 6.2832) + random() * 10, 'percent', at
FROM generate_series(%s::timestamptz, %s::timestamptz - interval '1 second', %s::interval) AS at
"""


def build_year(days: int = 365) -> int:
    """One row a minute of the one, two of the other; older than HOT_DAYS: sealed and deleted. The rows made."""
    midnight = datetime.combine(datetime.now(UTC), time(), UTC)
    first, hot = midnight - timedelta(days=days), midnight - timedelta(days=HOT_DAYS)
    ensure_months(sorted({(first + timedelta(days=n)).date().replace(day=1) for n in range(days + 1)}))
    rows = 0
    with connection.cursor() as cursor:
        for series, every in ((ONCE, "1 minute"), (TWICE, "30 seconds")):
            cursor.execute(_ROWS, [series, first, midnight, every])
            rows += cursor.rowcount
        rollups.refresh()
        sealing.seal(start=first, end=hot)
        with sealing.uncounted():
            cursor.execute('DELETE FROM system_metrics WHERE "timestamp" < %s AND service_name = ANY(%s)',
                           [hot, [ONCE, TWICE]])  # fmt: skip
        cursor.execute("VACUUM (ANALYZE) metric_rollup_hours, metric_rollup_days")
    return rows
