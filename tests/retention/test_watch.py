"""Runs that crashed are taken over within minutes, failed nights are tried again, and neither for ever."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from feedback.models import InsightFeedback
from tests.retention.rows import NOW, fill
from tests.retention.test_runs import ask
from utxoiq_admin.core.models import TaskRun
from utxoiq_admin.retention import archiving, runs, services, tasks
from utxoiq_admin.retention import watch as watch_module
from utxoiq_admin.retention.models import Run
from utxoiq_admin.retention.watch import TRIES, watch

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def whatever_the_hour(request, monkeypatch):
    """Only the tests about missed nights depend on the time of the day."""
    if "missed" not in request.node.name:
        monkeypatch.setattr(watch_module, "_missed", lambda: False)


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
    assert watch() == "paused" and not Run.objects.filter(state="queued").exists()


@pytest.mark.parametrize(
    ("clock", "last", "again"),
    [
        ("2026-11-24T02:16", "2026-11-23T02:00", True),
        ("2026-11-24T09:00", "2026-11-21T02:00", True),
        ("2026-11-24T02:14", "2026-11-23T02:00", False),  # its message may be on the way
        ("2026-11-24T14:01", "2026-11-23T02:00", False),  # the next night is near
        ("2026-11-24T09:00", "2026-11-24T02:00", False),
        ("2026-11-24T09:00", None, False),  # a new installation
    ],
)
def test_a_night_that_was_missed_is_made_up_for(clock, last, again):
    if last:
        at = datetime.fromisoformat(last).replace(tzinfo=UTC)
        Run.objects.create(
            state="succeeded", trigger="schedule", requested_by="s", requested_at=at, finished_at=at, open=None,
            tables=[],
        )  # fmt: skip
    with time_machine.travel(datetime.fromisoformat(clock).replace(tzinfo=UTC), tick=False):
        watch()
    assert [(run.trigger, run.requested_by, len(run.tables)) for run in Run.objects.filter(open=True)] == (
        [("schedule", "schedule, late", 3)] if again else []
    )


def test_the_night_does_its_own_run_after_one_that_waited():
    waiting, _ = runs.request(trigger=Run.Trigger.PAGE, by="ana", tables=["backfill_jobs"], send=False)
    tasks.run.run()
    waiting.refresh_from_db()
    assert waiting.state == "succeeded"
    night = Run.objects.get(trigger="schedule")
    assert (night.state, len(night.tables)) == ("succeeded", 3)


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
