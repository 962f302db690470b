"""Reports of backfill workers over real HTTP: one caller at a time, each about another job of 200 that run."""

import http.client
import itertools
import json
import statistics
import time

from django.db import connection

from backfill.services import Wish, job_start
from benchmarks.ingest import web_server
from benchmarks.report import Report
from utxoiq_admin.accounts.services import token_create

JOBS, RUNNING, REPORTS = 10_000, 200, 2_000
LIMIT_MS = 50  # ours: what a worker may lose to one report without noticing

_PAST = """
INSERT INTO backfill_jobs (job_type, start_block, end_block, current_block, status, progress_percentage, started_at,
                           completed_at, created_by)
SELECT 'type-' || n %% 5, n * 100, n * 100 + 99, n * 100 + 99, 'completed', 100, now() - n * interval '20 min',
       now() - n * interval '19 min', 'bench' FROM generate_series(1, %s) n
"""


def measure(report: Report) -> None:
    """p95 of a report with 10,000 jobs in the table."""
    with connection.cursor() as cursor:
        cursor.execute(_PAST, [JOBS - RUNNING])
    jobs = [
        job_start(wish=Wish("blocks", n * 100_000, n * 100_000 + 99_999, "bench", "bench"))
        for n in range(RUNNING)
    ]
    _, secret = token_create(name="bench jobs", scopes=["backfill:write"], expires=None, created_by="bench")
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    times = []
    with web_server() as port:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for turn, job in zip(range(REPORTS), itertools.cycle(jobs), strict=False):
            body = json.dumps({"current_block": job.start_block + turn})
            begun = time.perf_counter()
            client.request("POST", f"/api/v1/monitoring/backfill/progress?job_id={job.pk}", body, headers)
            answer = client.getresponse()
            assert json.loads(answer.read())["applied"] and answer.status == 200
            times.append((time.perf_counter() - begun) * 1000)
    report.add("a worker's report, p95", statistics.quantiles(times[RUNNING:], n=20)[-1], LIMIT_MS)
