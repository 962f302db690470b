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


def work(job):
    block, failed, reported = job["current_block"], [], 0.0
    while True:
        done = {"status": "completed"} if block > job["end_block"] else {"current_block": block}
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
        except urllib.error.HTTPError:
            failed.append(block)  # the source has answered, and does not have it
        except OSError:  # the source hangs or is away: report the same block, try again
            time.sleep(EVERY / 10)
            continue
        block += 1


while True:
    if job := call(f"claim?job_type={JOB_TYPE}"):
        work(job)
    else:
        time.sleep(EVERY)
