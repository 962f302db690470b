"""The bench data: metrics of 200 series (20 services with 10 types each), one row a minute each, ending now; and
feedback of two years, one row in a hundred flagged, on insights of which one in twenty has some ten flags.
"""

from datetime import UTC, datetime, timedelta

from django.db import connection

from feedback import figures
from metrics import rollups

SERVICES, TYPES = 20, 10
SERIES = SERVICES * TYPES
VOICES = 50  # rows for each insight, on the average
USERS = 500_009  # a prime, so that the users of one insight are all different
FLAGGED = 20  # one insight in so many has flags

# A row a minute of every series; parameters: start, end, SERVICES, TYPES.
MINUTES = """
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
            cursor.execute(MINUTES, [start, until, SERVICES, TYPES])
            start = until
            rollups.refresh()
        cursor.execute("VACUUM (ANALYZE) system_metrics, metric_rollup_hours, metric_rollup_days")
        cursor.execute("SELECT count(*) FROM system_metrics")
        return int(cursor.fetchone()[0])


# Insight n is the n-th that was published; half of what is said goes to every second one, so that figures differ.
_FEEDBACK = """
INSERT INTO insight_feedback (insight_id, user_id, rating, comment, flag_type, flag_reason, created_at, updated_at)
SELECT 'insight-' || lpad(to_hex(about), 8, '0'), 'user-' || (n * 7919 + turn * 104729) %% %(users)s,
       CASE WHEN random() < 0.8 THEN 1 + floor(5 * sqrt(random()))::int END,
       CASE WHEN random() < 0.24 THEN 'What user ' || n %% 1000 || ' thinks of it, in a sentence or two.' END,
       CASE WHEN flagged THEN (ARRAY['inaccurate', 'misleading', 'spam'])[1 + (n + turn) %% 3] END,
       CASE WHEN flagged AND turn %% 2 = 0 THEN 'The figures do not add up.' END, at, at
FROM (
  SELECT n, turn, about, about %% %(flagged)s = 0 AND turn %% 5 = 0 AS flagged,
         now() - interval '720 days' * (1 - about::float8 / %(insights)s) + interval '9 hours' * random() AS at
  FROM (SELECT n, turn, CASE WHEN turn %% 2 = 1 AND n %% %(flagged)s <> 0 THEN n / 2 * 2 ELSE n END AS about
        FROM generate_series(%(first)s, %(last)s) AS n, generate_series(0, %(voices)s - 1) AS turn) AS said) AS dated
ON CONFLICT DO NOTHING
"""


def build_feedback(rows: int) -> int:
    """Fill insight_feedback with about `rows` rows, oldest first, through its triggers; the rows made."""
    insights = max(rows // VOICES, 1)
    with connection.cursor() as cursor:
        for first in range(0, insights, 2_000):
            last = min(first + 2_000, insights) - 1
            sizes = {"users": USERS, "flagged": FLAGGED, "insights": insights, "voices": VOICES}
            cursor.execute(_FEEDBACK, {**sizes, "first": first, "last": last})
        figures.refresh(wait=True)
        cursor.execute(
            "VACUUM (ANALYZE) insight_feedback, insight_flags, insight_figures, insight_figure_changes"
        )
        cursor.execute("SELECT count(*) FROM insight_feedback")
        return int(cursor.fetchone()[0])
