"""Many workers that report at once over real HTTP: no error, no lost or backward progress.

20 for three seconds here; `make stress` has 200 report each second for a minute, and prints the times.
"""

import http.client
import json
import os
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from backfill import coverage
from backfill.models import BackfillJob, Sample
from backfill.services import job_start
from tests.accounts.access import token
from tests.backfill.conftest import wish

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stress]
STRESS = os.environ.get("STRESS") == "1"
WORKERS, SECONDS = (200, 60) if STRESS else (20, 3)
SPAN = 10_000


class Reporter:
    """One worker with a connection of its own; every fifth report it sends again, or an older block."""

    def __init__(self, address, secret, job):
        self.job, self.block, self.times = job, job.start_block, []
        self.http = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        self.headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self.chance = random.Random(job.start_block)

    def run(self):
        time.sleep(self.chance.random())
        end = time.monotonic() + SECONDS
        while (begun := time.monotonic()) < end:
            self.block += self.chance.randrange(1, 100)
            assert self.report(self.block) == (True, self.block)
            if self.chance.random() < 0.2:
                again = self.block - self.chance.randrange(2)
                assert self.report(again) == (again == self.block, self.block)
            time.sleep(max(0, begun + 1 - time.monotonic()))
        self.http.close()
        return self

    def report(self, block):
        begun = time.perf_counter()
        path = f"/api/v1/monitoring/backfill/progress?job_id={self.job.pk}"
        self.http.request("POST", path, json.dumps({"current_block": block}), self.headers)
        answer = self.http.getresponse()
        body = json.loads(answer.read())
        self.times.append((time.perf_counter() - begun) * 1000)
        assert answer.status == 200, body
        return body["applied"], body["current_block"]


def test_nothing_is_lost_and_nothing_goes_back(site):
    _, secret = token("backfill:write")
    jobs = [job_start(wish=wish(n * SPAN, n * SPAN + SPAN - 1)) for n in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as threads:
        reporters = list(threads.map(lambda job: Reporter(site, secret, job).run(), jobs))
    told = {each.job.pk: each.block for each in reporters}
    assert dict(BackfillJob.objects.values_list("pk", "current_block")) == told
    assert coverage.by_type()[0].done == [(job.start_block, told[job.pk] - 1) for job in jobs]
    for job in jobs:
        blocks = list(Sample.objects.filter(job_id=job.pk).order_by("at").values_list("block", flat=True))
        assert blocks == sorted(blocks)
    times = sorted(ms for each in reporters for ms in each.times)
    assert len(times) >= WORKERS * (SECONDS - 1)
    if STRESS:
        p95 = statistics.quantiles(times, n=20)[-1]
        print(f"{len(times):,} reports of {WORKERS} workers: median {statistics.median(times):.1f} ms, "
              f"p95 {p95:.1f} ms, highest {times[-1]:.1f} ms")  # fmt: skip
