"""A real worker and a real beat, whose broker and database are restarted under them."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from celery import current_app
from django.db.models.functions import Now

from tests import servers as test_servers
from tests.core.conftest import prepare, running, until
from tests.servers import Breakable
from utxoiq_admin.core import enqueue
from utxoiq_admin.core.models import TaskRun

EVERY_SECOND = """
WITH second AS (
  INSERT INTO django_celery_beat_intervalschedule (every, period) VALUES (1, 'seconds') RETURNING id
)
INSERT INTO django_celery_beat_periodictask
  (name, task, args, kwargs, enabled, total_run_count, date_changed, description, one_off, headers, interval_id)
SELECT 'note', 'tests.note', '[]', '{}', true, 0, now(), '', false, '{}', id FROM second
"""


class Platform:
    """The servers, and what the processes wrote."""

    def __init__(self, postgres: Breakable, valkey: Breakable, logs: Path) -> None:
        self.postgres, self.valkey, self.logs = postgres, valkey, logs
        self.processes: list[Any] = []

    def sql(self, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.postgres.url, autocommit=True) as server:
            cursor = server.execute(text, parameters)
            return cursor.fetchall() if cursor.description else []

    def notes(self) -> int:
        ((count,),) = self.sql(
            "SELECT count(*) FROM core_task_runs WHERE name = 'tests.note' AND state = 'succeeded'"
        )
        return int(count)

    def goes_on(self, seconds: float = 20) -> float:
        """Scheduled runs succeed again, and no process had to be started anew."""
        before = self.notes()
        took = until(lambda: self.notes() >= before + 2, seconds)
        assert [process.poll() for process in self.processes] == [None, None]
        return took

    def age(self, name: str) -> float:
        ((seconds,),) = self.sql(
            "SELECT extract(epoch FROM clock_timestamp() - at)::float FROM core_heartbeats WHERE name = %s",
            name,
        )
        return float(seconds)


@pytest.fixture(scope="module")
def platform(
    _private_postgres: Breakable, migrated_once: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    valkey = test_servers.servers.valkey("broker")
    found = Platform(_private_postgres, valkey, tmp_path_factory.mktemp("logs"))
    prepare(_private_postgres, migrated_once)
    found.sql(EVERY_SECOND)
    environment = {"DATABASE_URL": found.postgres.url, "REDIS_URL": valkey.url}
    worker = [
        "--app=utxoiq_admin",
        "worker",
        "--concurrency=1",
        "--loglevel=INFO",
        "--include=tests.core.work",
    ]
    beat = ["--app=utxoiq_admin", "beat", "--pidfile=", "--loglevel=INFO"]
    with (
        running(worker, module="celery", log=found.logs / "worker.log", **environment) as first,
        running(beat, module="celery", log=found.logs / "beat.log", **environment) as second,
    ):
        found.processes = [first, second]
        until(lambda: found.notes() >= 1, 40)
        yield found
    valkey.kill()


def test_both_go_on_when_broker_and_database_die_under_them(platform: Platform) -> None:
    platform.valkey.kill()
    platform.postgres.kill()
    time.sleep(1.5)
    platform.postgres.start()
    platform.valkey.start()
    platform.goes_on()


def test_both_go_on_when_broker_and_database_freeze_under_them(platform: Platform) -> None:
    platform.valkey.freeze()
    platform.postgres.freeze()
    time.sleep(2)
    platform.postgres.thaw()
    platform.valkey.thaw()
    platform.goes_on()


def test_both_are_heard(platform: Platform) -> None:
    until(lambda: max(platform.age("worker"), platform.age("beat")) < 12, 20)


def test_beat_ends_at_once_also_in_the_middle_of_a_statement(platform: Platform) -> None:
    beat = ["--app=utxoiq_admin", "beat", "--pidfile=", "--loglevel=INFO"]
    environment = {"DATABASE_URL": platform.postgres.url, "REDIS_URL": platform.valkey.url}
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%celery_beat%%'"
    with psycopg.connect(platform.postgres.url) as other:
        other.execute("LOCK TABLE django_celery_beat_periodictask, django_celery_beat_periodictasks")
        with running(beat, module="celery", log=platform.logs / "ended.log", **environment) as process:
            # The platform's own beat waits too.
            until(lambda: platform.sql(waiting) == [(2,)], 30)
            process.terminate()
            process.wait(5)


def test_a_periodic_message_that_nobody_took_in_time_expires(platform: Platform) -> None:
    found = dict(platform.sql("SELECT task, expire_seconds FROM django_celery_beat_periodictask"))
    assert (found["core.tick"], found["monitoring.measure"]) == (50, 50)


def test_queued_work_runs_once_with_its_arguments_however_many_messages_it_has(platform: Platform) -> None:
    ((key,),) = platform.sql(
        "INSERT INTO core_task_runs (name, args, queue, worker, detail, error) "
        "VALUES ('tests.sleep', '{\"seconds\": 0.1}', '', '', '', '') RETURNING id"
    )
    with current_app.connection_for_write(url=platform.valkey.url) as broker:
        for _ in range(3):
            current_app.send_task("tests.sleep", args=[str(key)], connection=broker)
    until(
        lambda: (
            platform.sql("SELECT state, detail FROM core_task_runs WHERE id = %s", key)
            == [("succeeded", "slept")]
        )
    )
    log = platform.logs / "worker.log"
    until(lambda: log.read_text().count(f"run_not_claimed run={key}") == 2)


@pytest.fixture
def own_broker(private_valkey: Breakable, monkeypatch: pytest.MonkeyPatch) -> Breakable:
    monkeypatch.setattr(current_app.conf, "broker_write_url", private_valkey.url)
    return private_valkey


def waiting(broker: Breakable) -> int:
    return int(redis.Redis.from_url(broker.url).llen("celery:default"))


@pytest.mark.django_db
@pytest.mark.parametrize(("harm", "heal", "seconds"), [("freeze", "thaw", 2.5), ("kill", "start", 1.0)])
def test_a_broker_that_is_away_costs_a_second_and_loses_no_work(
    own_broker: Breakable, harm: str, heal: str, seconds: float, django_capture_on_commit_callbacks: Any
) -> None:
    getattr(own_broker, harm)()
    begun = time.monotonic()
    with django_capture_on_commit_callbacks(execute=True):
        run = enqueue.enqueue("tests.note")
    assert time.monotonic() - begun < seconds
    run.refresh_from_db()
    assert (run.state, run.message_sent_at) == (TaskRun.State.QUEUED, None)
    getattr(own_broker, heal)()
    before = waiting(own_broker)
    TaskRun.objects.filter(pk=run.pk).update(queued_at=Now() - timedelta(minutes=2))
    assert enqueue.send_overdue() == 1
    assert waiting(own_broker) == before + 1
    assert enqueue.send_overdue() == 0
