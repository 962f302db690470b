"""Django's PostgreSQL backend, with a limit a caller may set on how long it waits for a pooled connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from select import select
from time import monotonic
from typing import Any

from django.db.backends.postgresql import base
from psycopg import OperationalError
from psycopg.pq.abc import PGconn

_wait_limit: ContextVar[float | None] = ContextVar("pool_wait_limit", default=None)


@contextmanager
def pool_wait_limit(seconds: float) -> Iterator[None]:
    """Inside, a connection is waited for at most `seconds` (design section 4: 2 s for the API, not 30)."""
    token = _wait_limit.set(seconds)
    try:
        yield
    finally:
        _wait_limit.reset(token)


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if self.pool:
            self._make_ready(self.pool, _wait_limit.get())
        return super().get_new_connection(conn_params)

    def _make_ready(self, pool: Any, limit: float | None) -> None:
        """Have a living connection in the pool, within `limit` seconds.

        The pool's own check sleeps 1, 2, 4, ... seconds after each dead connection it meets, so that a restarted
        server stays away for as long as it left dead connections behind (10 s with ten). Where one is dead, all
        that are older are: `drain` replaces them at once. So CONN_HEALTH_CHECKS is off where the pool is on.
        """
        pool.open()
        deadline = monotonic() + (pool.timeout if limit is None else limit)
        while True:
            connection = pool.getconn(timeout=max(deadline - monotonic(), 0))
            try:
                if answers(connection.pgconn, deadline - monotonic()):
                    return
                connection.close()
                pool.drain()
            finally:
                pool.putconn(connection)


def answers(server: PGconn, seconds: float) -> bool:
    """Whether an idle connection answers in time; a frozen server would hold an ordinary query for ever."""
    end = monotonic() + seconds
    try:
        server.send_query(b"")
        while True:
            while not server.is_busy():
                if server.get_result() is None:
                    return True
            if not select([server.socket], [], [], max(end - monotonic(), 0))[0]:
                return False
            server.consume_input()
    except OperationalError:
        return False
