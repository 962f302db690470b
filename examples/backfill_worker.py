"""A backfill worker with nothing but the standard library: claims jobs, works, reports, pauses and stops when told.

    URL=http://127.0.0.1:8000 TOKEN=utxoiq_… python examples/backfill_worker.py blocks 'http://node/rest/block/{}'

It reports every REPORT_SECONDS, not every so many blocks: only so can a slow source be told from a dead worker.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

URL, TOKEN = os.environ["URL"] + "/api/v1/monitoring/backfill/", os.environ["TOKEN"]
JOB_TYPE, SOURCE = sys.argv[1:3]
EVERY = float(os.environ.get("REPORT_SECONDS", 5))
TRIES = 5  # of a block that the source answers with an error


def call(path, **body):
    request = urllib.request.Request(
        URL + path, json.dumps(body).encode(), {"Authorization": f"Bearer {TOKEN}"}
    )
    while True:
        try:
            return json.loads(urllib.request.urlopen(request, timeout=10).read() or "null")
        except urllib.error.HTTPError as error:
            if error.code not in (500, 503):
                raise SystemExit(error.read().decode()) from None
        except OSError:
            pass  # not taken, or unknown: every call here is safe to repeat
        time.sleep(EVERY)


def store(block, data):
    """Your work goes here. It must be safe to do twice: whoever takes over begins at the last block reported."""


def blocks_of(job):
    """What nobody has done yet. A claim lists 1,000 ranges at most: behind the last of so many all is taken."""
    ranges = job["missing"]
    if len(ranges) == 1_000:
        ranges = [*ranges[:-1], [ranges[-1][0], job["end_block"]]]
    return (block for first, last in ranges for block in range(max(first, job["current_block"]), last + 1))


def work(job):
    todo, failed, reported, tries = blocks_of(job), [], 0.0, 0
    block = next(todo, None)
    while True:
        done = {"status": "completed"} if block is None else {"current_block": block}
        if "status" in done or time.monotonic() - reported >= EVERY:
            told = call(f"progress?job_id={job['id']}", lease=job["lease"], failed_blocks=failed, **done)
            failed, reported = [], time.monotonic()
            if told["command"] == "stop":
                return
            if told["command"] == "pause":
                time.sleep(EVERY)
                continue
        try:
            store(block, urllib.request.urlopen(SOURCE.format(block), timeout=EVERY / 2).read())
        except OSError as error:  # an HTTPError is one too
            gone, tries = getattr(error, "code", 0) in (404, 410), tries + 1
            answered = isinstance(error, urllib.error.HTTPError)
            if not gone and not (
                answered and tries == TRIES
            ):  # it hangs, is away or overloaded: the same block again
                time.sleep(EVERY / 10)
                continue
            failed.append(block)
        block, tries = next(todo, None), 0


while True:
    if job := call(f"claim?job_type={JOB_TYPE}"):
        work(job)
    else:
        time.sleep(EVERY)
