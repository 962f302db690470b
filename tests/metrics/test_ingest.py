"""Repeats and writers at once: every row is stored exactly once, in whatever order they meet."""

import json
import random
import threading
import time
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.db.utils import OperationalError
from psycopg.errors import DeadlockDetected

from metrics import ingest_copy, partitions
from metrics.models import SystemMetric
from metrics.parsing import parse
from metrics.row_ids import uuid7s
from metrics.rows import make_batch
from tests import servers
from tests.accounts.access import token
from tests.metrics.writing import NOW, row, row_id, send
from utxoiq_admin.accounts.models import ServiceToken
from utxoiq_admin.accounts.usage import usage_of


@pytest.fixture
def secret(transactional_db):
    partitions.ensure(now=NOW)
    with time_machine.travel(NOW, tick=True):
        yield token("metrics:write")[1]


def series(count, first=0, **changes):
    """Rows with ids, in two months and out of order."""
    rows = [
        row(
            id=row_id(each),
            timestamp=f"2026-{11 - each % 2}-20T00:{each // 60 % 60:02}:{each % 60:02}Z",
            **changes,
        )
        for each in range(first, first + count)
    ]
    return random.Random(count).sample(rows, count)


def at_once(*calls):
    """Run the calls in threads of their own; what they return, or raise."""
    results = [None] * len(calls)

    def run(place, call):
        try:
            results[place] = call()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    return results


def counts(answer):
    receipt = answer.json()
    assert receipt["rejected"] == []
    return receipt["accepted"], receipt["duplicate"]


def test_a_repeat_is_stored_once_and_says_so(secret):
    rows = series(200)
    assert counts(send(secret, rows)) == (200, 0)
    assert counts(send(secret, random.sample(rows, 200))) == (0, 200)
    assert counts(send(secret, rows[:100] + series(50, first=200))) == (50, 100)
    assert SystemMetric.objects.count() == 250


def test_the_first_of_a_batchs_own_duplicates_is_stored(secret):
    first, second = (
        row(id=row_id(1), timestamp="2026-11-20T00:00:00Z", metric_value=each) for each in (1, 2)
    )
    elsewhere = {**second, "timestamp": "2026-11-20T00:00:01Z"}
    assert counts(send(secret, [first, second, elsewhere])) == (2, 1)
    assert sorted(SystemMetric.objects.values_list("metric_value", flat=True)) == [1, 2]


def test_a_repeat_does_not_change_what_is_stored(secret):
    send(secret, series(10, metric_value=1))
    assert counts(send(secret, series(10, metric_value=2))) == (0, 10)
    assert set(SystemMetric.objects.values_list("metric_value", flat=True)) == {1}


def test_rows_without_ids_are_new_each_time(secret):
    rows = [row(timestamp="2026-11-20T00:00:00Z")] * 20
    assert [counts(send(secret, rows)) for _ in range(2)] == [(20, 0), (20, 0)]


def test_rows_with_and_without_ids_share_a_batch(secret):
    assert counts(send(secret, [*series(10), row()])) == (11, 0)
    assert counts(send(secret, [*series(10), row()])) == (1, 10)


@pytest.mark.parametrize("turn", range(3))
def test_one_batch_sent_at_once_in_any_order_is_stored_once(secret, turn):
    rows = series(400)
    orders = [random.Random(turn * 10 + each).sample(rows, 400) for each in range(4)]
    answers = at_once(*[lambda order=order: send(secret, order) for order in orders])
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sum(counts(answer)[0] for answer in answers) == SystemMetric.objects.count() == 400


