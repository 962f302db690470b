"""A figure is right within a second of any write, or of Valkey answering again; whatever happened in between."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg.conninfo import conninfo_to_dict

from tests.core.conftest import running, until
from tests.core.workload import LIMIT, Workload
from tests.servers import Breakable
from utxoiq_admin.core import listener
from utxoiq_admin.core.cache import cached
from utxoiq_admin.core.listener import BACKLOG, Listener


@pytest.fixture
def on_own_servers(own_valkey: Breakable, own_postgres: Breakable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "connection_parameters", lambda: conninfo_to_dict(own_postgres.url))


@pytest.fixture
def listening(on_own_servers: None, own_postgres: Breakable) -> Iterator[Listener]:
    """The listener at work in a thread, on both private servers."""
    delivery, stopped = Listener(), threading.Event()

    def run() -> None:
        while not stopped.is_set():
            delivery.step()

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: delivery.delivered)
    yield delivery
    stopped.set()
    thread.join()
    delivery.close()


def heard(postgres: Breakable) -> tuple[Any, dict[str, Any]] | None:
    with psycopg.connect(postgres.url) as server:
        row = server.execute("SELECT at, detail FROM core_heartbeats WHERE name = 'listener'").fetchone()
    return row and (row[0], row[1])


def tell(postgres: Breakable, kind: str, keys: list[str]) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as server:
        server.execute("SELECT notify_changed(%s, %s)", [kind, keys])


class Figure:
    """A figure of one insight that was read before a change, and is watched after."""

    def __init__(self, key: str = "insight:a") -> None:
        self.key, self.row = key, 0
        self.settled = False

    def read(self) -> int:
        return cached("figure", keys=[self.key], ttl=600, compute=lambda: self.row)

    def settle(self) -> None:
        """Read until it stays in the cache: the listener's first "all" may still be under way."""
        until(lambda: self.read() == self.row)

    def change(self) -> None:
        self.settle()
        self.row += 1

    def right_after(self, seconds: float = 10) -> float:
        return until(lambda: self.read() == self.row, seconds)


@pytest.mark.parametrize(
    ("kind", "keys"), [("insight", ["a"]), ("insight", ["*"]), ("insight", list(map(str, range(101))))]
)
def test_a_notification_reaches_the_figure_at_once(
    listening: Listener, own_postgres: Breakable, kind: str, keys: list[str]
) -> None:
    figure = Figure()
    figure.change()
    tell(own_postgres, kind, keys)
    assert figure.right_after() < LIMIT


def test_a_change_while_valkey_is_frozen_is_delivered_once_it_thaws(
    listening: Listener, own_valkey: Breakable, own_postgres: Breakable
) -> None:
    figure = Figure()
    figure.change()
    own_valkey.freeze()
    tell(own_postgres, "insight", ["a"])
    time.sleep(0.6)
    own_valkey.thaw()
    # This process did not notice the freeze: its breaker is closed, and only the listener can help.
    assert figure.right_after() < LIMIT


def test_a_change_while_valkey_is_dead_is_delivered_once_it_is_back(
    listening: Listener, own_valkey: Breakable, own_postgres: Breakable
) -> None:
    figure = Figure()
    figure.change()
    own_valkey.kill()
    tell(own_postgres, "insight", ["a"])
    time.sleep(0.3)
    own_valkey.start()
    assert figure.right_after() < LIMIT


def test_a_valkey_that_comes_back_from_an_older_state_is_noticed(
    listening: Listener, own_valkey: Breakable, own_postgres: Breakable
) -> None:
    figure = Figure()
    figure.change()
    client = redis.Redis.from_url(own_valkey.url)
    old = {key: client.get(key) for key in client.keys("utxoiq:gen:*")}
    tell(own_postgres, "insight", ["a"])
    until(lambda: client.get("utxoiq:gen:insight:a") != old[b"utxoiq:gen:insight:a"])
    for key, value in old.items():  # a snapshot of before the change
        client.set(key, value)
    time.sleep(0.6)
    own_valkey.restart()
    assert figure.right_after() < LIMIT


