"""Insights that enough users flagged to want a moderator's eye."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection

# idx_feedback_flagged_insight holds just the flagged rows, one in a hundred.
_WAITING = """
WITH flagged AS (
  SELECT insight_id, count(*) AS flags, min(created_at) AS first_at
  FROM insight_feedback WHERE flag_type IS NOT NULL
  GROUP BY insight_id HAVING count(*) >= %s)
SELECT count(*) OVER (), f.insight_id, t.headline, f.flags, f.first_at
FROM flagged f LEFT JOIN insight_texts t USING (insight_id)
ORDER BY f.flags DESC, f.first_at LIMIT %s
"""


@dataclass(frozen=True)
class FlaggedInsight:
    """An insight with at least FLAG_THRESHOLD flags; `first_at` is when its oldest flagging feedback was written."""

    insight_id: str
    headline: str | None
    flags: int
    first_at: datetime


def most_flagged(limit: int) -> tuple[int, list[FlaggedInsight]]:
    """(how many insights reached the threshold, the `limit` most flagged of them)."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [settings.FLAG_THRESHOLD, limit])
        rows = cursor.fetchall()
    return (rows[0][0] if rows else 0), [FlaggedInsight(*row[1:]) for row in rows]
