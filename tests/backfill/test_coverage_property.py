"""Random histories of jobs, by HTTP and SQL at once: coverage is what a plain set of blocks says.

Small here; `make stress` runs 500 longer ones.
"""

import json
import os
import random

import pytest
from django.test import Client

from backfill import coverage, upkeep
from backfill.models import BackfillJob
from tests.accounts.access import bearer, token
from tests.backfill.conftest import sql, sql_job, sql_move

pytestmark = [pytest.mark.django_db, pytest.mark.stress]
STRESS = os.environ.get("STRESS") == "1"
RUNS, STEPS = (500, 80) if STRESS else (25, 20)
SEED = int(os.environ.get("SEED", random.randrange(10**6)) if STRESS else 20261124)
TIP, TYPES = 120, ("blocks", "transactions")
BASE = "/api/v1/monitoring/backfill/"


class Model:
    """What is known of one job: the blocks it did, those it reported failed, and how far it is."""

    def __init__(self, job_id, job_type, first, last, at, status="running"):
        self.id, self.type, self.first, self.last, self.at, self.status = (
            job_id,
            job_type,
            first,
            last,
            at,
            status,
        )
        self.done, self.failed, self.gone = set(), set(), False
        self.learn()

    def learn(self):
        end = self.last + 1 if self.status == "completed" else max(self.first, min(self.at, self.last + 1))
        self.done |= set(range(self.first, end))


