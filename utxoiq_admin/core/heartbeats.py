"""Who is alive: rows that the worker, beat and the listener write every ten seconds, each from where its work is done.

A process that hangs must fall silent, so no heartbeat comes from a thread of its own that would go on regardless.
A heartbeat that cannot be written never stops the process that writes it.
"""

import functools
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from threading import Event, Thread, current_thread, main_thread
from typing import Any

from celery import bootsteps, shared_task
from celery.worker.consumer import Connection as BrokerConnection
from django.db import Error, close_old_connections, connection
from django_celery_beat.schedulers import DatabaseScheduler

logger = logging.getLogger(__name__)
INTERVAL = 10.0  # seconds between two rows of one name
SILENT_AFTER = 45.0  # seconds after which a reader may call a name silent: four that failed
RETRY = 2.0  # seconds until what the database or the broker refused is tried again

WRITE = """
INSERT INTO core_heartbeats (name, at, detail) VALUES (%s, clock_timestamp(), %s::jsonb)
ON CONFLICT (name) DO UPDATE SET at = excluded.at, detail = excluded.detail
"""

_last: dict[str, float] = {}


def beat(name: str, detail: dict[str, Any] | None = None) -> bool:
    """Note that `name` is alive, at most every ten seconds in one process; True if a row was written."""
    now = time.monotonic()
    if now - _last.get(name, -INTERVAL) < INTERVAL:
        return False
    _last[name] = now
    try:
        close_old_connections()
        with connection.cursor() as cursor:
            cursor.execute(WRITE, [name, json.dumps({**whereabouts(), **(detail or {})})])
    except Error as error:
        logger.warning("heartbeat_not_written name=%s error=%r", name, str(error).strip())
        _last[name] = now - INTERVAL + RETRY
        return False
    return True


def heard_task(name: str, **options: Any) -> Callable[[Callable[[], str]], Any]:
    """Make the function a Celery task called `name` that leaves a heartbeat of that name instead of a row per run.

    For what runs every few seconds: rows would be 17,280 a day. What the function returns is the heartbeat's detail.
    """

    def decorate(function: Callable[[], str]) -> Any:
        @functools.wraps(function)
        def body() -> None:
            beat(name, {"did": function()})

        return shared_task(name=name, **options)(body)

    return decorate


def whereabouts() -> dict[str, Any]:
    """Which process this is, for those who look for it."""
    return {"host": socket.gethostname(), "pid": os.getpid()}


class WorkerHeartbeat(bootsteps.StartStopStep):
    """Worker: the loop that takes messages rings, a thread writes; a frozen database must not stop the loop."""

    requires = (BrokerConnection,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        # Anew at each connection to the broker: Celery clears its timer when one is lost.
        _writer.ring.set()
        _writer.start()
        self._timer = consumer.timer.call_repeatedly(RETRY, _writer.ring.set)

    def stop(self, consumer: Any) -> None:
        if self._timer:
            consumer.timer.cancel(self._timer)
            self._timer = None


class _Writer:
    """The thread of the worker's main process that writes when the loop rings."""

    def __init__(self) -> None:
        self.ring = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        if not self._thread:
            self._thread = Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self.ring.wait()
            self.ring.clear()
            beat("worker")


_writer = _Writer()


def watch_worker(sender: Any, **_kwargs: Any) -> None:
    """Receiver of `worker_init`: have the worker's loop heard."""
    sender.app.steps["consumer"].add(WorkerHeartbeat)


def end_by_exception() -> None:
    """From now on SIGTERM and SIGINT end this process by an exception; beat saves its schedule on the way out.

    Celery's own handler saves it inside the signal handler: where the signal meets a statement that is under way, the
    save waits for the connection's lock, which the interrupted statement holds, for ever.
    """

    def end(*_signal: Any) -> None:
        raise SystemExit

    if current_thread() is main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)


class MessageNotSent(Exception):
    """The broker did not take a periodic task's message."""

    def __init__(self, entry: Any) -> None:
        super().__init__(entry.name)
        self.entry = entry


class Scheduler(DatabaseScheduler):
    """django-celery-beat's scheduler, which goes on when database or broker fail, and is heard.

    Its parent ends beat when a query fails in the wrong moment, and counts a message that the broker refused as sent:
    a daily task whose minute falls into a restart would be a day late.
    """

    def setup_schedule(self) -> None:
        end_by_exception()
        while True:
            try:
                close_old_connections()
                connection.ensure_connection()
                super().setup_schedule()
            except Error as error:
                self._read_again("schedule_not_read", error)
                time.sleep(RETRY)
            else:
                return

    def tick(self, *args: Any, **kwargs: Any) -> float:
        try:
            delay: float = super().tick(*args, **kwargs)
        except MessageNotSent as failure:
            model = failure.entry.model
            model.last_run_at = failure.entry.last_run_at
            model.total_run_count -= 1
            self._read_again("message_not_sent", failure.__cause__)
            return RETRY
        except Error as error:
            self._read_again("schedule_not_read", error)
            return RETRY
        beat("beat")
        return delay

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        logger.info("sending task=%s entry=%r", entry.task, entry.name)
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:
            raise MessageNotSent(entry) from error

    def _ensure_connected(self) -> Any:
        # The parent waits here for the broker, through a hundred retries; each message connects by itself.
        return self.connection

    def _read_again(self, event: str, error: BaseException | None) -> None:
        """What is in memory may be half done: write back what ran, and start over from the rows."""
        logger.warning("%s error=%r", event, str(error).strip())
        self._initial_read, self._heap = True, None
