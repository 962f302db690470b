"""A circuit breaker per process: one failure is paid for once, and a background thread finds out when it is over.

A request never waits to learn that the server is back: the thread does, and closes the breaker only after `restore`
went through.
"""

import logging
import os
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Breaker:
    """Closed: the dependency is used. Open: nobody touches it but the thread that calls `restore`."""

    def __init__(self, name: str, restore: Callable[[], None], *, interval: float = 0.5) -> None:
        self.name, self._restore, self._interval = name, restore, interval
        self._lock = threading.Lock()
        self._open = False
        self._prober: threading.Thread | None = None
        # A child of fork has no threads but its own, and may have inherited a lock that nobody will release.
        os.register_at_fork(after_in_child=self._forget_threads)

    @property
    def closed(self) -> bool:
        """Whether the dependency may be used now; never waits for it."""
        if not self._open:
            return True
        if self._prober is None:  # forked while open
            self._start_prober()
        return False

    def trip(self, error: Exception) -> None:
        """Open it: the dependency has just failed with `error`."""
        with self._lock:
            already, self._open = self._open, True
        if not already:
            logger.warning("breaker_open name=%s error=%r", self.name, error)
        self._start_prober()

    def _start_prober(self) -> None:
        with self._lock:
            if self._open and self._prober is None:
                self._prober = threading.Thread(target=self._probe, name=f"{self.name}-breaker", daemon=True)
                self._prober.start()

    def _probe(self) -> None:
        begun = time.monotonic()
        while True:
            time.sleep(self._interval)
            try:
                self._restore()
            except Exception as error:
                logger.debug("breaker_still_open name=%s error=%r", self.name, error)
                continue
            with self._lock:
                self._open, self._prober = False, None
            logger.warning("breaker_closed name=%s after=%.1fs", self.name, time.monotonic() - begun)
            return

    def _forget_threads(self) -> None:
        self._lock = threading.Lock()
        self._prober = None