class History:
    """Steps drawn by chance, done to the real thing and to the model."""

    def __init__(self, chance, secret):
        self.chance, self.client, self.headers = chance, Client(), bearer(secret)
        self.jobs = []

    def post(self, path, **body):
        answer = self.client.post(
            BASE + path, json.dumps(body), content_type="application/json", headers=self.headers
        )
        assert answer.status_code in (200, 201, 204, 409), answer.content
        return answer.status_code, json.loads(answer.content or "null")

    def step(self):
        standing = [job for job in self.jobs if not job.gone]
        acts = [self.start, self.start_by_sql]
        if standing:
            acts += [self.report, self.report, self.report_by_sql, self.fail_blocks, self.decide, self.claim]
            acts += [self.end, self.archive, self.fold]
        self.chance.choice(acts)()

    def span(self):
        first = self.chance.randrange(TIP)
        return first, self.chance.randrange(first, min(TIP, first + 40) + 1)

    def pick(self):
        return self.chance.choice([job for job in self.jobs if not job.gone])

    def start(self):
        (first, last), kind = self.span(), self.chance.choice(TYPES)
        overlap = self.chance.random() < 0.5
        taken = [
            job for job in self.jobs
            if not job.gone and job.type == kind and job.status != "failed" and job.first <= last and job.last >= first
        ]  # fmt: skip
        code, body = self.post(
            "start", job_type=kind, start_block=first, end_block=last, allow_overlap=overlap
        )
        archived = set().union(*(job.done - job.failed for job in self.jobs if job.gone and job.type == kind))
        in_the_way = taken or archived & set(range(first, last + 1))
        assert code == (409 if in_the_way and not overlap else 201)
        if code == 201:
            self.jobs.append(Model(body["id"], kind, first, last, first))
        else:
            assert {job["id"] for job in body["jobs"]} == {job.id for job in taken}

    def start_by_sql(self):
        (first, last), kind = self.span(), self.chance.choice(TYPES)
        at, status = (
            self.chance.randrange(first, last + 2),
            self.chance.choice(["running", "paused", "completed", "failed"]),
        )
        job = sql_job(first, last, at, job_type=kind, status=status)
        self.jobs.append(Model(str(job.pk), kind, first, last, at, status))

    def report(self):
        job = self.pick()
        block = self.chance.randrange(job.first, job.last + 1)
        failed = self.chance.sample(range(job.first, job.last + 1), 1) if self.chance.random() < 0.3 else []
        _, body = self.post(f"progress?job_id={job.id}", current_block=block, failed_blocks=failed)
        applies = job.status in ("running", "paused") and block >= job.at
        assert body["applied"] == applies
        job.failed |= set(failed)
        if applies:
            job.at = block
            job.learn()
        assert body["command"] == {"running": "continue", "paused": "pause"}.get(job.status, "stop")

    def report_by_sql(self):
        job = self.pick()
        job.at = self.chance.randrange(max(0, job.first - 5), job.last + 10)
        sql_move(job.id, current_block=job.at)
        job.learn()

    def fail_blocks(self):
        job = self.pick()
        failed = self.chance.sample(range(job.first, job.last + 1), min(3, job.last - job.first + 1))
        self.post(f"progress?job_id={job.id}", current_block=job.first, failed_blocks=failed)
        job.failed |= set(failed)
        if job.status in ("running", "paused") and job.first >= job.at:
            job.at = job.first
            job.learn()

    def end(self):
        job, status = self.pick(), self.chance.choice(["completed", "failed"])
        _, body = self.post(f"progress?job_id={job.id}", status=status)
        assert body["applied"] == (job.status in ("running", "paused"))
        if body["applied"]:
            job.status = status
            job.at = job.last if status == "completed" else job.at
            job.learn()

    def decide(self):
        job, verb = self.pick(), self.chance.choice(["pause", "resume", "cancel", "retry"])
        code, body = self.post(f"{job.id}/{verb}")
        if verb == "retry" and code == 201:
            missing = set(range(job.first, job.last + 1)) - self.covered(job.type)
            assert (body["start_block"], body["end_block"]) == (min(missing), max(missing))
            self.jobs.append(
                Model(body["id"], job.type, body["start_block"], body["end_block"], body["start_block"])
            )
        elif code == 200:
            job.status = body["status"]

    def claim(self):
        code, body = self.post("claim")
        if code == 200:
            job = next(job for job in self.jobs if job.id == body["id"])
            missing = set(range(job.at, job.last + 1)) - self.covered(job.type)
            assert {block for first, last in body["missing"] for block in range(first, last + 1)} == missing

    def archive(self):
        """Retention takes a job that has ended; sometimes it is restored, as it was."""
        ended = [job for job in self.jobs if not job.gone and job.status in ("completed", "failed")]
        if not ended:
            return
        job = self.chance.choice(ended)
        row = BackfillJob.objects.get(pk=job.id)
        sql("DELETE FROM backfill_jobs WHERE id = %s", job.id)
        if self.chance.random() < 0.5:
            upkeep.fold_ledger()
        if self.chance.random() < 0.3:
            BackfillJob.objects.bulk_create([row])
        else:
            job.gone = True

    def fold(self):
        upkeep.fold_ledger()

    def covered(self, kind):
        return set().union(*(job.done - job.failed for job in self.jobs if job.type == kind))

    def check(self):
        found = {each.job_type: each for each in coverage.by_type()}
        for kind in TYPES:
            expected, each = self.covered(kind), found.get(kind)
            if each is None:
                assert not expected
                continue
            assert blocks(each.done) == expected
            assert blocks(coverage.missing(kind, 0, TIP)) == set(range(TIP + 1)) - expected
            at_work = set().union(
                *(set(range(max(job.at, job.first), job.last + 1)) for job in self.jobs
                  if job.type == kind and not job.gone and job.status in ("running", "paused"))
            )  # fmt: skip
            assert blocks(each.at_work) == at_work - expected
            assert blocks(each.missing) == set(range(each.tip + 1)) - expected - at_work
            assert blocks(coverage.unclaimed(kind, 0, TIP)) == set(range(TIP + 1)) - expected - at_work


def blocks(ranges):
    return {block for first, last in ranges for block in range(first, last + 1)}


def test_coverage_is_what_a_set_of_blocks_says():
    _, secret = token("backfill:write", name="worker")
    if STRESS:
        print(f"seed {SEED}: {RUNS} histories of {STEPS} steps")
    for run in range(RUNS):
        sql("TRUNCATE backfill_jobs, backfill_ledger, backfill_ledger_folds, backfill_work, backfill_samples")
        history = History(random.Random(SEED * 1000 + run), secret)
        for _ in range(STEPS):
            history.step()
        history.check()
