"""Runs that crashed are taken over within minutes, failed nights are tried again, and neither for ever."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.models import InsightFeedback
from tests.retention.rows import NOW, fill
from tests.retention.test_runs import ask
from utxoiq_admin.core.models import TaskRun
from utxoiq_admin.retention import archiving, runs, services, tasks
from utxoiq_admin.retention.models import Run
from utxoiq_admin.retention.watch import TRIES, watch

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


def ended(state, *, ago=2 * HOUR, trigger="schedule", **changes):
    at = timezone.now() - ago
    return Run.objects.create(
        state=state, trigger=trigger, requested_by="s", requested_at=at, finished_at=at, open=None,
        **{"tables": ["insight_feedback"], **changes},
    )  # fmt: skip


def test_a_killed_run_is_taken_over_with_its_tables_and_its_clock_and_its_rows_leave():
    fill(days=1, rows=8)
    killed = Run.objects.create(
        state="running",
        trigger="page",
        requested_by="ana",
        tables=["insight_feedback"],
        clock=NOW,
        token=uuid.uuid4(),
    )
    tasks.watch.run()
    killed.refresh_from_db()
    taken = Run.objects.get(state="queued")
    assert (killed.state, taken.tables, taken.clock, taken.trigger) == ("crashed", killed.tables, NOW, "page")
    message = TaskRun.objects.get(name="retention.run")
    assert (message.args, message.queue) == ({"run": str(taken.pk)}, "long")
    tasks.run.run(str(message.pk))
    assert InsightFeedback.objects.count() == 0


def test_a_run_that_is_at_work_or_waits_shortly_is_left_alone():
    ask()
    assert watch().startswith("queued since") and TaskRun.objects.count() == 0


def test_a_run_whose_message_was_lost_gets_another():
    waiting, _ = ask()
    Run.objects.update(requested_at=timezone.now() - HOUR)
    watch()
    assert TaskRun.objects.get().args == {"run": str(waiting.pk)}


@pytest.mark.parametrize(
    ("state", "changes", "again"),
    [
        ("succeeded", {}, False),
        ("stopped", {}, False),
        ("failed", {}, True),
        ("failed", {"ago": 59 * timedelta(minutes=1)}, False),
        ("failed", {"ago": 13 * HOUR}, False),
        ("failed", {"trigger": "page"}, False),
        ("crashed", {"ago": timedelta(0)}, True),
        ("crashed", {"trigger": "api"}, True),
        ("crashed", {"trigger": "command"}, False),
        ("crashed", {"ago": 13 * HOUR}, False),
    ],
)
def test_what_is_tried_again(state, changes, again):
    ended(state, **changes)
    watch()
    assert Run.objects.filter(state="queued").exists() is again


def test_it_gives_up_after_some_tries_and_a_success_starts_the_count_anew():
    for number in range(TRIES):
        ended("crashed", ago=(TRIES - number) * HOUR)
    assert watch() == "nothing to do"
    ended("succeeded", ago=timedelta(minutes=2))
    ended("crashed", ago=timedelta(minutes=1))
    assert watch() == "asked for another try, crashed before"


def test_nights_that_are_paused_are_not_tried_again():
    ended("crashed")
    runs.pause(until=timezone.now() + HOUR, by="ana")
    assert watch() == "nothing to do" and not Run.objects.filter(state="queued").exists()


def test_a_command_that_is_interrupted_ends_as_stopped(monkeypatch):
    fill(days=1, rows=8)

    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(archiving, "_written", interrupted)
    asked, _ = ask()
    with pytest.raises(KeyboardInterrupt):
        services.perform(run_id=asked.pk)
    asked.refresh_from_db()
    assert (asked.state, InsightFeedback.objects.count()) == ("stopped", 8)
