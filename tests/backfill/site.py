"""The web server of production over the test database, and the example worker as a process: real clients, real HTTP."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection

from benchmarks.ingest import web_server
from tests import servers
from utxoiq_admin.stack.processes import die_with_parent

WORKER = Path(settings.BASE_DIR) / "examples" / "backfill_worker.py"


@pytest.fixture(scope="session")
def _web(django_db_setup: Any) -> Iterator[str]:
    """Gunicorn on the tests' own database, for all tests that ask; its address."""
    parts = urlsplit(servers.postgres.url)
    address = urlunsplit(parts._replace(path="/" + connection.settings_dict["NAME"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", address)
        with web_server() as port:
            yield f"http://127.0.0.1:{port}"


@pytest.fixture
def site(_web: str, transactional_db: Any) -> str:
    """Its address, with what the test commits in sight."""
    return _web


class Source:
    """Where the example worker gets its blocks: each takes `seconds`, those in `lacks` are not there, and those in
    `troubles` come only after some failures."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds, self.hangs, self.lacks = seconds, threading.Event(), set[int]()
        self.troubles: dict[int, int] = {}  # block -> answers of 503 before it is given
        self.asked: list[int] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{{}}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                time.sleep(source.seconds)
                while source.hangs.is_set():
                    time.sleep(0.05)
                block = int(self.path[1:])
                source.asked.append(block)
                busy = source.troubles.get(block, 0) > 0
                source.troubles[block] = source.troubles.get(block, 0) - 1
                self.send_response(503 if busy else 404 if block in source.lacks else 200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        return Handler

    def close(self) -> None:
        self.hangs.clear()
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def source(seconds: float = 0.02) -> Iterator[Source]:
    made = Source(seconds)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def worker(
    url: str, secret: str, job_type: str, address: str, *, every: float
) -> Iterator[subprocess.Popen[bytes]]:
    """The example worker; ended for good when the block ends, stopped by a signal or not."""
    parent = os.getpid()
    process = subprocess.Popen(
        [sys.executable, str(WORKER), job_type, address],
        preexec_fn=lambda: die_with_parent(parent),  # a test run that is killed leaves no worker behind
        env={**os.environ, "URL": url, "TOKEN": secret, "REPORT_SECONDS": str(every)},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(5)
