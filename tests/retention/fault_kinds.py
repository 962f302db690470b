"""Every way in which a run can fail, at a place that a seed chose."""

import os
import random
import resource
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psycopg
from django.db import connection

from tests.retention import faults
from tests.servers import postgres
from utxoiq_admin.retention import runs
from utxoiq_admin.retention.models import Run


def backends(pid_of_child: int) -> None:
    """End every connection of others to this database, as a restarted proxy does."""
    with psycopg.connect(postgres.url.rsplit("/", 1)[0] + "/" + connection.settings_dict["NAME"]) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND usename = current_user"
        )


class Faults:
    """Each method runs `work` in a child and breaks it; the name is the kind. `struck` says if it came to that."""

    clock: datetime

    def __init__(self, chance: random.Random, longest: int) -> None:
        self.chance, self.longest = chance, longest
        faults.STRUCK[0] = 0

    @property
    def struck(self) -> bool:
        return bool(faults.STRUCK[0])

    def _at_event(self, work: Callable[[faults.Events], None], strike: Callable[[], None]) -> int:
        chosen = (self.chance.randint(1, self.longest), self.chance.random() < 0.5)
        return faults.fork(faults.armed(work, chosen, strike))

    def killed_at_a_step(self, work: Callable[[faults.Events], None]) -> str:
        return faults.reap(self._at_event(work, lambda: os.kill(os.getpid(), signal.SIGKILL)))

    def killed_some_time(self, work: Callable[[faults.Events], None]) -> str:
        pid = faults.fork(work)
        time.sleep(self.chance.random() * 0.15)
        os.kill(pid, signal.SIGKILL)
        outcome = faults.reap(pid)
        faults.STRUCK[0] = outcome.startswith("killed")
        return outcome

    def storage_breaks(self, work: Callable[[faults.Events], None]) -> str:
        mode, countdown = self.chance.choice(faults.STORAGE_MODES), self.chance.randint(1, 6)

        def armed(events: faults.Events) -> None:
            faults.FaultyFolder.mode, faults.FaultyFolder.countdown = mode, countdown
            work(events)

        pid = faults.fork(armed)
        if mode != "hangs":
            return f"{mode}: {faults.reap(pid)}"
        time.sleep(0.4)
        os.kill(pid, signal.SIGKILL)
        return f"{mode}: {faults.reap(pid)}"

    def disk_is_full(self, work: Callable[[faults.Events], None]) -> str:
        bytes_left = self.chance.choice([0, 100, 400])

        def armed(events: faults.Events) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, bytes_left))
            work(events)

        outcome = faults.reap(faults.fork(armed))
        faults.STRUCK[0] = outcome != "ended 0"
        return outcome

    def connection_drops(self, work: Callable[[faults.Events], None]) -> str:
        return faults.reap(self._at_event(work, lambda: backends(os.getpid())))

    def two_at_once(self, work: Callable[[faults.Events], None]) -> str:
        pids = [faults.fork(work), faults.fork(work)]
        faults.STRUCK[0] = 1
        return " and ".join(map(faults.reap, pids))

    def stalls_and_is_taken_over(self, work: Callable[[faults.Events], None]) -> str:
        pid = self._at_event(work, lambda: os.kill(os.getpid(), signal.SIGSTOP))
        _wait_stopped(pid)
        faults.time_passes()
        other, _ = runs.request(trigger=Run.Trigger.COMMAND, by="the other", clock=self.clock, send=False)
        second = faults.reap(faults.fork(faults.a_run(other.pk)))
        os.kill(pid, signal.SIGCONT)
        return f"{faults.reap(pid)}, the other {second}"


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
