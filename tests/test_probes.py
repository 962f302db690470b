import threading
import time
from datetime import UTC, datetime, timedelta

import environ
import pytest
from django.db import connections

from metrics.partitions import Partition
from utxoiq_admin import probes

LIMIT = 1.2  # seconds: what the probe may take, and a little for a busy machine


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(probes, "readiness", probes.Readiness())


def ready(client):
    started = time.monotonic()
    answer = client.get("/readyz")
    return answer.status_code, answer.json(), time.monotonic() - started


def states(answer):
    return {name: each["status"] for name, each in answer["checks"].items()}


ALL_OK = {"database": "ok", "cache": "ok", "migrations": "ok", "partitions": "ok"}


def point_database_to(monkeypatch, server):
    """New connections go to `server`; the probe asks in threads, and every thread connects anew."""
    for name, value in environ.Env.db_url_config(server.url).items():
        if name in ("NAME", "USER", "PASSWORD", "HOST", "PORT"):
            monkeypatch.setitem(connections.settings["default"], name, value)


def test_healthz_asks_nobody(client):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_for_reading(client, path):
    assert client.post(path).status_code == 405


@pytest.mark.django_db(transaction=True)
def test_ready_with_everything_named_and_timed(client):
    status, answer, _ = ready(client)
    assert (status, answer["status"], states(answer)) == (200, "ok", ALL_OK)
    assert all(0 <= each["ms"] < 1000 for each in answer["checks"].values())
    assert "no-store" in client.get("/readyz")["Cache-Control"]


@pytest.mark.django_db(transaction=True)
def test_an_answer_is_kept_for_a_second(client, monkeypatch):
    _, first, _ = ready(client)
    monkeypatch.setattr(probes, "_newest_migrations", lambda: frozenset({("metrics", "9999_later")}))
    assert ready(client)[1] == first
    probes.readiness._until = 0
    assert ready(client)[0] == 503


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_is_not_applied(client, monkeypatch):
    monkeypatch.setattr(probes, "_newest_migrations", lambda: frozenset({("metrics", "9999_later")}))
    status, answer, _ = ready(client)
    assert (status, states(answer)) == (503, ALL_OK | {"migrations": "failed"})
    assert answer["checks"]["migrations"]["why"] == "1 apps have migrations to apply: manage.py migrate."


def months_from_now(*offsets):
    for offset in offsets:
        start = (datetime.now(UTC).replace(day=15) + timedelta(days=30 * offset)).replace(
            day=1, hour=0, minute=0
        )
        end = (start + timedelta(days=32)).replace(day=1)
        yield Partition(
            "p", start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0), 0, 0
        )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("offsets", "status", "state"),
    [([0, 1], 200, "ok"), ([-1, 0], 200, "degraded"), ([1, 2], 503, "failed"), ([], 503, "failed")],
)
def test_partitions_for_this_month_and_the_next(client, monkeypatch, offsets, status, state):
    monkeypatch.setattr(probes.partitions, "listing", lambda: list(months_from_now(*offsets)))
    found, answer, _ = ready(client)
    assert (found, answer["status"], states(answer)) == (status, state, ALL_OK | {"partitions": state})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["freeze", "kill"])
def test_without_valkey_it_is_degraded_and_in_service(client, settings, private_valkey, how):
    settings.REDIS_URL = private_valkey.url
    getattr(private_valkey, how)()
    status, answer, took = ready(client)
    assert (status, answer["status"], states(answer)) == (200, "degraded", ALL_OK | {"cache": "degraded"})
    assert took < LIMIT


@pytest.mark.django_db(transaction=True)
def test_a_frozen_database_is_told_within_a_second_by_one_thread(client, monkeypatch, private_postgres):
    point_database_to(monkeypatch, private_postgres)
    private_postgres.freeze()
    for _ in range(2):
        status, answer, took = ready(client)
        assert (status, answer["status"], states(answer)) == (503, "failed", GONE)
        assert took < LIMIT
        probes.readiness._until = 0
    assert [each.name for each in threading.enumerate()].count("readyz") == 1
    private_postgres.thaw()
    waiting = time.monotonic()
    while states(ready(client)[1])["database"] != "ok":
        assert time.monotonic() - waiting < 10
        time.sleep(0.1)


GONE = {"database": "failed", "cache": "ok", "migrations": "unknown", "partitions": "unknown"}


@pytest.mark.django_db(transaction=True)
def test_a_dead_database_is_told_without_saying_where_it_is(client, monkeypatch, private_postgres, caplog):
    point_database_to(monkeypatch, private_postgres)
    private_postgres.kill()
    status, answer, took = ready(client)
    assert (status, states(answer)) == (503, GONE)
    assert answer["checks"]["database"]["why"] == "It cannot be reached, or refused the question."
    assert took < LIMIT
    assert str(private_postgres.port) not in str(answer) and "127.0.0.1" not in str(answer)
    assert "readyz_failed what=database" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_question_that_hangs_half_way_leaves_the_rest_unknown(client, monkeypatch):
    asked = threading.Event()

    def hangs():
        asked.wait(5)
        return "ok", None

    monkeypatch.setattr(probes, "_migrations", hangs)
    status, answer, took = ready(client)
    asked.set()
    probes.readiness.askings[0].thread.join(5)
    assert (status, took < LIMIT) == (503, True)
    assert states(answer) == ALL_OK | {"migrations": "failed", "partitions": "unknown"}
    assert answer["checks"]["migrations"]["why"] == "It did not answer in time."
