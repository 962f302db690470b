"""What keeps this app's own tables small: samples thin out as they age, entries of jobs that are gone fold together."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

# Older than this -> one sample is left in each stretch of that length (seconds). The newest ones stay whole: what is
# usual for a job is learnt from them.
THINNING = ((timedelta(minutes=10), 60), (timedelta(days=1), 600), (timedelta(days=14), 3600))
BATCH = 50_000

# The last of each stretch stays, and every one that begins; the index on (job_id, at) is in the order of the window.
_THIN = """
DELETE FROM backfill_samples WHERE (job_id, at) IN (
  SELECT job_id, at FROM (
    SELECT job_id, at, begins,
           lead(at) OVER (PARTITION BY job_id ORDER BY at) AS next
    FROM backfill_samples WHERE at < clock_timestamp() - %(age)s) aged
  WHERE NOT begins AND date_bin(%(width)s, next, 'epoch') = date_bin(%(width)s, at, 'epoch') LIMIT %(batch)s)
"""
# An entry with failed blocks is not folded: they must not count as done. One that is stays, and is counted by itself
# again should its job come back from the archive (migration 0005).
FOLD_LOCK = 7_021_007
_FOLD = """
WITH gone AS (
  UPDATE backfill_ledger AS known SET folded = true
  WHERE NOT folded AND isempty(failed) AND NOT EXISTS (SELECT FROM backfill_jobs job WHERE job.id = known.job_id)
  RETURNING job_type, done)
INSERT INTO backfill_ledger_folds AS fold (job_type, done)
SELECT job_type, coalesce(range_agg(piece), '{}') FROM (SELECT job_type, unnest(done) AS piece FROM gone) pieces
GROUP BY job_type ORDER BY job_type
ON CONFLICT (job_type) DO UPDATE SET done = fold.done + excluded.done
"""
_FORGET = """
DELETE FROM backfill_events AS event WHERE at < clock_timestamp() - %(age)s
  AND NOT EXISTS (SELECT FROM backfill_jobs job WHERE job.id = event.job_id)
"""


def thin_samples() -> int:
    """Remove samples that stand closer together than their age deserves, at most BATCH of each age; how many."""
    return sum(_run(_THIN, age=age, width=timedelta(seconds=width), batch=BATCH) for age, width in THINNING)


@transaction.atomic
def fold_ledger() -> int:
    """Fold the entries of jobs that are gone into one row a type; coverage is the same before and after."""
    # In a statement of its own: the next one sees every job that was inserted before.
    _run("SELECT pg_advisory_xact_lock(%(lock)s)", lock=FOLD_LOCK)
    return _run(_FOLD)


def forget_events() -> int:
    """Remove the events of jobs that left the table, once they are older than their setting; how many."""
    return _run(_FORGET, age=timedelta(days=settings.RETENTION_JOB_EVENTS_DAYS))


def _run(sql: str, **parameters: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return int(cursor.rowcount)
