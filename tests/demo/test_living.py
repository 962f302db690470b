"""Looked at again after a minute, an hour, a day, or with a clock that was moved, the demo still looks alive."""

import threading
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection, transaction

from backfill.models import BackfillJob
from metrics import partitions
from tests.demo.conftest import ANCHOR, FEW, NOW, TABLES, counts, digest, one, rows
from utxoiq_admin.demo import living, removal
from utxoiq_admin.demo.curves import Curve
from utxoiq_admin.demo.jobs import jobs_at
from utxoiq_admin.demo.living import keep_alive
from utxoiq_admin.demo.loading import plan_of
from utxoiq_admin.demo.models import DemoState
from utxoiq_admin.demo.plan import minute_of

WEB = FEW[0]


def web(since: datetime) -> dict[datetime, float]:
    """One series' rows since a moment; fails on a double."""
    found = rows(
        'SELECT "timestamp", metric_value FROM system_metrics WHERE service_name = %s AND "timestamp" > %s',
        WEB.service,
        since,
    )
    assert len(dict(found)) == len(found), "a minute stands twice"
    return dict(found)


@pytest.mark.django_db
def test_nothing_happens_where_there_is_no_demo() -> None:
    assert keep_alive(now=NOW) == 0
    DemoState.objects.create()
    assert keep_alive(now=NOW) == 0
    assert counts() == dict.fromkeys(TABLES, 0)


@pytest.mark.django_db
def test_nothing_happens_in_a_database_of_ones_own(load: Any, settings: Any) -> None:
    load()
    before = digest()
    settings.EMBEDDED_DATABASE = False
    assert keep_alive(now=NOW + timedelta(hours=1)) == 0
    assert digest() == before


@pytest.mark.django_db
def test_each_minute_gets_its_rows_on_the_same_curve(load: Any) -> None:
    plan = plan_of(load())
    for minute in range(1, 4):
        keep_alive(now=NOW + timedelta(minutes=minute))
    assert web(ANCHOR) == {
        ANCHOR + timedelta(minutes=m): Curve(plan, WEB).value(minute_of(ANCHOR) + m) for m in (1, 2, 3)
    }
    assert DemoState.objects.get().kept_alive_at == NOW + timedelta(minutes=3)


@pytest.mark.django_db
def test_twice_in_a_minute_writes_once(load: Any) -> None:
    load()
    keep_alive(now=NOW + timedelta(minutes=1))
    before = digest()
    assert keep_alive(now=NOW + timedelta(minutes=1)) == 0
    assert digest() == before


@pytest.mark.django_db
def test_after_an_hour_off_no_minute_is_missing(load: Any) -> None:
    load()
    keep_alive(now=NOW + timedelta(hours=1))
    assert sorted(web(ANCHOR)) == [ANCHOR + timedelta(minutes=m) for m in range(1, 61)]


@pytest.mark.django_db
def test_after_a_clock_moved_by_a_day_charts_feedback_and_jobs_go_on(load: Any) -> None:
    load(count=400)
    later = NOW + timedelta(days=1)
    keep_alive(now=later)
    assert len(web(ANCHOR)) == 1440
    assert one("SELECT count(*) FROM insight_feedback WHERE created_at > %s", NOW) > 20
    assert one("SELECT count(*) FROM insight_texts WHERE published_at > %s", NOW) > 50
    assert BackfillJob.objects.filter(started_at__gt=NOW).count() >= 4
    assert BackfillJob.objects.filter(status="running", estimated_completion__gt=later).exists()
    assert BackfillJob.objects.filter(completed_at__range=(NOW, later)).exists()


@pytest.mark.django_db
def test_long_gaps_are_filled_by_five_minutes_except_the_last_two_days(load: Any) -> None:
    load(days=8)
    later = NOW + timedelta(days=4)
    keep_alive(now=later)
    border = (later - timedelta(hours=48)).replace(minute=0, second=0)
    found = sorted(web(ANCHOR))
    steps = {(b - a, a < border) for a, b in pairwise(found)}
    assert steps == {(timedelta(minutes=5), True), (timedelta(minutes=1), False)}


