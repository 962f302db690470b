"""What the tests of the ground floor share."""

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings

from tests.servers import Breakable
from utxoiq_admin.core import cache
from utxoiq_admin.core.breaker import Breaker
from utxoiq_admin.core.cache import cached
from utxoiq_admin.stack.processes import die_with_parent

ROOT = Path(django_settings.BASE_DIR)


def until(condition: Callable[[], Any], seconds: float = 10.0) -> float:
    """Wait until the condition holds; how long that took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s: {condition}"
        time.sleep(0.01)
    return time.monotonic() - begun


@pytest.fixture
def fresh_breaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A closed breaker of this test alone, which ends with it.

    One that outlived its test would change generations in the cache of the tests that follow.
    """
    ended = threading.Event()

    def restore() -> None:
        if not ended.is_set():
            cache._restore()

    breaker = Breaker("cache", restore, interval=0.1)
    monkeypatch.setattr(cache, "breaker", breaker)
    yield
    ended.set()
    until(lambda: breaker.closed)


@pytest.fixture
def own_valkey(private_valkey: Breakable, settings: Any, fresh_breaker: None) -> Breakable:
    """The cache of this process on a Valkey that the test may break, with a breaker of its own."""
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": private_valkey.url}}
    return private_valkey


@pytest.fixture
def own_cache(settings: Any, fresh_breaker: None) -> None:
    """A cache of this test alone, on the Valkey of all tests."""
    settings.CACHES = {"default": {**settings.CACHES["default"], "KEY_PREFIX": secrets.token_hex(8)}}


@pytest.fixture(scope="session")
def migrated_once() -> dict[str, str]:
    return {}


def prepare(postgres: Breakable, migrated_once: dict[str, str]) -> None:
    """Our tables, empty."""
    if postgres.url not in migrated_once:
        assert program(["migrate", "--verbosity=0"], DATABASE_URL=postgres.url).wait(60) == 0
        migrated_once[postgres.url] = "migrated"
    with psycopg.connect(postgres.url, autocommit=True) as server:
        server.execute("TRUNCATE core_task_runs, core_leases, core_heartbeats")
        server.execute(
            "TRUNCATE django_celery_beat_periodictask, django_celery_beat_intervalschedule CASCADE"
        )


@pytest.fixture
def own_postgres(private_postgres: Breakable, migrated_once: dict[str, str]) -> Breakable:
    """A PostgreSQL that the test may break, with the tables of ours."""
    prepare(private_postgres, migrated_once)
    return private_postgres


def program(
    arguments: list[str], *, module: str = "", log: Path | None = None, **environment: str
) -> subprocess.Popen[bytes]:
    """A process of the project: `manage.py arguments`, or `-m module arguments`."""
    command, parent = ["-m", module] if module else ["manage.py"], os.getpid()
    return subprocess.Popen(
        [sys.executable, *command, *arguments],
        preexec_fn=lambda: die_with_parent(parent),  # a test run that is killed leaves nothing behind
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=log.open("ab") if log else None,
        stderr=subprocess.STDOUT if log else None,
        start_new_session=True,
    )


@contextmanager
def running(
    arguments: list[str], *, module: str = "", log: Path | None = None, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The same while the block lasts."""
    process = program(arguments, module=module, log=log, **environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Counter:
    """A figure that says how often it was computed."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        return self.calls


def read(
    name: str, compute: Callable[[], Any], keys: tuple[str, ...] = ("insight:a",), ttl: float = 60
) -> Any:
    return cached(name, keys=keys, ttl=ttl, compute=compute)