def test_batches_that_overlap_and_meet_sql_writers_lose_nothing(secret):
    rows = series(600)

    def sql():
        backwards = sorted(rows, key=lambda each: (each["timestamp"], each["id"]), reverse=True)[:300]
        with connection.cursor() as cursor:
            for each in backwards[::20]:
                cursor.execute(
                    "INSERT INTO system_metrics (id, service_name, metric_type, metric_value, unit, timestamp) "
                    "VALUES (%(id)s, %(service_name)s, %(metric_type)s, %(metric_value)s, %(unit)s, %(timestamp)s) "
                    "ON CONFLICT DO NOTHING",
                    each,
                )

    answers = at_once(
        lambda: send(secret, rows[:400]),
        lambda: send(secret, rows[200:]),
        sql,
        lambda: send(secret, rows[100:500]),
    )
    assert [answer.status_code for answer in answers if answer] == [200] * 3
    assert SystemMetric.objects.count() == 600


def test_a_deadlock_with_a_writer_in_another_order_is_retried(secret):
    first, last = (row(id=row_id(each), timestamp=f"2026-11-20T00:00:0{each}Z") for each in (1, 2))
    sql = "INSERT INTO system_metrics VALUES (%s, 'sql', 'cpu', 1, 'percent', %s)"
    with servers.postgres.server.connect(connection.settings_dict["NAME"]) as other, other.transaction():
        # Patient, so that it is the batch which the server gives up.
        other.execute("SET LOCAL deadlock_timeout = '60s'")
        other.execute(sql, [last["id"], last["timestamp"]])
        answers = []
        thread = threading.Thread(
            target=lambda: (answers.append(send(secret, [first, last])), connection.close())
        )
        thread.start()
        wait_for_lock()
        other.execute(sql + " ON CONFLICT DO NOTHING", [first["id"], first["timestamp"]])
    thread.join(10)
    assert counts(answers[0]) == (0, 2)
    assert set(SystemMetric.objects.values_list("service_name", flat=True)) == {"sql"}


def wait_for_lock():
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid' AND query LIKE 'COPY%%'"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("the batch does not wait for the other writer")


def test_a_database_that_does_not_answer_is_503_and_stores_nothing(secret, monkeypatch):
    def away(*args):
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(ingest_copy, "_copy", away)
    answer = send(secret, [row()])
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "repeat it" in answer.json()["errors"][0]["why"]
    assert not SystemMetric.objects.exists()


def test_a_conflict_that_stays_is_503_after_some_attempts(secret, monkeypatch):
    attempts = []

    def deadlocked(*args):
        attempts.append(args)
        with connection.wrap_database_errors:
            raise DeadlockDetected

    monkeypatch.setattr(ingest_copy, "_copy", deadlocked)
    assert (send(secret, [row()]).status_code, len(attempts)) == (503, ingest_copy.ATTEMPTS)


def test_two_repeats_in_one_transaction_do_not_meet_in_staging(secret):
    batch = make_batch(parse(json.dumps(series(10)).encode(), many=True), now=NOW)
    with transaction.atomic():
        assert ingest_copy.store(batch.rows, may_exist=True) == 10
        assert ingest_copy.store(batch.rows[:5], may_exist=True) == 0
        SystemMetric.objects.all().delete()
        assert ingest_copy.store(batch.rows[5:], may_exist=True) == 5
        assert ingest_copy.store(batch.rows, may_exist=True) == 5


def test_what_was_accepted_duplicate_and_rejected_is_counted_for_the_token(secret):
    made = ServiceToken.objects.get()
    send(secret, series(5))
    send(secret, [*series(6), row(unit="", service_name="broken")])
    send(secret, b"no json")
    found = usage_of(token=made, now=NOW + timedelta(seconds=5))
    assert (found.accepted, found.duplicate, found.rejected) == (6, 5, 1)
    assert [(each.field, each.about, each.rows) for each in found.reasons] == [
        ("body", "", 0),
        ("unit", "broken cpu", 1),
    ]


def test_new_ids_are_version_7_of_this_moment_and_never_twice():
    with time_machine.travel(NOW, tick=False):
        made = uuid7s(5000)
    assert {(each.version, each.variant, each.int >> 80) for each in made} == {
        (7, "specified in RFC 4122", int(NOW.timestamp() * 1000))
    }
    assert len(set(made)) == 5000
    assert uuid7s(0) == []
