"""Valkey frozen, dead, full or back again: one timeout, once, and every answer right."""

import os
import signal
import threading
import time
from typing import Any
from unittest.mock import patch

import pytest
import redis

from tests.core.conftest import Counter, read, until
from tests.servers import Breakable
from utxoiq_admin.core import cache
from utxoiq_admin.core.cache import bump

pytestmark = pytest.mark.usefixtures("fresh_breaker")


def test_a_frozen_valkey_costs_one_timeout_once_and_changes_no_answer(own_valkey: Breakable) -> None:
    row, answers = 0, []
    for number in range(300):
        if number == 100:
            own_valkey.freeze()
        if number == 200:
            own_valkey.thaw()
            until(lambda: cache.breaker.closed)
        if number % 3 == 0:
            row += 1
            bump("insight:a")
        begun = time.monotonic()
        answers.append((read("f", lambda row=row: row) == row, time.monotonic() - begun))
        time.sleep(0.002)
    assert [right for right, _ in answers].count(False) == 0
    slow = [seconds for _, seconds in answers if seconds > 0.2]  # a timeout takes 0.25
    # The bump (a write of ours) met the frozen server first, or the read did.
    assert len(slow) <= 1
    assert all(seconds < 0.4 for seconds in slow)


@pytest.mark.parametrize("moment", ["generations", "value", "store"])
def test_a_freeze_at_any_step_costs_one_timeout(own_valkey: Breakable, moment: str) -> None:
    read("warm", lambda: 1)
    real_place = cache._place

    def place_then_freeze(name: str, keys: Any) -> str:
        found = real_place(name, keys)
        own_valkey.freeze()
        return found

    def compute() -> int:
        if moment == "store":
            own_valkey.freeze()
        return 7

    if moment == "generations":
        own_valkey.freeze()
    with patch.object(cache, "_place", place_then_freeze if moment == "value" else real_place):
        begun = time.monotonic()
        assert read("f", compute) == 7
        assert 0.2 < time.monotonic() - begun < 0.4
    begun = time.monotonic()
    assert [read("f", lambda: 8) for _ in range(20)] == [8] * 20
    assert time.monotonic() - begun < 0.05
    own_valkey.thaw()
    until(lambda: cache.breaker.closed)
    assert read("f", lambda: 9) == 9


def test_a_dead_valkey_changes_no_answer_and_comes_back_by_itself(own_valkey: Breakable) -> None:
    compute = Counter()
    read("f", compute)
    own_valkey.kill()
    begun = time.monotonic()
    assert [read("f", compute) for _ in range(5)] == [2, 3, 4, 5, 6]
    assert time.monotonic() - begun < 0.4
    own_valkey.start()
    assert until(lambda: cache.breaker.closed) < 1.5
    # What was stored before the outage stands under another "all" now.
    assert [read("f", compute), read("f", compute)] == [7, 7]


def test_an_open_breaker_neither_reads_nor_writes(own_valkey: Breakable) -> None:
    read("f", lambda: 1)
    client = redis.Redis.from_url(own_valkey.url)
    before = client.info("commandstats")
    with patch.object(cache.breaker, "_restore", side_effect=redis.ConnectionError("still away")):
        cache.breaker.trip(redis.ConnectionError("away"))
        assert read("f", lambda: 2) == 2
        assert bump("insight:a") is False
        after = client.info("commandstats")
    for command in ("get", "set", "mget"):
        assert after[f"cmdstat_{command}"]["calls"] == before[f"cmdstat_{command}"]["calls"]
    until(lambda: cache.breaker.closed)


def test_a_server_that_takes_no_writes_is_not_read_either(own_valkey: Breakable) -> None:
    compute = Counter()
    read("f", compute)
    client = redis.Redis.from_url(own_valkey.url)
    client.config_set("maxmemory", "1")
    assert read("f", compute) == 2
    assert not cache.breaker.closed
    client.config_set("maxmemory", "0")
    until(lambda: cache.breaker.closed)
    assert read("f", compute) == 3


def test_a_late_reply_never_answers_another_question(own_valkey: Breakable) -> None:
    for name in "abcde":
        read(name, lambda name=name: name * 3)
    for _ in range(3):
        own_valkey.freeze()
        assert read("a", lambda: "computed") == "computed"
        own_valkey.thaw()
        until(lambda: cache.breaker.closed)
        for name in "abcde":
            assert read(name, lambda name=name: name * 3) == name * 3


def test_many_threads_pay_at_most_one_timeout_each(own_valkey: Breakable) -> None:
    read("f", lambda: 1)
    own_valkey.freeze()
    spent: list[float] = []

    def ask() -> None:
        for _ in range(10):
            begun = time.monotonic()
            assert read("f", lambda: 2) == 2
            spent.append(time.monotonic() - begun)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(spent) == 80
    assert len([seconds for seconds in spent if seconds > 0.1]) <= 8
    assert len([thread for thread in threading.enumerate() if thread.name == "cache-breaker"]) <= 2
    own_valkey.thaw()


def test_a_child_forked_while_open_closes_its_own_breaker(own_valkey: Breakable) -> None:
    own_valkey.freeze()
    assert read("f", lambda: 1) == 1
    with cache.breaker._lock:  # held by another thread at the moment of the fork
        child = os.fork()
        if child == 0:  # pragma: no cover
            end = time.monotonic() + 8
            while not cache.breaker.closed and time.monotonic() < end:
                time.sleep(0.02)
            os._exit(0 if cache.breaker.closed and read("f", lambda: 2) == 2 else 1)
    os.kill(own_valkey.pid, signal.SIGCONT)
    _, status = os.waitpid(child, 0)
    own_valkey.thaw()
    assert os.waitstatus_to_exitcode(status) == 0
