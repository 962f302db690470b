"""The bench data: 200 series (20 services with 10 types each), one row a minute each, ending now."""

from datetime import UTC, datetime, timedelta

from django.db import connection

from metrics import rollups

SERVICES, TYPES = 20, 10
SERIES = SERVICES * TYPES

_DAY = """
INSERT INTO system_metrics (service_name, metric_type, metric_value, unit, "timestamp", metric_metadata)
SELECT 'service-' || lpad(s::text, 2, '0'), 'type-' || lpad(k::text, 2, '0'),
       50 + 30 * sin(extract(epoch FROM at) / 86400 * 6.2832 + s) + random() * 10,
       CASE k %% 3 WHEN 0 THEN 'percent' WHEN 1 THEN 'ms' ELSE 'count' END, at, '{"instance_id": "a"}'
FROM generate_series(%s::timestamptz, %s::timestamptz - interval '1 second', interval '1 minute') AS at,
     generate_series(1, %s) AS s, generate_series(1, %s) AS k
"""


def build_metrics(rows: int) -> int:
    """Fill system_metrics with about `rows` rows, oldest day first, bring the rollups up to date; the rows made."""
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    start = end - timedelta(minutes=rows // SERIES)
    with connection.cursor() as cursor:
        while start < end:
            until = min(end, start + timedelta(days=1))
            cursor.execute(_DAY, [start, until, SERVICES, TYPES])
            start = until
            rollups.refresh()
        cursor.execute("VACUUM (ANALYZE) system_metrics, metric_rollup_hours, metric_rollup_days")
        cursor.execute("SELECT count(*) FROM system_metrics")
        return int(cursor.fetchone()[0])
