"""`manage.py up` as a person starts it, for tests that look at it from outside."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60
# The tests' own servers, which `up` would take for external ones.
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "UTXOIQ_DATA_DIR", "DJANGO_SETTINGS_MODULE")


class Up:
    """One run of `up` with its output, and every process that came of it."""

    def __init__(self, data: Path, port: int, *options: str, **environment: str) -> None:
        self.data, self.port = data, port
        command = [sys.executable, "manage.py", "up", f"--data-dir={data}", f"--port={port}", *options]
        inherited = {name: value for name, value in os.environ.items() if name not in OURS}
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self._family: list[psutil.Process] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def wait_ready(self) -> "Up":
        """Read its output until the line `ready`; raises with the output when it ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if line.startswith("ready "):
                self.remember_family()
                return self
        raise AssertionError(f"up ended with code {self.process.wait()} before it was ready:\n{self.output}")

    def remember_family(self) -> list[psutil.Process]:
        self._family = psutil.Process(self.process.pid).children(recursive=True)
        return self._family

    def child(self, pattern: str) -> psutil.Process:
        """Its direct child whose command line matches."""
        children = psutil.Process(self.process.pid).children()
        found = [child for child in children if re.search(pattern, " ".join(child.cmdline()))]
        assert len(found) == 1, [child.cmdline() for child in children]
        return found[0]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, seconds: float = 40) -> int:
        """Wait until it ended; its code."""
        rest, _ = self.process.communicate(timeout=seconds)
        self.output += rest
        return self.process.returncode

    def left(self, seconds: float) -> list[psutil.Process]:
        """Which of its processes still live after so long at most."""
        end = time.monotonic() + seconds
        while (living := [process for process in self._family if lives(process)]) and time.monotonic() < end:
            time.sleep(0.05)
        return living

    def stop(self) -> int:
        if self.process.poll() is None:
            self.remember_family()
            self.signal(signal.SIGTERM)
        return self.end()


def wait_for(happened: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something was seen to happen; a failure when it was not."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"did not happen within {seconds} s"
        time.sleep(0.05)


def lives(process: psutil.Process) -> bool:
    """A zombie is dead: it only waits for its parent to read how it ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
