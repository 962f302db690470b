"""How jobs stand: each with its worker's side, pace, verdict and estimate, read in three queries for any number."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import quantiles

from django.db import connection

from backfill.models import BackfillJob, JobWork
from backfill.pace import WINDOW, Pace, Point, pace
from backfill.verdicts import State, Verdict, judge

# One short index scan for each job.
_SAMPLES = """
SELECT job.id, sample.at, sample.block, sample.begins FROM unnest(%s::uuid[]) AS job(id), LATERAL (
  SELECT at, block, begins FROM backfill_samples WHERE job_id = job.id ORDER BY at DESC LIMIT %s) sample
ORDER BY job.id, sample.at
"""
# Rates of the newest completed jobs of each type, in blocks/s of work.
_PAST = """
SELECT kind.job_type, past.rate FROM unnest(%s::text[]) AS kind(job_type), LATERAL (
  SELECT work.worked_blocks / work.worked_seconds AS rate
  FROM backfill_jobs job JOIN backfill_work work ON work.job_id = job.id
  WHERE job.job_type = kind.job_type AND job.status = 'completed' AND work.worked_seconds > 0 AND work.worked_blocks > 0
  ORDER BY job.started_at DESC LIMIT 20) past
"""
FEW = 10  # legs up to which past jobs of the type have a say in the estimate
CHART_POINTS = 2_000
MARGIN = 0.05  # an estimate from one rate alone would claim to be exact


@dataclass(frozen=True)
class Standing:
    """One job at the moment `now`. Rates are blocks/s; `estimate` is the shortest and longest time left, in seconds."""

    job: BackfillJob
    work: JobWork
    pace: Pace
    verdict: Verdict
    now: datetime
    rate_whole: float | None
    estimate: tuple[float, float] | None

    @property
    def rate_now(self) -> float | None:
        """None where nothing is heard or nothing moves: the last rate would be the past's."""
        moving = self.verdict.state in (State.RUNNING, State.SLOW)
        return self.pace.now if moving else None


def standing_of(jobs: Iterable[BackfillJob]) -> list[Standing]:
    """The same jobs in the same order, as they stand now by the database's clock."""
    jobs = list(jobs)
    works = JobWork.objects.in_bulk([job.pk for job in jobs])
    at_work = [job for job in jobs if job.status == BackfillJob.Status.RUNNING]
    points = samples([job.pk for job in at_work]) if at_work else {}
    past = past_rates({job.job_type for job in at_work}) if at_work else {}
    now = database_now()
    return [
        _standing(job, works.get(job.pk) or JobWork(job_id=job.pk, changed_at=now), points, past, now)
        for job in jobs
    ]


def _standing(
    job: BackfillJob,
    work: JobWork,
    points: dict[uuid.UUID, list[Point]],
    past: dict[str, list[float]],
    now: datetime,
) -> Standing:
    whole = _whole_rate(job, work)
    rhythm = pace(points.get(job.pk, []), whole=whole)
    verdict = judge(job, work, rhythm, now)
    moving = verdict.state in (State.RUNNING, State.SLOW)
    left = job.blocks - job.passed
    estimate = time_left(left, rhythm, whole, past.get(job.job_type, [])) if moving else None
    return Standing(job, work, rhythm, verdict, now, whole, estimate)


def _whole_rate(job: BackfillJob, work: JobWork) -> float | None:
    """Blocks/s of the time it was followed at work; of a completed job that never was, of all its time."""
    if work.worked_seconds and work.worked_blocks:
        return work.worked_blocks / work.worked_seconds
    if job.status == BackfillJob.Status.COMPLETED and work.ended_at and work.ended_at > job.started_at:
        return job.blocks / (work.ended_at - job.started_at).total_seconds()
    return None


def time_left(
    left: int, rhythm: Pace, whole: float | None, past: Sequence[float]
) -> tuple[float, float] | None:
    """Seconds for `left` blocks at the fastest and the slowest of the rates that have a say; None without any.

    Its own rate of the last reports and over the whole run; while those are few, also the middle half of the rates of
    past jobs of its type.
    """
    rates = [rate for rate in (rhythm.now, whole) if rate]
    if rhythm.legs < FEW and len(past) >= 2:
        first, _, third = quantiles(past, n=4, method="inclusive")
        rates += [first, third]
    if not rates:
        return None
    return left / max(rates) * (1 - MARGIN), left / min(rates) * (1 + MARGIN)


def samples(job_ids: Sequence[uuid.UUID], *, limit: int = WINDOW) -> dict[uuid.UUID, list[Point]]:
    """The newest samples of each job, oldest first."""
    found: dict[uuid.UUID, list[Point]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLES, [list(job_ids), limit])
        for job_id, *values in cursor.fetchall():
            found.setdefault(job_id, []).append(Point(*values))
    return found


def rates_over_time(job_id: uuid.UUID) -> dict[str, list[float | int | None]]:
    """Columns for a chart: times (Unix seconds), blocks/s up to each of them (None: no work), and the block there."""
    points = samples([job_id], limit=CHART_POINTS).get(job_id, [])
    rates: list[float | int | None] = [None] * min(1, len(points))
    for before, point in pairwise(points):
        seconds = (point.at - before.at).total_seconds()
        rates.append(None if point.begins or not seconds else max(0, point.block - before.block) / seconds)
    return {
        "times": [point.at.timestamp() for point in points],
        "rates": rates,
        "blocks": [point.block for point in points],
    }


def past_rates(job_types: Iterable[str]) -> dict[str, list[float]]:
    """Blocks/s of the newest completed jobs of each type, 20 at most."""
    found: dict[str, list[float]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_PAST, [sorted(job_types)])
        for job_type, rate in cursor.fetchall():
            found.setdefault(job_type, []).append(float(rate))
    return found


def database_now() -> datetime:
    """The moment by the clock that stamps the samples: a verdict within seconds bears no second clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment
