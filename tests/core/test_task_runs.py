"""A row per run: queued work runs once, and how it ended is known."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from tests.core.conftest import until
from utxoiq_admin.core import enqueue, task_runs, tasks
from utxoiq_admin.core.models import TaskRun

State = TaskRun.State
seen: list[dict[str, Any]] = []


@task_runs.recorded("tests.add")
def add(**numbers: int) -> str:
    seen.append(numbers)
    return f"{sum(numbers.values())} in all"


@task_runs.recorded("tests.fail")
def fail() -> None:
    raise ValueError("no route to postgres://utxoiq:hunter2@db:5432/x, password=hunter2, Bearer abc.def")


@pytest.fixture(autouse=True)
def _forget() -> None:
    seen.clear()


def queued(**fields: Any) -> TaskRun:
    return TaskRun.objects.create(**{"name": "tests.add", "args": {"a": 1, "b": 2}, **fields})


def age(**ages: timedelta) -> dict[str, Any]:
    return {field: Now() - old for field, old in ages.items()}


@pytest.mark.django_db
def test_a_queued_row_runs_once_however_many_messages_it_has() -> None:
    run = queued()
    for _ in range(3):
        add(str(run.pk))
    assert seen == [{"a": 1, "b": 2}]
    run.refresh_from_db()
    assert (run.state, run.detail, run.error) == (State.SUCCEEDED, "3 in all", "")
    assert run.worker
    assert run.duration is not None
    assert run.duration >= timedelta(0)


@pytest.mark.django_db
def test_a_message_whose_row_is_gone_does_nothing() -> None:
    add("019ab000-0000-7000-8000-000000000000")
    assert (seen, TaskRun.objects.count()) == ([], 0)


@pytest.mark.django_db
def test_the_schedules_runs_leave_a_row_of_their_own() -> None:
    add()
    run = TaskRun.objects.get()
    assert (run.name, run.state, run.args, run.detail) == ("tests.add", State.SUCCEEDED, {}, "0 in all")


@pytest.mark.django_db
def test_a_failure_is_recorded_without_secrets_and_goes_on() -> None:
    with pytest.raises(ValueError, match="no route"):
        fail()
    run = TaskRun.objects.get()
    assert run.state == State.FAILED
    assert run.error.startswith(
        "ValueError: no route to postgres://…@db:5432/x, password…, Bearer …\nin fail, test_task_runs.py"
    )
    assert "hunter2" not in run.error
    assert run.finished_at is not None


@pytest.mark.parametrize("key", ["SECRET_KEY", "PASSWORD"])
def test_the_secrets_of_the_settings_never_stand_in_an_error(key: str) -> None:
    secret = (
        django_settings.SECRET_KEY
        if key == "SECRET_KEY"
        else django_settings.DATABASES["default"]["PASSWORD"]
    )
    assert secret
    assert secret not in task_runs.describe(RuntimeError(f"it said {secret}!"))


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_with_one_message_each_exactly_one_runs_it() -> None:
    run, start = queued(), threading.Barrier(5)

    def work() -> None:
        connection.ensure_connection()
        start.wait()
        add(str(run.pk))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [{"a": 1, "b": 2}]


@pytest.mark.django_db(transaction=True)
def test_a_long_run_is_kept_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_runs, "HEARTBEAT", 0.05)
    with task_runs.followed(task_runs.begin("tests.long")) as run:
        until(
            lambda: (
                TaskRun.objects.filter(heartbeat_at__gt=run.started_at or 0).exists() if False else fresh(run)
            )
        )
    run.refresh_from_db()
    assert run.state == State.SUCCEEDED


def fresh(run: TaskRun) -> bool:
    run = TaskRun.objects.get(pk=run.pk)
    assert run.heartbeat_at is not None
    assert run.started_at is not None
    return run.heartbeat_at > run.started_at


@pytest.mark.django_db
def test_a_run_whose_worker_fell_silent_is_lost_and_a_late_end_is_believed() -> None:
    old = timedelta(minutes=2)
    silent = queued(state=State.RUNNING, **age(started_at=old, heartbeat_at=old))
    lively = queued(state=State.RUNNING, **age(started_at=old, heartbeat_at=timedelta(seconds=5)))
    assert task_runs.mark_lost() == 1
    silent.refresh_from_db()
    lively.refresh_from_db()
    assert (silent.state, lively.state) == (State.LOST, State.RUNNING)
    assert "stopped answering" in silent.error
    task_runs._finish(silent, State.SUCCEEDED, "")
    silent.refresh_from_db()
    assert (silent.state, silent.error) == (State.SUCCEEDED, "")


@pytest.mark.django_db
def test_clean_up_is_bounded_and_keeps_what_is_young_or_open() -> None:
    old, ended = timedelta(days=40), {"state": State.SUCCEEDED, "started_at": Now(), "finished_at": Now()}
    for _ in range(5):
        queued(**ended, **age(queued_at=old))
    kept = {queued(**ended).pk, queued(**age(queued_at=old)).pk}
    assert task_runs.clean_up(batch=3) == (3, True)
    assert task_runs.clean_up(batch=3) == (2, False)
    assert task_runs.clean_up(batch=3) == (0, False)
    assert set(TaskRun.objects.values_list("pk", flat=True)) == kept


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [{"state": "asleep"}, {"state": "running"}, {"started_at": Now()}, {"state": "succeeded", "finished_at": Now()},
     {"state": "lost", "started_at": Now()}],
)  # fmt: skip
def test_the_table_refuses_states_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="chk_task_run"), transaction.atomic():
        queued(**fields)
    assert TaskRun.objects.count() == 0


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], str]]:
    """What would go to the broker; the broker itself has tests of its own (test_processes)."""
    sent: list[tuple[str, list[str], str]] = []

    def send_task(name: str, args: list[str], queue: str, **options: Any) -> None:
        assert options["retry"] is False
        sent.append((name, args, queue))

    monkeypatch.setattr(current_app, "send_task", send_task)
    return sent


@pytest.mark.django_db
def test_the_message_leaves_after_the_commit_with_the_id_only(
    messages: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = enqueue.enqueue("tests.add", args={"a": 1}, queue="long")
        assert messages == []
    assert messages == [("tests.add", [str(run.pk)], "long")]
    run.refresh_from_db()
    assert (run.state, run.args, run.queue) == (State.QUEUED, {"a": 1}, "long")
    assert run.message_sent_at is not None


@pytest.mark.django_db(transaction=True)
def test_nothing_is_sent_for_a_transaction_that_was_rolled_back(messages: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        enqueue.enqueue("tests.add")
        raise ZeroDivisionError
    assert (messages, TaskRun.objects.count()) == ([], 0)


@pytest.mark.django_db
def test_the_tick_sends_what_waited_a_minute_and_nothing_else(messages: list[Any]) -> None:
    old, young = timedelta(seconds=90), timedelta(seconds=30)
    never_sent = queued(**age(queued_at=old))
    message_lost = queued(**age(queued_at=old, message_sent_at=timedelta(seconds=70)))
    queued(**age(queued_at=young))
    queued(**age(queued_at=old, message_sent_at=young))
    queued(state=State.RUNNING, started_at=Now(), heartbeat_at=Now(), **age(queued_at=old))
    tasks.tick()
    assert {args[0] for _, args, _ in messages} == {str(never_sent.pk), str(message_lost.pk)}
    tick = TaskRun.objects.of("core.tick").get()
    assert tick.detail == "2 messages sent again, 0 runs lost, 0 old runs removed"


@pytest.mark.django_db
def test_reads_use_the_indexes_made_for_them() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
    reads = {
        "idx_task_runs_name": TaskRun.objects.of("core.tick")[:1],
        "idx_task_runs_open": TaskRun.objects.silent(timedelta(seconds=60)).order_by(),
        "idx_task_runs_queued": TaskRun.objects.ended_before(timedelta(days=30))[:10],
    }
    for index, rows in reads.items():
        assert index in rows.explain()
    assert "idx_task_runs_open" in TaskRun.objects.message_overdue(timedelta(seconds=60)).explain()
