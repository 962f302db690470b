"""Child processes that never outlive the command that started them.

Danger: a pid that was only written down may belong to anybody by now. Everything here signals processes
through the Popen that started them, whose pid the kernel cannot hand out again before it is reaped.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
LOG_BYTES = 20_000_000  # a log longer than this is moved to `.1`, at start and while it grows
TAIL_LINES = 15
LEAST_FREE = 32 * 2**20  # PostgreSQL cannot even start without room for a file of its log, 16 MiB
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class StackError(Exception):
    """Something that the person at the terminal must know: what happened, to what, what to do."""


@dataclass(frozen=True)
class Account:
    """A system user as whom a server runs, because it refuses to run as root."""

    name: str
    uid: int
    gid: int


def die_with_parent(parent: int, death_signal: int = signal.SIGKILL) -> None:
    """Have the kernel end this process when `parent` ends; other systems than Linux know no such thing."""
    if _libc is None:
        return
    _libc.prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def as_account(account: Account | None) -> dict[str, object]:
    """The arguments for `subprocess` that run a program as `account`."""
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


def last_lines(path: Path, count: int = TAIL_LINES, since: int = 0) -> str:
    """The end of a log, nothing before byte `since`."""
    try:
        with path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(since if since <= end else 0, end - 16_384))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-count:])


def rotate(path: Path) -> None:
    """Keep one old log beside a fresh one; by copy, since the process that writes keeps its file open."""
    try:
        if path.stat().st_size > LOG_BYTES:
            path.with_name(path.name + ".1").write_bytes(path.read_bytes())
            os.truncate(path, 0)
    except FileNotFoundError:
        return


@dataclass
class Child:
    """One process in a session of its own, its log, the signal that stops it, and how long that may take."""

    name: str
    argv: Sequence[str | Path]
    log: Path
    env: Mapping[str, str] | None = None
    cwd: Path = Path("/")
    account: Account | None = None
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 10.0
    death_signal: int = signal.SIGKILL
    on_exit: Callable[["Child"], None] | None = None  # without it, its end is the end of the whole stack
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    log_start: int = field(default=0, init=False)
    end_told: bool = field(default=False, init=False)

    def start(self) -> None:
        """Start it; only from the main thread, since the kernel's parent-death signal follows the thread."""
        rotate(self.log)
        self.end_told = False
        parent, death_signal = os.getpid(), self.death_signal
        with self.log.open("ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                [str(part) for part in self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
                env=self.env,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(parent, death_signal),
                **as_account(self.account),  # type: ignore[call-overload]
            )

    @property
    def pid(self) -> int:
        if self.process is None:
            raise StackError(f"{self.name} was not started.")
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def succeeded(self) -> bool:
        return self.process is not None and self.process.returncode == 0

    def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`."""
        try:
            if self.process is not None:
                self.process.wait(max(seconds, 0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def signal(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it and all of its session at once."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """Ask it to end, and end it when it does not in time."""
        self.signal(self.stop_signal)
        if not self.wait(self.stop_seconds):
            self.kill()

    def describe_end(self) -> str:
        """How it ended, in words, with what its log said last."""
        code = self.process.returncode if self.process else None
        how = (
            f"was ended by {signal.Signals(-code).name}"
            if code is not None and code < 0
            else f"ended with code {code}"
        )
        return f"{self.name} {how}. Its log ({self.log}) ends with:\n{indent(self.tail())}{full(self.log.parent)}"

    def tail(self) -> str:
        """The last lines that this run of it wrote."""
        return last_lines(self.log, since=self.log_start)


def may_end(_child: Child) -> None:
    """For `Child.on_exit`: its end is expected."""


def full(folder: Path) -> str:
    """A line that says so when the folder's disk has no room: a log cannot, it had none either."""
    free = shutil.disk_usage(folder).free
    if free >= LEAST_FREE:
        return ""
    return (
        f"\nThe disk of {folder} has {free // 2**20} MiB left. Make room, or choose another with --data-dir."
    )


def indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in (text or "(nothing)").splitlines())


def wait_until(ready: Callable[[], bool], *, child: Child, seconds: float, what: str) -> None:
    """Wait for `ready`, no longer than `child` lives and no longer than `seconds`."""
    end = time.monotonic() + seconds
    while not ready():
        if not child.running:
            raise StackError(f"{what} could not be started: {child.describe_end()}")
        if time.monotonic() > end:
            raise StackError(
                f"{what} did not answer within {seconds:.0f} s. "
                f"Its log ({child.log}) ends with:\n{indent(child.tail())}"
            )
        time.sleep(0.03)
