"""Runs in processes of their own, which fail in every way that there is, at a place that a seed chose.

An event is a statement to the database, a call to the storage, or some lines that pass by in between: a fault strikes
before one, after one, or in the middle of what it does.
"""

import functools
import json
import mmap
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from django.test.utils import override_settings

from tests.metrics.rollup_writers import other_connection
from tests.servers import postgres
from utxoiq_admin.core import leases
from utxoiq_admin.retention import archiving, proof, removal, restoring, runs, services, spool, storage
from utxoiq_admin.retention.models import Archive, Run

LINES_AN_EVENT = 4
SLICE_ROWS = 9
HANGS = 30.0
EDITS, PAUSE = 25, 0.02  # at most so many in one run, seconds between two
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

    def on_lines(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            for number, line in enumerate(function(*args, **kwargs)):
                if number % LINES_AN_EVENT == 0:
                    self.pass_by()
                yield line

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
    spool._lines = events.on_lines(spool._lines)
    for module in (archiving, removal, restoring):
        module.read_back = events.on_lines(proof.read_back)
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


def backends(pid_of_child: int) -> None:
    """End every connection of others to this database, as a restarted proxy does."""
    with psycopg.connect(postgres.url.rsplit("/", 1)[0] + "/" + connection.settings_dict["NAME"]) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND usename = current_user"
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


class Faults:
    """Each method runs `work` in a child and breaks it; the name is the kind. `struck` says if it came to that."""

    clock: datetime

    def __init__(self, chance: random.Random, longest: int) -> None:
        self.chance, self.longest = chance, longest
        STRUCK[0] = 0

    @property
    def struck(self) -> bool:
        return bool(STRUCK[0])

    def _at_event(self, work: Callable[[Events], None], strike: Callable[[], None]) -> int:
        chosen = (self.chance.randint(1, self.longest), self.chance.random() < 0.5)
        return fork(armed(work, chosen, strike))

    def killed_at_a_step(self, work: Callable[[Events], None]) -> str:
        return reap(self._at_event(work, lambda: os.kill(os.getpid(), signal.SIGKILL)))

    def killed_some_time(self, work: Callable[[Events], None]) -> str:
        pid = fork(work)
        time.sleep(self.chance.random() * 0.15)
        os.kill(pid, signal.SIGKILL)
        outcome = reap(pid)
        STRUCK[0] = outcome.startswith("killed")
        return outcome

    def storage_breaks(self, work: Callable[[Events], None]) -> str:
        mode, countdown = self.chance.choice(STORAGE_MODES), self.chance.randint(1, 6)

        def armed(events: Events) -> None:
            FaultyFolder.mode, FaultyFolder.countdown = mode, countdown
            work(events)

        pid = fork(armed)
        if mode != "hangs":
            return f"{mode}: {reap(pid)}"
        time.sleep(0.4)
        os.kill(pid, signal.SIGKILL)
        return f"{mode}: {reap(pid)}"

    def disk_is_full(self, work: Callable[[Events], None]) -> str:
        bytes_left = self.chance.choice([0, 100, 400])

        def armed(events: Events) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, bytes_left))
            work(events)

        outcome = reap(fork(armed))
        STRUCK[0] = outcome != "ended 0"
        return outcome

    def connection_drops(self, work: Callable[[Events], None]) -> str:
        return reap(self._at_event(work, lambda: backends(os.getpid())))

    def two_at_once(self, work: Callable[[Events], None]) -> str:
        pids = [fork(work), fork(work)]
        STRUCK[0] = 1
        return " and ".join(map(reap, pids))

    def stalls_and_is_taken_over(self, work: Callable[[Events], None]) -> str:
        pid = self._at_event(work, lambda: os.kill(os.getpid(), signal.SIGSTOP))
        _wait_stopped(pid)
        time_passes()
        other, _ = runs.request(trigger=Run.Trigger.COMMAND, by="the other", clock=self.clock, send=False)
        second = reap(fork(a_run(other.pk)))
        os.kill(pid, signal.SIGCONT)
        return f"{reap(pid)}, the other {second}"


def _wait_stopped(pid: int, seconds: float = 5.0) -> None:
    """Until the child stopped, or ended (which stays for `reap`)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "TZ":
            return
        time.sleep(0.002)


KINDS = (
    "killed_at_a_step",
    "storage_breaks",
    "killed_some_time",
    "connection_drops",
    "killed_at_a_step",
    "disk_is_full",
    "stalls_and_is_taken_over",
    "killed_at_a_step",
    "storage_breaks",
    "two_at_once",
)


class Editor:
    """Somebody who edits feedback and sends late metrics all the while, and notes what stands in the end.

    A process: with a second thread here, a fork could find a lock held that nobody gives back.
    """

    def __init__(self, seed: int, notes: Path) -> None:
        self.chance, self.notes = random.Random(seed), notes
        self._over = mmap.mmap(-1, 1)
        notes.write_text("")
        self._pid = fork(self._work)

    def over(self) -> list[tuple[str, str, str, bool]]:
        """End it; (table, id, line, sure) of each row as it was written, in order.

        Not sure: the connection was dropped around the commit, which may have happened or not.
        """
        self._over[0] = 1
        assert reap(self._pid) == "ended 0"
        return [tuple(json.loads(line)) for line in self.notes.read_text().splitlines()]

    def _work(self, events: Events) -> None:
        server = _other()
        with self.notes.open("a") as notes:
            for _ in range(EDITS):
                if self._over[0]:
                    return
                time.sleep(PAUSE)
                for write in (self._edit, self._come_late):
                    found: list[tuple[str, str, str]] = []
                    try:
                        with server.transaction():
                            found += write(server)
                        sure = True
                    except psycopg.OperationalError:
                        if not server.broken and not server.closed:
                            raise
                        server, sure = _other(), False
                    except psycopg.errors.CheckViolation:  # the partition of a late row is gone
                        continue
                    notes.writelines(json.dumps([*each, sure]) + "\n" for each in found)

    def _edit(self, server: Any) -> Any:
        return server.execute(
            """UPDATE insight_feedback SET comment = comment || '.', updated_at = now() WHERE id IN (
                 SELECT id FROM insight_feedback ORDER BY md5(id::text || %s) LIMIT 2 FOR UPDATE SKIP LOCKED)
               RETURNING 'insight_feedback', id::text, row_to_json(insight_feedback)::text""",
            [str(self.chance.random())],
        ).fetchall()

    def _come_late(self, server: Any) -> Any:
        return server.execute(
            """INSERT INTO system_metrics (service_name, metric_type, metric_value, unit, "timestamp")
               SELECT 'late', 'cpu', 1, 'percent', day + %s * interval '1 s' FROM metric_sealed_days
               ORDER BY day DESC LIMIT 1
               RETURNING 'system_metrics', id::text, row_to_json(system_metrics)::text""",
            [self.chance.randint(0, 86_399)],
        ).fetchall()


def _other() -> psycopg.Connection:
    server = other_connection()
    server.autocommit = True
    server.execute("SET TimeZone = 'UTC'")
    return server
