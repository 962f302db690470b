"""The cache changes no answer when rows change, and gives back what it was given."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
import redis
from django.core.cache import caches
from django.utils.safestring import mark_safe

from tests.core.conftest import Counter, read
from utxoiq_admin.core import cache
from utxoiq_admin.core.cache import bump
from utxoiq_admin.core.models import TaskRun

pytestmark = pytest.mark.usefixtures("fresh_breaker")


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
