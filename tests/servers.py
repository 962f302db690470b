"""Real servers for the tests: one embedded PostgreSQL and one Valkey for the run, and private ones to break.

A pytest plugin (`-p tests.servers` in pyproject.toml): it must set the addresses before pytest-django
reads the settings. By hand: `python -m tests.servers` starts both and prints what to export, until Ctrl-C.

The shared servers must stay whole for the others. A test that freezes, kills or restarts a server asks for
the fixture `private_valkey` or `private_postgres`.
"""

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from utxoiq_admin.stack import unprivileged
from utxoiq_admin.stack.locations import free_port
from utxoiq_admin.stack.postgres import PostgresServer, binaries
from utxoiq_admin.stack.processes import Child
from utxoiq_admin.stack.unprivileged import Home
from utxoiq_admin.stack.valkey import ValkeyServer

POSTGRES_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "autovacuum": "off",  # the tests ANALYZE what they need; a background one would change plans at random
    "dynamic_shared_memory_type": "mmap",  # in the data folder, which goes with the run however it ends
    "log_min_duration_statement": "-1",
    "utxoiq.events_may_be_truncated": "on",  # a transactional test ends with every table emptied
}
MEMORY = Path("/dev/shm")  # where Linux keeps files in memory
ROOM = 4 << 30  # the bytes that must be free there


class Breakable:
    """A server that a test may freeze, thaw, kill, stop and start again, on the same address."""

    def __init__(self, server: PostgresServer | ValkeyServer) -> None:
        self.server = server
        self._thawer: subprocess.Popen[bytes] | None = None

    @property
    def child(self) -> Child:
        return self.server.child

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def pid(self) -> int:
        return self.child.pid

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if not self.child.running:
            self.server.start()
            self.server.wait()

    def freeze(self) -> None:
        """Stop the clock of every process of it: connections stay open, nothing answers."""
        pids = [self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))]
        # Waits for the end of this test run too, so that a killed run leaves no process frozen for ever.
        thaw = f"read -r _; kill -CONT {' '.join(map(str, pids))} 2>/dev/null"
        self._thawer = subprocess.Popen(["sh", "-c", thaw], stdin=subprocess.PIPE, start_new_session=True)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self._thawer and self._thawer.stdin:
            self._thawer.stdin.close()
            self._thawer.wait(5)
            self._thawer = None

    def kill(self) -> None:
        """End it as a crash would (kill -9), and wait until nothing of it is left."""
        family = psutil.Process(self.pid).children(recursive=True) if self.child.running else []
        self.child.kill()
        for process in family:  # psutil tells a process from another that got its pid
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        end = time.monotonic() + 10
        while any(map(_lives, family)) and time.monotonic() < end:
            time.sleep(0.01)
        self.thaw()

    def stop(self) -> None:
        """An orderly stop."""
        self.thaw()
        self.child.stop()

    def restart(self) -> None:
        self.stop()
        self.start()