def test_a_change_missed_while_postgres_was_away_counts_as_all(
    listening: Listener, own_valkey: Breakable, own_postgres: Breakable
) -> None:
    figure = Figure("service:web-api")
    figure.change()
    client = redis.Redis.from_url(own_valkey.url)
    before = client.get("utxoiq:gen:all")
    own_postgres.restart()
    until(lambda: client.get("utxoiq:gen:all") != before, 10)
    assert figure.right_after() < LIMIT


def test_a_frozen_postgres_is_left_within_seconds_and_found_again(
    listening: Listener, own_valkey: Breakable, own_postgres: Breakable, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listener.HEARTBEAT + listener.ANSWER <= 6
    monkeypatch.setattr(listener, "HEARTBEAT", 0.5)
    monkeypatch.setattr(listener, "ANSWER", 0.5)
    client = redis.Redis.from_url(own_valkey.url)
    first = listening._subscription
    own_postgres.freeze()
    until(lambda: listening._subscription is None, 4)
    before = client.get("utxoiq:gen:all")
    own_postgres.thaw()
    until(lambda: listening._subscription not in (None, first))
    until(lambda: client.get("utxoiq:gen:all") != before)


def test_the_process_says_who_it_is_and_ends_at_once_also_with_both_servers_frozen(
    own_valkey: Breakable, own_postgres: Breakable, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": own_postgres.url, "REDIS_URL": own_valkey.url}
    with running(["listen"], log=tmp_path / "listen.log", **environment) as process:
        until(lambda: heard(own_postgres))
        found = heard(own_postgres)
        assert found is not None
        assert (found[1]["pid"], found[1]["waiting"]) == (process.pid, 0)
        own_valkey.freeze()
        own_postgres.freeze()
        time.sleep(0.3)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert time.monotonic() - begun < 1.5


def test_a_backlog_that_grows_becomes_one_all(own_valkey: Breakable) -> None:
    delivery = Listener()
    own_valkey.kill()
    delivery._remember([f"insight:{number}" for number in range(BACKLOG)])
    assert len(delivery._pending) == BACKLOG
    delivery._remember(["insight:one-more"])
    assert delivery._pending == {"all"}


def test_a_missing_heartbeat_table_stops_nothing(
    own_valkey: Breakable,
    private_postgres: Breakable,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with psycopg.connect(private_postgres.url, autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS bare")
        server.execute("CREATE DATABASE bare")
    url = private_postgres.url.rpartition("/")[0] + "/bare"
    monkeypatch.setattr(listener, "connection_parameters", lambda: conninfo_to_dict(url))
    delivery = Listener()
    with psycopg.connect(url, autocommit=True) as server:
        until(lambda: delivery.step() or "heartbeat_not_written" in caplog.text)
        before = delivery.delivered
        server.execute("NOTIFY utxoiq_changed, 'insight:a'")
        until(lambda: delivery.step() or delivery.delivered == before + 1)
    delivery.close()


def test_no_answer_is_old_under_load_while_valkey_freezes_dies_and_returns(
    listening: Listener, own_valkey: Breakable, own_postgres: Breakable
) -> None:
    with psycopg.connect(own_postgres.url, autocommit=True) as server:
        server.execute("INSERT INTO core_heartbeats (name, detail) VALUES ('beat', %s)", [json.dumps(0)])
    load = Workload(own_postgres)
    threads = [threading.Thread(target=load.write), threading.Thread(target=load.read)]
    for thread in threads:
        thread.start()
    breaks = [(own_valkey.freeze, own_valkey.thaw), (own_valkey.kill, own_valkey.start)]
    for harm, heal in breaks:
        time.sleep(0.4)
        harm()
        time.sleep(0.5)
        heal()
        load.valkey_back.append(time.monotonic())
        time.sleep(LIMIT + 0.3)
    load.stopped.set()
    for thread in threads:
        thread.join()
    assert len(load.answers) > 300
    assert load.wrong() == []
    # One for the freeze; a dead server refuses at once.
    assert len([1 for begun, ended, _ in load.answers if ended - begun > 0.2]) <= 1 + len(breaks)
    assert listener.RETRY == 0.2
