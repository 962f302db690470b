"""Which blocks are done, by type: the union of what the ledger holds for each job, those that are gone included.

A block is done if any job did it, and did not report it failed. The ledger's rows are written by the triggers of
`backfill_jobs` (migration 0003) and never shrink; docs/backfill.md says why there is one per job.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection

from backfill.fields import BlockRange, multirange, ranges
from backfill.models import LedgerEntry

# range_agg takes ranges only before PostgreSQL 15, so multiranges are unnested first.
_DONE = """
SELECT job_type, range_agg(piece) AS blocks FROM (
  SELECT job_type, unnest(done - failed) AS piece FROM backfill_ledger WHERE NOT folded {where}
  UNION ALL
  SELECT job_type, unnest(done) FROM backfill_ledger_folds WHERE true {where}) pieces
GROUP BY job_type
"""
_MISSING = f"""
int8multirange(int8range(%(first)s, %(last)s, '[]'))
  - coalesce((SELECT blocks FROM ({_DONE.format(where="AND job_type = %(type)s")}) done), '{{}}')
"""  # noqa: S608
_ARCHIVED = """
int8multirange(int8range(%(first)s, %(last)s, '[]')) * coalesce((SELECT range_agg(piece) FROM (
  SELECT unnest(done - failed) AS piece FROM backfill_ledger known
  WHERE job_type = %(type)s AND NOT folded AND NOT EXISTS (SELECT FROM backfill_jobs job WHERE job.id = known.job_id)
  UNION ALL SELECT unnest(done) FROM backfill_ledger_folds WHERE job_type = %(type)s) pieces), '{}')
"""
_TAKEN = """
SELECT range_agg(int8range(greatest(current_block, start_block), end_block, '[]')) FROM backfill_jobs
WHERE job_type = %(type)s AND status IN ('running', 'paused') AND current_block <= end_block
"""
_UNCLAIMED = f"{_MISSING} - coalesce(({_TAKEN}), '{{}}')"
_ALL = f"""
WITH done AS ({_DONE.format(where="")}),
failed AS (SELECT job_type, range_agg(piece) AS blocks
           FROM (SELECT job_type, unnest(failed) AS piece FROM backfill_ledger) pieces GROUP BY job_type),
at_work AS (SELECT job_type, range_agg(int8range(greatest(current_block, start_block), end_block, '[]')) AS blocks
            FROM backfill_jobs WHERE status IN ('running', 'paused') AND current_block <= end_block GROUP BY job_type)
SELECT job_type, coalesce(done.blocks, '{{}}')::text,
       (coalesce(at_work.blocks, '{{}}') - coalesce(done.blocks, '{{}}'))::text,
       (coalesce(failed.blocks, '{{}}') - coalesce(done.blocks, '{{}}') - coalesce(at_work.blocks, '{{}}'))::text
FROM done FULL JOIN failed USING (job_type) FULL JOIN at_work USING (job_type) ORDER BY job_type
"""  # noqa: S608
_HIGHEST = """
SELECT (SELECT max(end_block) FROM backfill_jobs),
       greatest((SELECT max(upper(done)) - 1 FROM backfill_ledger),
                (SELECT max(upper(done)) - 1 FROM backfill_ledger_folds))
"""


@dataclass(frozen=True)
class Coverage:
    """One type from genesis to the tip: sorted ranges, both ends included, that share no block.

    `at_work`: a job runs or is paused there. `failed`: a job reported them, and no other did them. `missing`: no job
    did or does them, failed ones included.
    """

    job_type: str
    tip: int
    done: list[BlockRange] = field(default_factory=list)
    at_work: list[BlockRange] = field(default_factory=list)
    failed: list[BlockRange] = field(default_factory=list)
    missing: list[BlockRange] = field(default_factory=list)


def missing(job_type: str, first: int, last: int) -> list[BlockRange]:
    """The blocks of first..last that no job of the type has done."""
    return _ranges(_MISSING, {"type": job_type, "first": first, "last": last})


def unclaimed(job_type: str, first: int, last: int) -> list[BlockRange]:
    """Of those, the blocks that no running or paused job has before it either."""
    return _ranges(_UNCLAIMED, {"type": job_type, "first": first, "last": last})


def done_and_archived(job_type: str, first: int, last: int) -> list[BlockRange]:
    """Those of first..last that jobs did which are in the table no more."""
    return _ranges(_ARCHIVED, {"type": job_type, "first": first, "last": last})


def note_failed(job_id: uuid.UUID, blocks: Iterable[int]) -> None:
    """Add blocks that the job could not do to its ledger entry; in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE backfill_ledger SET failed = failed + %s::int8multirange WHERE job_id = %s",
            [multirange((block, block) for block in blocks), job_id],
        )


def chain_tip() -> int:
    """The highest block there is: the setting CHAIN_TIP_BLOCK, else the highest that a job named; and none below a
    block that is done."""
    with connection.cursor() as cursor:
        cursor.execute(_HIGHEST)
        named, done = cursor.fetchone()
    return max(settings.CHAIN_TIP_BLOCK or named or 0, done or 0)


def by_type() -> list[Coverage]:
    """Every type that has a job or a done block, by name."""
    tip = chain_tip()
    with connection.cursor() as cursor:
        cursor.execute(_ALL)
        rows = cursor.fetchall()
    return [_coverage(tip, name, *(ranges(each) for each in blocks)) for name, *blocks in rows]


def _coverage(
    tip: int, name: str, done: list[BlockRange], at_work: list[BlockRange], failed: list[BlockRange]
) -> Coverage:
    return Coverage(name, tip, done, at_work, failed, _gaps(sorted([*done, *at_work]), tip))


def _gaps(taken: list[BlockRange], tip: int) -> list[BlockRange]:
    gaps, after = [], 0
    for first, last in taken:
        if first > after:
            gaps.append((after, first - 1))
        after = max(after, last + 1)
    return [*gaps, (after, tip)] if after <= tip else gaps


def _ranges(expression: str, parameters: dict[str, Any]) -> list[BlockRange]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT ({expression})::text", parameters)
        return ranges(cursor.fetchone()[0])


def failed_of(job_id: uuid.UUID) -> list[BlockRange]:
    """The blocks that this job reported failed."""
    entry = LedgerEntry.objects.filter(pk=job_id).first()
    return entry.failed if entry else []
