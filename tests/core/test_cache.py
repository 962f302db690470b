"""The cache changes no answer: not when rows change, not when Valkey freezes, dies or comes back."""

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
import redis
from django.core.cache import caches
from django.utils.safestring import mark_safe

from tests.core.conftest import until
from tests.servers import Breakable
from utxoiq_admin.core import cache
from utxoiq_admin.core.cache import bump, cached
from utxoiq_admin.core.models import TaskRun

pytestmark = pytest.mark.usefixtures("fresh_breaker")


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


def test_a_value_is_computed_once_per_generation(own_cache: None) -> None:
    compute = Counter()
    assert [read("f", compute) for _ in range(3)] == [1, 1, 1]
    assert bump("insight:a")
    assert [read("f", compute) for _ in range(3)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("key", "changes"),
    [("insight:a", True), ("insight:*", True), ("all", True), ("insight:b", False), ("service:*", False),
     ("service:a", False)],
)  # fmt: skip
def test_a_bump_reaches_what_depends_on_it_and_nothing_else(own_cache: None, key: str, changes: bool) -> None:
    compute = Counter()
    read("f", compute)
    bump(key)
    assert read("f", compute) == (2 if changes else 1)


def test_a_figure_of_a_whole_kind_follows_that_kind(own_cache: None) -> None:
    compute = Counter()
    read("f", compute, keys=("insight:*",))
    bump("insight:*")
    assert read("f", compute, keys=("insight:*",)) == 2


def test_names_and_keys_tell_values_apart(own_cache: None) -> None:
    compute = Counter()
    found = [
        read("f", compute),
        read("g", compute),
        read("f", compute, keys=("insight:b",)),
        read("f", compute),
    ]
    assert found == [1, 2, 3, 1]


def test_a_value_expires(own_cache: None) -> None:
    compute = Counter()
    read("f", compute, ttl=0.05)
    time.sleep(0.08)
    assert read("f", compute, ttl=0.05) == 2


def test_a_value_of_old_rows_is_never_stored_under_the_new_generation(own_cache: None) -> None:
    def overtaken() -> str:
        bump("insight:a")  # the row changes while the figure is computed
        return "old"

    assert read("f", overtaken) == "old"
    assert read("f", lambda: "new") == "new"


def test_a_generation_that_was_lost_brings_no_old_value_back(own_cache: None) -> None:
    compute = Counter()
    read("f", compute)
    client = cache.client()
    assert client.delete(*client.keys(f"{caches['default'].key_prefix}:gen:*")) == 3
    assert read("f", compute) == 2


def test_a_hit_costs_two_round_trips_and_no_query(own_cache: None, django_assert_num_queries: Any) -> None:
    read("f", lambda: 1)
    sent: list[bytes] = []
    original = redis.connection.AbstractConnection.send_packed_command

    def count(self: Any, command: Any, check_health: bool = True) -> None:
        sent.append(command)
        original(self, command, check_health)

    with patch.object(redis.connection.AbstractConnection, "send_packed_command", count):
        assert read("f", lambda: 2) == 1
    assert len(sent) == 2


@pytest.mark.parametrize(
    "value", [None, 0, 1.5, float("inf"), 2**80, "", "ü\x00", [], {}, {"a": [1, None, {"b": False}]}, -0.0]
)
def test_plain_values_come_back_as_they_went_in(own_cache: None, value: Any) -> None:
    read("f", lambda: value)
    again = read("f", lambda: pytest.fail("not stored"))
    assert repr(again) == repr(value)


@pytest.mark.parametrize(
    "value",
    [(1, 2), [(1,)], {1: "a"}, {"a": {None: 1}}, datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.5"), {1},
     mark_safe("<b>"), TaskRun.State.QUEUED, b"x", object()],
)  # fmt: skip
def test_what_json_would_change_is_refused_with_and_without_valkey(own_cache: None, value: Any) -> None:
    for _ in range(2):
        with pytest.raises(TypeError, match=r"cached\('f'\)"):
            read("f", lambda: value)
        cache.breaker.trip(redis.ConnectionError("away"))


def test_an_error_of_the_figure_itself_is_not_stored(own_cache: None) -> None:
    with pytest.raises(ZeroDivisionError):
        read("f", lambda: 1 // 0)
    assert read("f", lambda: 2) == 2


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
    slow = [seconds for _, seconds in answers if seconds > 0.1]
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
