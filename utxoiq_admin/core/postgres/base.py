"""Django's PostgreSQL backend, with a limit a caller may set on how long it waits for a pooled connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db.backends.postgresql import base

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
        limit = _wait_limit.get()
        if limit is not None and self.pool:
            # The pool has one timeout for all; waiting for a connection here and giving it back at once leaves
            # it free for the call below.
            self.pool.open()
            self.pool.putconn(self.pool.getconn(timeout=limit))
        return super().get_new_connection(conn_params)
