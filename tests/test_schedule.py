"""The page of what runs by itself: the last run of each task, or the heartbeat of one too frequent for rows."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from metrics.models import SystemMetric
from metrics.tasks import refresh_rollups
from tests.accounts.access import signed_in
from utxoiq_admin.core import heartbeats
from utxoiq_admin.core.models import Heartbeat, TaskRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def every_minute():
    return IntervalSchedule.objects.create(every=60, period="seconds")


def ran(name, minutes, **changes):
    at = timezone.now() - timedelta(minutes=minutes)
    values = {"state": "succeeded", "started_at": at, "finished_at": at + timedelta(seconds=2)}
    return TaskRun.objects.create(name=name, queued_at=at, **values | changes)


def rows():
    response = signed_in("staff").get("/schedule/")
    return {task.task: (run, heard) for task, _, run, heard in response.context["rows"]}, response


def test_each_task_stands_with_its_newest_run_or_its_heartbeat(every_minute):
    for task in ("a.run", "b.heard", "c.never"):
        PeriodicTask.objects.create(name=task, task=task, interval=every_minute)
    ran("a.run", 9)
    newest = ran("a.run", 3, detail="made nothing")
    ran("elsewhere", 1)
    heartbeat = Heartbeat.objects.create(
        name="b.heard", at=timezone.now() - timedelta(seconds=5), detail={"did": "13 changes"}
    )
    found, response = rows()
    assert found == {"a.run": (newest, None), "b.heard": (None, heartbeat), "c.never": (None, None)}
    page = response.content.decode()
    assert "13 changes" in page and "not yet" in page


def test_newest_of_asks_once_and_knows_what_never_ran(django_assert_num_queries):
    runs = {name: [ran(name, minutes) for minutes in (5, 1, 3)][1] for name in ("a", "b")}
    with django_assert_num_queries(1):
        assert TaskRun.objects.newest_of(["a", "b", "never"]) == runs
    with django_assert_num_queries(0):
        assert TaskRun.objects.newest_of([]) == {}


def test_a_task_too_frequent_for_rows_leaves_a_heartbeat_that_says_what_it_did(monkeypatch):
    monkeypatch.setattr(heartbeats, "_last", {})
    monkeypatch.setattr(heartbeats, "close_old_connections", lambda: None)  # inside the test's transaction
    SystemMetric.objects.create(service_name="s", metric_type="cpu", metric_value=1, unit="percent")
    refresh_rollups()
    heard = Heartbeat.objects.get(name="metrics.refresh_rollups")
    assert heard.detail["did"] == "1 marks taken" and not TaskRun.objects.exists()


@pytest.mark.parametrize("kind", ["ops", "administrator"])
def test_nobody_switches_a_task_off_by_the_librarys_own_pages(every_minute, kind):
    task = PeriodicTask.objects.create(name="night", task="night", interval=every_minute)
    answer = signed_in(kind).post(
        "/admin/django_celery_beat/periodictask/", {"action": "disable_tasks", "_selected_action": task.pk}
    )
    task.refresh_from_db()
    assert answer.status_code == 404 and task.enabled
