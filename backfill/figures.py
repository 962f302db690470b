"""Finished jobs by type over time: how they ended, how long they took, how fast they were."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection

WEEKS = 26  # as long as jobs are kept in the table

# Time from start to end, as people wait for it; blocks/s of work where it was followed, else of that time.
_FIGURES = """
WITH ended AS (
  SELECT job.job_type, work.ended_at,
         CASE WHEN job.status = 'completed' THEN 'completed' WHEN work.cancelled_at IS NULL THEN 'failed'
              ELSE 'cancelled' END AS outcome,
         extract(epoch FROM work.ended_at - job.started_at) AS seconds,
         job.end_block::bigint - job.start_block + 1 AS blocks, work.worked_blocks, work.worked_seconds
  FROM backfill_jobs job JOIN backfill_work work ON work.job_id = job.id
  WHERE work.ended_at >= %(since)s AND job.status IN ('completed', 'failed'))
SELECT job_type, floor(extract(epoch FROM ended_at - %(since)s) / 604800)::int AS week,
       count(*) FILTER (WHERE outcome = 'completed'), count(*) FILTER (WHERE outcome = 'failed'),
       count(*) FILTER (WHERE outcome = 'cancelled'),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE outcome = 'completed'),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY CASE WHEN worked_seconds > 0 AND worked_blocks > 0
         THEN worked_blocks / worked_seconds ELSE blocks / nullif(seconds, 0)::float8 END)
         FILTER (WHERE outcome = 'completed')
FROM ended GROUP BY job_type, week ORDER BY job_type, week
"""


@dataclass
class Week:
    """Jobs of one type that ended in one week; `seconds` and `rate` (blocks/s) are medians of completed ones."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    seconds: float | None = None
    rate: float | None = None


@dataclass
class TypeFigures:
    """One type's weeks, the oldest first."""

    job_type: str
    weeks: list[Week] = field(default_factory=lambda: [Week() for _ in range(WEEKS)])

    def total(self, outcome: str) -> int:
        return sum(getattr(week, outcome) for week in self.weeks)

    @property
    def newest(self) -> Week:
        """The last week in which a job completed."""
        return next((week for week in reversed(self.weeks) if week.completed), Week())


def figures(now: datetime) -> list[TypeFigures]:
    """Every type with a job that ended in the last WEEKS weeks, by name."""
    found: dict[str, TypeFigures] = {}
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, {"since": now - timedelta(weeks=WEEKS)})
        for job_type, week, *values in cursor.fetchall():
            one = found.setdefault(job_type, TypeFigures(job_type))
            one.weeks[min(week, WEEKS - 1)] = Week(*values)
    return list(found.values())
