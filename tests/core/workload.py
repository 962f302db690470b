"""Plain SQL writes and cached reads at the same time, and which answers were too old."""

import threading
import time

import psycopg

from tests.servers import Breakable
from utxoiq_admin.core.cache import cached

LIMIT = 1.0  # seconds within which a write must be seen


class Workload:
    """A writer with plain SQL and a reader of the cached figure, while a test breaks the servers."""

    def __init__(self, postgres: Breakable) -> None:
        self.url = postgres.url
        self.written: list[tuple[float, int]] = []
        self.answers: list[tuple[float, float, int]] = []
        self.valkey_back: list[float] = []
        self.stopped = threading.Event()
        self.number = 0

    def write(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as server:
            while not self.stopped.wait(0.03):
                with server.transaction():
                    self.number += 1
                    server.execute(
                        "UPDATE core_heartbeats SET detail = %s WHERE name = 'beat'", [str(self.number)]
                    )
                    server.execute("SELECT notify_changed('insight', ARRAY['a'])")
                self.written.append((time.monotonic(), self.number))

    def read(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as server:

            def compute() -> int:
                row = server.execute("SELECT detail FROM core_heartbeats WHERE name = 'beat'").fetchone()
                assert row is not None
                return int(row[0])

            while not self.stopped.wait(0.002):
                begun = time.monotonic()
                value = cached("figure", keys=["insight:a"], ttl=600, compute=compute)
                self.answers.append((begun, time.monotonic(), value))

    def wrong(self) -> list[tuple[float, float, int]]:
        """Answers older than a write that had its second, counted from when Valkey answered if that was later."""
        found = []
        for begun, ended, value in self.answers:
            if any(back < begun < back + LIMIT for back in self.valkey_back):
                continue
            due = max((number for at, number in self.written if at < begun - LIMIT), default=0)
            if value < due:
                found.append((begun, ended, value))
        return found
