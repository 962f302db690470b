"""The one statement that changes a job that stands: it holds the job against the state machine while it changes it."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from backfill.models import BackfillJob
from backfill.states import MOVES, Verb

COLUMNS = [field.attname for field in BackfillJob._meta.concrete_fields]

# What the triggers are to know of the statement; see migration 0003. MATERIALIZED, so that it is called once.
TELL = """
told AS MATERIALIZED (SELECT set_config('utxoiq.actor', %(actor)s, true), set_config('utxoiq.act', %(act)s, true),
                             set_config('utxoiq.why', %(why)s, true))
"""
# `after` is the verb's row of the table: state before -> state after. No join with the job itself: PostgreSQL reads a
# row that changed meanwhile anew only where it is the one to be updated.
_BLOCK = """
CASE WHEN after ->> job.status = 'completed' THEN job.end_block
     ELSE greatest(job.current_block, coalesce(%(block)s, job.current_block)) END
"""
# The percentage is cut, not rounded, and below 100 until the job has completed. SQL may leave a block of no range.
_MOVE = f"""
WITH {TELL}, moves AS MATERIALIZED (SELECT %(moves)s::jsonb AS after)
UPDATE backfill_jobs AS job SET
  status = after ->> job.status,
  current_block = {_BLOCK},
  progress_percentage = CASE after ->> job.status WHEN 'completed' THEN 100 ELSE greatest(0, least(99.99, trunc(
    100 * ({_BLOCK} - job.start_block)::numeric / (job.end_block::bigint - job.start_block + 1), 2))) END,
  error_message = coalesce(%(error)s, job.error_message),
  estimated_completion = coalesce(%(estimate)s, job.estimated_completion),
  completed_at = CASE after ->> job.status WHEN 'completed' THEN now() ELSE job.completed_at END
FROM told, moves
WHERE job.id = %(id)s AND after ? job.status
  AND (%(block)s IS NULL OR %(block)s BETWEEN job.start_block AND job.end_block)
  AND (%(block)s IS NULL OR %(verb)s <> 'report' OR %(block)s >= job.current_block)
  AND (%(lease)s::uuid IS NULL OR NOT EXISTS (
    SELECT FROM backfill_work work WHERE work.job_id = job.id AND work.lease <> %(lease)s))
RETURNING {", ".join(f"job.{name}" for name in COLUMNS)}
"""  # noqa: S608


@dataclass(frozen=True)
class Move:
    """What is to happen to a job: through whom, and why they said so.

    `by_worker`: it tells of the job's own worker, so it counts as a report. `block`, `error` and `estimate` are stored
    where they are given; `lease` is what the caller holds, and None with one that never claimed.
    """

    verb: Verb
    actor: str
    why: str = ""
    by_worker: bool = False
    block: int | None = None
    error: str | None = None
    estimate: datetime | None = None
    lease: uuid.UUID | None = None


def move(job_id: uuid.UUID, wanted: Move) -> BackfillJob | None:
    """Move the job; None, and nothing changed, where the table, its range, a newer block or a lease forbid it."""
    parameters: dict[str, Any] = {
        "id": job_id,
        "verb": wanted.verb.value,
        "moves": json.dumps(MOVES[wanted.verb]),
        "actor": wanted.actor,
        "act": "" if wanted.by_worker else wanted.verb.value,
        "why": wanted.why,
        "block": wanted.block,
        "error": wanted.error,
        "estimate": wanted.estimate,
        "lease": wanted.lease,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, parameters)
        row = cursor.fetchone()
    return BackfillJob.from_db("default", COLUMNS, row) if row else None
