"""Batches over real HTTP beside a bare binary COPY of the same rows: same table, same connections, no triggers.

The web server is the one of production (gunicorn, threads, the pool), a process of its own; the client is one process
with as many connections as threads, and sends bodies that were made before the clock starts. The two take turns, and
each is judged by its best turn: on a shared machine the others tell of the neighbours.
"""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.types.json import Jsonb

from benchmarks.data import SERVICES, TYPES
from benchmarks.report import Report
from metrics.ingest_copy import COLUMNS
from metrics.row_ids import uuid7s
from utxoiq_admin.accounts.services import token_create
from utxoiq_admin.stack.locations import free_port

ROWS = 5000
BATCH = "/api/v1/monitoring/metrics/batch"
COLUMN_TYPES = ("uuid", "varchar", "varchar", "float8", "varchar", "timestamptz", "jsonb")
GOAL = 2.0  # times as long as the bare COPY

Batch = list[tuple[Any, ...]]
Work = Callable[[SimpleQueue[Any]], None]


def measure(report: Report, *, requests: int, connections: int, turns: int) -> None:
    """Rows/s of both ways, for rows with an id (a repeat is safe) and for rows without."""
    _, secret = token_create(name="bench", scopes=["metrics:write"], expires=None, created_by="bench")
    with web_server() as port:
        for named, words in ((True, "id and timestamp sent"), (False, "no id")):
            ours, bare = [], []
            for _ in range(turns):
                bodies = [_body(_rows(named=named), named=named) for _ in range(requests)]
                ours.append(_timed(bodies, connections, lambda work: _post(port, secret, work)))
                with _without_triggers():
                    bare.append(_timed([_rows(named=named) for _ in range(requests)], connections, _copy))
            _report(report, words, min(ours) / requests, min(bare) / requests, connections)


def _report(report: Report, words: str, ours: float, bare: float, connections: int) -> None:
    print(
        f"  ingest over HTTP, {words}, {connections} connections: {ROWS / ours:,.0f} rows/s; "
        f"bare COPY {ROWS / bare:,.0f} rows/s; ratio {bare / ours:.2f}"
    )
    report.add(f"ingest of {ROWS:,} rows, {words} (limit: 2 x bare COPY)", ours * 1000, bare * 1000 * GOAL)


def _rows(*, named: bool) -> Batch:
    """One row of each series a minute, the newest minutes; ids are random, or not `named`, those we would make."""
    ids = [uuid.uuid4() for _ in range(ROWS)] if named else uuid7s(ROWS)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return [
        (
            ids[place],
            f"service-{place % SERVICES + 1:02}",
            f"type-{place // SERVICES % TYPES + 1:02}",
            place * 0.37,
            "percent",
            now - timedelta(minutes=place // (SERVICES * TYPES)),
            {"instance_id": "a"},
        )
        for place in range(ROWS)
    ]


def _body(rows: Batch, *, named: bool) -> bytes:
    names = [column.strip('"') for column in COLUMNS]
    sent = [dict(zip(names[not named :], row[not named :], strict=True)) for row in rows]
    return json.dumps(sent, default=str).encode()


def _timed(items: list[Any], connections: int, work: Work) -> float:
    """Seconds until `connections` threads have worked off the items."""
    queue: SimpleQueue[Any] = SimpleQueue()
    for each in items:
        queue.put(each)
    begun = time.perf_counter()
    with ThreadPoolExecutor(connections) as threads:
        for done in [threads.submit(work, queue) for _ in range(connections)]:
            done.result()
    return time.perf_counter() - begun


def _taken(queue: SimpleQueue[Any]) -> Iterator[Any]:
    with contextlib.suppress(Empty):
        while True:
            yield queue.get_nowait()


def _post(port: int, secret: str, queue: SimpleQueue[Any]) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for body in _taken(queue):
        client.request("POST", BATCH, body, {"Authorization": f"Bearer {secret}"})
        answer = client.getresponse()
        receipt = json.loads(answer.read())
        assert (answer.status, receipt["accepted"]) == (200, ROWS), (answer.status, receipt)
    client.close()


def _copy(queue: SimpleQueue[Any]) -> None:
    statement = f"COPY system_metrics ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as bare:
        for rows in _taken(queue):
            with bare.cursor() as cursor, cursor.copy(statement) as copy:
                copy.set_types(COLUMN_TYPES)
                for *values, metadata in rows:
                    copy.write_row((*values, Jsonb(metadata)))


@contextlib.contextmanager
def _without_triggers() -> Iterator[None]:
    _triggers("DISABLE")
    yield
    _triggers("ENABLE")


def _triggers(verb: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'system_metrics'::regclass"
        )
        for table in ["system_metrics", *(row[0] for row in cursor.fetchall())]:
            cursor.execute(f"ALTER TABLE {table} {verb} TRIGGER USER")


@contextlib.contextmanager
def web_server() -> Iterator[int]:
    """Gunicorn as `manage.py up` starts it, on a free port; its log is thrown away."""
    port = free_port()
    config = Path(settings.BASE_DIR) / "utxoiq_admin" / "stack" / "gunicorn.conf.py"
    sizes = [f"--workers={settings.WEB_PROCESSES}", f"--threads={settings.WEB_THREADS}"]
    where = ["--config", str(config), f"--bind=127.0.0.1:{port}"]
    web = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *where, *sizes, "utxoiq_admin.wsgi"],
        env={**os.environ, "UTXOIQ_WEB": "1", "LOG_LEVEL": "WARNING"},
        cwd=settings.BASE_DIR,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(port)
        yield port
    finally:
        web.terminate()
        web.wait(20)


def _wait(port: int) -> None:
    for _ in range(300):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError):
            client.request("GET", "/healthz")
            if client.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError("gunicorn did not answer within 30 s")