@pytest.mark.django_db
def test_the_number_of_rows_stays_bounded(load: Any) -> None:
    load()
    at_load = counts()
    for hours in (1, 7, 30, 31, 200, 1_000, 1_001):
        keep_alive(now=NOW + timedelta(hours=hours))
        now = counts()
        assert now["system_metrics"] <= at_load["system_metrics"] * 1.05
        assert now["backfill_jobs"] == 60
        assert now["insight_texts"] <= at_load["insight_texts"] + 10
    oldest = one('SELECT min("timestamp") FROM system_metrics')
    assert oldest >= NOW + timedelta(hours=1_001 - 4 * 24 - 1)


@pytest.mark.django_db
def test_a_clock_moved_back_breaks_and_doubles_nothing(load: Any) -> None:
    load()
    keep_alive(now=NOW + timedelta(days=1))
    before = digest()
    for back in (timedelta(hours=23), timedelta(0), timedelta(days=-2), timedelta(days=-300)):
        assert keep_alive(now=NOW + back) == 0
    assert digest() == before
    keep_alive(now=NOW + timedelta(days=1, minutes=1))
    assert len(web(ANCHOR)) == 1441


@pytest.mark.django_db
def test_a_run_without_time_leaves_the_rest_to_the_next(load: Any, monkeypatch: Any) -> None:
    load()
    monkeypatch.setattr(living, "BUDGET_SECONDS", 1e-9)
    later = NOW + timedelta(hours=10)
    reached = []
    for _ in range(6):
        keep_alive(now=later)
        reached.append(DemoState.objects.get().events_until == later)
    assert reached == [False, False, False, True, True, True]
    assert len(web(ANCHOR)) == 600


@pytest.mark.django_db
def test_running_jobs_move_and_those_taken_in_hand_do_not(load: Any) -> None:
    load()
    running = BackfillJob.objects.filter(status="running", estimated_completion__gt=NOW)
    mine, other = running.order_by("-estimated_completion")[:2]
    BackfillJob.objects.filter(pk=mine.pk).update(status="paused", estimated_completion=None)
    keep_alive(now=NOW + timedelta(minutes=20))
    moved, left = BackfillJob.objects.get(pk=other.pk), BackfillJob.objects.get(pk=mine.pk)
    assert moved.current_block > other.current_block
    assert moved.progress_percentage > other.progress_percentage  # type: ignore[operator]
    assert (left.status, left.current_block) == ("paused", mine.current_block)


@pytest.mark.django_db
def test_the_first_step_of_a_job_is_as_long_as_the_time_it_took(load: Any) -> None:
    """Else the pace that is learnt from it, and the time that is left, are wrong from the first minute on."""
    plan = plan_of(load())
    planned = {job.id: job for job in jobs_at(plan, NOW)}
    running = BackfillJob.objects.filter(status="running", estimated_completion__gt=NOW)
    assert running
    for moment in (NOW, NOW + timedelta(seconds=20)):
        keep_alive(now=moment)
        for job in running:
            assert job.current_block == planned[job.pk].fields_at(moment)["current_block"]
        running = running.all()


@pytest.mark.django_db
def test_real_rows_are_left_alone(load: Any) -> None:
    load()
    BackfillJob.objects.create(
        job_type="blocks",
        start_block=1,
        end_block=9,
        current_block=2,
        status="running",
        started_at=NOW - timedelta(days=30),
        created_by="demonstration",
    )
    keep_alive(now=NOW + timedelta(days=3))
    assert BackfillJob.objects.get(created_by="demonstration").current_block == 2


@pytest.mark.django_db
def test_a_removal_that_stands_still_is_taken_up(load: Any) -> None:
    load()
    removal.request_removal()
    keep_alive(now=NOW)
    assert counts() != dict.fromkeys(TABLES, 0), "whoever asked may still be at it"
    DemoState.objects.update(updated_at=NOW - timedelta(days=1))
    keep_alive(now=NOW)
    assert counts() == dict.fromkeys(TABLES, 0)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_are_harmless(load: Any) -> None:
    partitions.ensure()
    load(days=1)
    written: list[int] = []

    def run() -> None:
        written.append(keep_alive(now=NOW + timedelta(minutes=30)))
        connection.close()

    with transaction.atomic():
        DemoState.objects.select_for_update().get()
        late = threading.Thread(target=run)
        late.start()
        late.join(10)
    assert written == [0], "the lock is taken: leave, do not wait"
    both = [threading.Thread(target=run) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(20)
    assert len(web(ANCHOR)) == 30
    removal.remove_demo()
