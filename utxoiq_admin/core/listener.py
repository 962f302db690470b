"""Delivers the database's notifications to the cache: "insight:abc changed" becomes a new generation in Valkey.

Nothing is told twice by PostgreSQL, so whatever could have been missed counts as "all": every new connection to
PostgreSQL, every Valkey that is not the one of before (restarted from an older state, failed over).

libpq is used without waiting: a server that froze or vanished must not hold this process in a read for minutes.
"""

import json
import logging
import select
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from django.db import connection
from psycopg import pq
from redis.exceptions import RedisError

from utxoiq_admin.core import heartbeats
from utxoiq_admin.core.cache import ALL, change_generations, client

logger = logging.getLogger(__name__)
CHANNEL = "utxoiq_changed"
RETRY = 0.2  # seconds until a delivery that Valkey refused is tried again
WATCH = 0.5  # seconds between two looks at Valkey: has it been restarted?
HEARTBEAT = 4.0  # seconds between two heartbeats, which are also the check that the connection lives
ANSWER = 2.0  # seconds within which PostgreSQL must answer one
BACKLOG = 1000  # keys; above that one "all" is cheaper, and right

KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}


def connection_parameters() -> dict[str, Any]:
    """Those of Django's database, less what only Django or its pool knows."""
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold", "server_side_binding", "pool"):
        parameters.pop(name, None)
    return {"connect_timeout": 3, **parameters}


class Subscription:
    """One connection that listens, in autocommit and past any pool; its methods raise once it is dead."""

    def __init__(self) -> None:
        self._connection = psycopg.connect(**{**connection_parameters(), **KEEPALIVES}, autocommit=True)
        self._connection.execute("SET application_name = 'utxoiq-listener'")
        self._connection.execute(f"LISTEN {CHANNEL}")
        self._connection.pgconn.nonblocking = 1
        self._asked_at: float | None = None
        self._last_answer = time.monotonic() - HEARTBEAT

    def wait(self, seconds: float) -> list[str]:
        """The payloads that arrive within `seconds`; returns as soon as there is one."""
        server = self._connection.pgconn
        payloads = list(self._received())
        if not payloads:
            select.select([server.socket], [], [], seconds)
            payloads = list(self._received())
        return payloads

    def _received(self) -> Iterator[str]:
        server = self._connection.pgconn
        server.consume_input()  # raises when the server closed the connection
        while notify := server.notifies():
            yield notify.extra.decode()

    def heartbeat(self, detail: dict[str, object]) -> None:
        """Send one every few seconds, and insist on its answer; never waits."""
        now, server = time.monotonic(), self._connection.pgconn
        if self._asked_at is not None:
            self._take_answer(now)
        elif now - self._last_answer >= HEARTBEAT:
            values = ["listener", json.dumps({**heartbeats.whereabouts(), **detail})]
            sql = heartbeats.WRITE.replace("%s", "$1", 1).replace("%s", "$2", 1)
            server.send_query_params(sql.encode(), [value.encode() for value in values])
            self._asked_at = now
        server.flush()

    def _take_answer(self, now: float) -> None:
        server = self._connection.pgconn
        while not server.is_busy():
            result = server.get_result()
            if result is None:
                self._asked_at, self._last_answer = None, now
                return
            if result.status == pq.ExecStatus.FATAL_ERROR:  # such as: the table is not migrated yet
                logger.warning("heartbeat_not_written name=listener error=%r", result.get_error_message())
        if self._asked_at is not None and now - self._asked_at > ANSWER:
            raise psycopg.OperationalError(f"PostgreSQL did not answer within {ANSWER:.0f} s")

    def close(self) -> None:
        self._connection.close()


class Listener:
    """Payloads in, generations out; what Valkey has not taken yet is kept."""

    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._subscription: Subscription | None = None
        self._valkey_run = ""
        self._watched_at = 0.0
        self._refused = False
        self.delivered = 0

    def run(self) -> None:
        """Listen until the process is asked to end."""
        while True:
            self.step()

    def step(self) -> None:
        """One round: at most about a second, however broken the servers are."""
        self._remember(self._receive())
        self._deliver()
        self._report()

    def _receive(self) -> list[str]:
        try:
            if not self._subscription:
                self._subscription = Subscription()
                logger.info("listening channel=%s", CHANNEL)
                return [ALL]
            return self._subscription.wait(RETRY if self._pending else WATCH)
        except psycopg.Error as error:
            self._lose(error)
            return []

    def _report(self) -> None:
        try:
            if self._subscription:
                self._subscription.heartbeat({"waiting": len(self._pending), "delivered": self.delivered})
        except psycopg.Error as error:
            self._lose(error)

    def close(self) -> None:
        if self._subscription:
            self._subscription.close()
            self._subscription = None

    def _lose(self, error: psycopg.Error) -> None:
        logger.warning("listener_disconnected error=%r", str(error).strip())
        self.close()
        time.sleep(RETRY)

    def _remember(self, payloads: list[str]) -> None:
        self._pending.update(payloads)
        if ALL in self._pending or len(self._pending) > BACKLOG:
            self._pending = {ALL}

    def _deliver(self) -> None:
        try:
            self._watch_valkey()
            if self._pending:
                change_generations(sorted(self._pending))
        except RedisError as error:
            if not self._refused:
                logger.warning("generations_refused waiting=%d error=%r", len(self._pending), str(error))
            self._refused = True
            # It may come back without its last writes.
            self._remember([ALL])
            return
        if self._refused:
            logger.info("generations_delivered waiting=%d", len(self._pending))
        self._refused = False
        self.delivered += len(self._pending)
        self._pending = set()

    def _watch_valkey(self) -> None:
        """Count a Valkey that was started anew as a loss of everything told before."""
        now = time.monotonic()
        if now - self._watched_at < WATCH and not self._refused:
            return
        run = str(client().info("server").get("run_id", ""))
        if run != self._valkey_run:
            self._remember([ALL])
        self._valkey_run, self._watched_at = run, now
