"""Holds the children of one stack: starts them, watches them, and stops them in reverse order."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from utxoiq_admin.stack.processes import Child, StackError, indent, may_end, rotate

POLL_SECONDS = 0.2
ROTATE_SECONDS = 30.0


class Stopped(Exception):
    """Somebody asked the stack to stop: Ctrl-C, SIGTERM, or the terminal that went away."""


class Supervisor:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._stages: list[list[Child]] = []

    @property
    def children(self) -> list[Child]:
        return [child for stage in self._stages for child in stage]

    def add(self, *children: Child) -> None:
        """Take over children that depend on all those added before, and not on each other."""
        self._stages.append(list(children))

    def start(self, *children: Child) -> None:
        """Start children that do not depend on each other."""
        self.add(*children)
        for child in children:
            child.start()

    def check(self) -> None:
        """Tell each child that ended to whoever waits for it; a child that nobody waits for must not end."""
        for child in self.children:
            if child.process is None or child.running:
                continue
            if child.on_exit is None:
                raise StackError(f"{child.describe_end()}\nThe rest was stopped.")
            if not child.end_told:
                child.end_told = True
                child.on_exit(child)

    def finish(self, child: Child, *, seconds: float) -> None:
        """Wait for a child that does one thing and ends, while the others run on."""
        child.on_exit = child.on_exit or may_end
        end = time.monotonic() + seconds
        while child.running:
            self.check()
            if time.monotonic() > end:
                raise StackError(f"{child.name} did not end within {seconds:.0f} s. Its log: {child.log}")
            time.sleep(0.02)
        if not child.succeeded:
            raise StackError(child.describe_end())

    def wait_for(self, child: Child, ready: Callable[[], bool], *, seconds: float) -> None:
        """Wait until `child` is ready, while it and all others run on."""
        end = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > end:
                raise StackError(
                    f"{child.name} did not answer within {seconds:.0f} s. "
                    f"Its log ({child.log}) ends with:\n{indent(child.tail())}"
                )
            time.sleep(0.05)

    def watch(self, each_time: Callable[[], None] = lambda: None) -> None:
        """Watch until somebody asks to stop or a child ends."""
        rotated = time.monotonic()
        while True:
            self.check()
            each_time()
            if time.monotonic() - rotated > ROTATE_SECONDS:
                rotated = time.monotonic()
                for child in self.children:
                    rotate(child.log)
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop all, the last started first; whatever does not end in its time is ended."""
        while self._stages:
            stage = [child for child in reversed(self._stages.pop()) if child.running]
            if stage:
                self._say(f"Stopping {', '.join(child.name for child in stage)}")
            for child in stage:
                child.signal(child.stop_signal)
            begun = time.monotonic()
            for child in stage:
                if not child.wait(begun + child.stop_seconds - time.monotonic()):
                    self._say(f"{child.name} did not stop within {child.stop_seconds:.0f} s and was killed.")
                    child.kill()


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ignore_signals() -> None:
    """While all stops, another Ctrl-C must not cut the database's checkpoint short."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Inside, the first SIGINT, SIGTERM or SIGHUP raises Stopped; more of them change nothing."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        ignore_signals()
        raise Stopped

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        if not (number == signal.SIGHUP and before[number] is signal.SIG_IGN):  # nohup
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