def _lives(process: psutil.Process) -> bool:
    """A zombie is dead: some systems' first process takes seconds to reap what it inherited."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _has_room(memory: Path) -> bool:
    return memory.is_dir() and min(shutil.disk_usage(memory).free, psutil.virtual_memory().available) > ROOM


class Servers:
    """The servers of one test run, in temporary folders that go with them; `in_memory` if the machine has room."""

    def __init__(self, *, in_memory: bool) -> None:
        self.folder = self._temporary(None)
        # Emptying every table after a test takes half the time there.
        self._data = self._temporary(str(MEMORY)) if in_memory and _has_room(MEMORY) else self.folder
        self.started: list[Breakable] = []
        self._owner = os.getpid()

    def postgres(self, name: str = "postgres", **settings: str) -> Breakable:
        """A new PostgreSQL of its own, running, with the role and the database `utxoiq`."""
        folder = self._folder(name)
        account = unprivileged.server_account() if os.geteuid() == 0 else None
        server = PostgresServer(
            Home(folder, unprivileged.reachable_binaries(binaries(), account, self.folder), account),
            port=free_port(),
            superuser_password=secrets.token_urlsafe(12),
            role_password=secrets.token_urlsafe(12),
            log=folder / "postgres.log",
            settings={**POSTGRES_SETTINGS, **settings},
            death_signal=signal.SIGKILL,
        )
        started = self._start(server)
        server.provision()
        return started

    def valkey(self, name: str = "valkey") -> Breakable:
        """A new Valkey of its own, running."""
        folder = self._folder(name)
        password = secrets.token_urlsafe(12)
        return self._start(
            ValkeyServer(folder, port=free_port(), password=password, log=folder / "valkey.log")
        )

    @staticmethod
    def _temporary(parent: str | None) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="utxoiq-tests-", dir=parent))
        folder.chmod(0o711)  # PostgreSQL's own user must pass through when the tests run as root
        return folder

    def _folder(self, name: str) -> Path:
        folder = self._data / f"{name}-{len(self.started)}"
        folder.mkdir()
        folder.chmod(0o711)
        return folder

    def _start(self, server: PostgresServer | ValkeyServer) -> Breakable:
        breakable = Breakable(server)
        self.started.append(breakable)
        breakable.start()
        return breakable

    def stop(self) -> None:
        """End all of them; their data is thrown away, so nothing is worth an orderly stop."""
        if os.getpid() != self._owner:  # a forked child of the test run leaves through atexit too
            return
        while self.started:
            self.started.pop().kill()
        for folder in {self.folder, self._data}:
            shutil.rmtree(folder, ignore_errors=True)


servers: Servers
postgres: Breakable
valkey: Breakable


def start(*, in_memory: bool = False) -> None:
    """Start the shared servers, and have every setting point to them."""
    global servers, postgres, valkey
    _remove_leftovers()
    servers = Servers(in_memory=in_memory)
    atexit.register(servers.stop)
    postgres, valkey = servers.postgres(), servers.valkey()
    for name in (
        "DEBUG",
        "DATABASE_URL_FILE",
        "REDIS_URL_FILE",
        "SECRET_KEY_FILE",
        "DB_SSLMODE",
        "UTXOIQ_WEB",
    ):
        os.environ.pop(name, None)
    os.environ.update(addresses())


def addresses() -> dict[str, str]:
    data = servers.folder / "data"
    data.mkdir(exist_ok=True)
    return {
        "DATABASE_URL": postgres.url,
        "REDIS_URL": valkey.url,
        "SECRET_KEY": "tests-only-" + secrets.token_hex(24),
        "UTXOIQ_DATA_DIR": str(data),
    }


def _remove_leftovers() -> None:
    """Remove the folders of test runs that were killed: their servers died with them, their files did not."""
    parents = {Path(tempfile.gettempdir()), MEMORY}
    for folder in (folder for parent in parents for folder in parent.glob("utxoiq-tests-*")):
        old = folder.stat().st_mtime < time.time() - 6 * 3600
        if old and folder.stat().st_uid == os.geteuid():
            shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    if not _only_distributes(early_config):
        start(in_memory=not os.environ.get("STRESS"))
    return (yield)


def _only_distributes(config: pytest.Config) -> bool:
    """With `-n 2` this process runs no test: each of the two that do has servers of its own."""
    processes = getattr(config.known_args_namespace, "numprocesses", None)
    return bool(processes) and "PYTEST_XDIST_WORKER" not in os.environ


def pytest_unconfigure() -> None:
    if "servers" in globals():
        servers.stop()


@pytest.fixture
def private_valkey() -> Iterator[Breakable]:
    """A Valkey for this test alone, to freeze, kill and restart."""
    server = servers.valkey("private-valkey")
    yield server
    server.kill()


@pytest.fixture(scope="session")
def _private_postgres() -> Breakable:
    # What a test commits must survive the kill that follows it.
    return servers.postgres("private-postgres", synchronous_commit="on", full_page_writes="on")


@pytest.fixture
def private_postgres(_private_postgres: Breakable) -> Iterator[Breakable]:
    """A PostgreSQL to freeze, kill and restart; running and thawed whenever a test gets it.

    Its database `utxoiq` is empty at first, and shared by the tests that ask: making one costs a second.
    """
    _private_postgres.thaw()
    _private_postgres.start()
    yield _private_postgres
    _private_postgres.thaw()
    _private_postgres.start()


def _by_hand() -> None:
    start()
    for name, value in addresses().items():
        print(f"export {name}='{value}'", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        servers.stop()


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tests.servers.{name} exists only while the servers run.")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _by_hand()
