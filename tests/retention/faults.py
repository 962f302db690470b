"""Work of retention in processes of their own, to be broken at a chosen event.

An event is a statement to the database, a call to the storage, or some lines that pass by in between: a fault strikes
before one, after one, or in the middle of what it does.
"""

import functools
import mmap
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.test.utils import override_settings

from utxoiq_admin.core import leases
from utxoiq_admin.retention import archiving, proof, removal, restoring, runs, services, spool, storage
from utxoiq_admin.retention.models import Archive

BLOCK = 800  # bytes of lines between two events: some four rows
SLICE_ROWS = 9
HANGS = 30.0
STRUCK = mmap.mmap(-1, 1)  # shared with the children


class Broken(Exception):
    """What a storage library raises."""


class Events:
    """Counts events in a child; at the chosen one, something is done."""

    def __init__(self) -> None:
        self.seen = 0
        self.chosen: tuple[int, bool] | None = None
        self.strike: Callable[[], None] = lambda: None

    def pass_by(self, after: bool = False) -> None:
        if not after:
            self.seen += 1
        if self.chosen == (self.seen, after):
            self.chosen = None
            STRUCK[0] = 1
            self.strike()

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.pass_by()
            result = function(*args, **kwargs)
            self.pass_by(after=True)
            return result

        return wrapped

    def on_blocks(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            for block in function(*args, **kwargs):
                self.pass_by()
                yield block
                self.pass_by(after=True)

        return wrapped

    def statement(self, execute: Any, *args: Any) -> Any:
        self.pass_by()
        result = execute(*args)
        self.pass_by(after=True)
        return result


class FaultyFolder(storage.Folder):
    """A storage that fails, hangs, loses or changes bytes, once, at the chosen call."""

    mode = ""
    countdown = 0

    def _due(self, *modes: str) -> str:
        if self.mode not in modes:
            return ""
        FaultyFolder.countdown -= 1
        if FaultyFolder.countdown:
            return ""
        STRUCK[0] = 1
        return self.mode

    def _save(self, name: str, content: Any) -> str:
        match self._due("fails", "hangs", "short", "flipped", "half and dead"):
            case "fails":
                raise Broken("503 Slow Down")
            case "hangs":
                time.sleep(HANGS)
            case "short" | "flipped" | "half and dead" as how:
                whole = content.read()
                at = len(whole) // 2
                changed = (
                    whole[:at] if how != "flipped" else whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
                )
                saved = super()._save(name, storage.ContentFile(changed))
                if how == "half and dead":
                    os.kill(os.getpid(), signal.SIGKILL)
                return saved
        return super()._save(name, content)

    def _open(self, name: str, mode: str = "rb") -> Any:
        if self._due("unreadable"):
            raise Broken("connection reset")
        return super()._open(name, mode)

    def delete(self, name: str) -> None:
        if self._due("undeletable"):
            raise Broken("403 Forbidden")
        super().delete(name)


STORAGE_MODES = ("fails", "hangs", "short", "flipped", "half and dead", "unreadable", "undeletable")


def fork(work: Callable[[Events], None]) -> int:
    """Do the work in a child; its pid. Nothing of the child's reaches this process' connections."""
    connection.close()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.alarm(60)
        sink = os.open(os.environ.get("FAULTS_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        events = _instrument()
        with override_settings(DEBUG=False), connection.execute_wrapper(events.statement):
            work(events)
        code = 0
    except BaseException:
        code = 2
    finally:
        os._exit(code)
    raise AssertionError("unreachable")


def _instrument() -> Events:
    events = Events()
    spool.SLICE_ROWS = SLICE_ROWS
    runs.PULSE, runs.FINISH_WAITS = 0.05, (0.1, 0.0)
    archiving.ATTEMPTS = 2
    leases.IDLE = "300ms"
    spool.BLOCK = proof.BLOCK = BLOCK
    spool._blocks = events.on_blocks(spool._blocks)
    for module in (archiving, removal, restoring):
        module.read_back = events.on_blocks(proof.read_back)
    removal.unchanged = events.around(proof.unchanged)
    storage.storage = lambda: FaultyFolder(
        location=storage._made(settings.ARCHIVE_URL).location, base_url=None
    )
    for name in ("upload", "write_small", "remove"):
        setattr(storage, name, events.around(getattr(storage, name)))
    return events


def a_run(run_id: Any) -> Callable[[Events], None]:
    def work(events: Events) -> None:
        services.perform(run_id=run_id)

    return work


def a_restore(archive: Archive, until: datetime, now: datetime) -> Callable[[Events], None]:
    def work(events: Events) -> None:
        restoring.restore(archive=archive, until=until, by="tests", now=now)

    return work


def events_of(work: Callable[[Events], None]) -> int:
    """How many events the work has when nothing breaks it."""
    counted = mmap.mmap(-1, 8)

    def counting(events: Events) -> None:
        work(events)
        counted[:] = events.seen.to_bytes(8, "big")

    assert reap(fork(counting)) == "ended 0"
    return int.from_bytes(counted[:], "big")


def reap(pid: int, seconds: float = 30.0) -> str:
    """Wait for its end: "ended 0", "killed 9"."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return (
                f"killed {os.WTERMSIG(status)}"
                if os.WIFSIGNALED(status)
                else f"ended {os.WEXITSTATUS(status)}"
            )
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hung"


def time_passes() -> None:
    """So much of it that a lease which nobody renews is over."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE core_leases SET heartbeat_at = clock_timestamp() - interval '2 min',"
            " expires_at = clock_timestamp() - interval '1 min'"
        )


def armed(
    work: Callable[[Events], None], chosen: tuple[int, bool], strike: Callable[[], None]
) -> Callable[[Events], None]:
    """The work, struck at the chosen event: (its number, whether after it)."""

    def struck(events: Events) -> None:
        events.chosen, events.strike = chosen, strike
        work(events)

    return struck


def killed_at(work: Callable[[Events], None], chosen: tuple[int, bool]) -> str:
    """The work, killed there; "ended 0" where it has no such event."""
    return reap(fork(armed(work, chosen, lambda: os.kill(os.getpid(), signal.SIGKILL))))
