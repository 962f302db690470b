"""What a load leaves behind, where it refuses, and that a killed one is finished without doubling."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from backfill.models import BackfillJob
from metrics import partitions
from tests.demo.conftest import ANCHOR, FEW, NOW, TABLES, counts, digest, one, rows
from utxoiq_admin.demo import loading, removal
from utxoiq_admin.demo.models import DemoState, TakenOver


@pytest.mark.django_db
@pytest.mark.parametrize("asked", [[], ["--clear"]], ids=["load", "clear"])
def test_refuses_a_database_of_ones_own(settings: Any, asked: list[str]) -> None:
    settings.EMBEDDED_DATABASE = False
    with pytest.raises(CommandError, match="DATABASE_URL is set: demo data is loaded into the embedded"):
        call_command("load_demo", *asked)
    assert counts() == dict.fromkeys(TABLES, 0)
    assert not DemoState.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("asked", [[], ["--clear"]], ids=["load", "clear"])
def test_refuses_whatever_answers_where_no_stack_runs(settings: Any, asked: list[str]) -> None:
    """Without an address of its own the driver asks 127.0.0.1:5432, which may be somebody's database."""
    settings.STACK = {}
    with pytest.raises(CommandError, match="The embedded database does not run"):
        call_command("load_demo", *asked)
    assert counts() == dict.fromkeys(TABLES, 0)
    assert not DemoState.objects.exists()


@pytest.mark.django_db
def test_everything_is_marked_as_demo(load: Any) -> None:
    state = load()
    for table, mark in TABLES.items():
        assert one(f"SELECT count(*) FROM {table} WHERE {mark}".replace("%", "%%")) == counts()[table] > 0
    assert state.rows == sum(counts().values())
    assert (state.state, state.percent, state.anchor) == ("present", 100.0, ANCHOR)


@pytest.mark.django_db
def test_same_seed_and_now_give_the_same_rows(load: Any) -> None:
    load()
    first = digest()
    removal.remove_demo()
    load()
    assert digest() == first
    removal.remove_demo()
    load(seed=8)
    assert digest() != first


@pytest.mark.django_db
def test_a_row_a_minute_for_two_days_and_every_five_minutes_before(load: Any) -> None:
    load()
    border = (ANCHOR - timedelta(hours=48)).replace(minute=0)
    series = [s for s in FEW if s.service not in ("feature-engine", "legacy-indexer")]
    for which in series:
        found = rows(
            """SELECT count(*) FILTER (WHERE "timestamp" >= %s), count(*) FILTER (WHERE "timestamp" < %s),
                      max("timestamp") FROM system_metrics
               WHERE service_name = %s AND metric_type = %s AND metric_metadata->>'instance_id' = %s""",
            border,
            border,
            which.service,
            which.metric_type,
            which.instance,
        )
        assert found == [(2_888, 574, ANCHOR)], which  # 48 h 8 min, and 47 h 50 min from 14:10 on


@pytest.mark.django_db
def test_never_begins_before_the_first_partition(load: Any, settings: Any, monkeypatch: Any) -> None:
    first = ANCHOR - timedelta(days=2)
    stand = [partitions.Partition("system_metrics_1970_01", first, ANCHOR, 0, None)]
    monkeypatch.setattr(partitions, "listing", lambda: stand)
    monkeypatch.setattr(partitions, "ensure", lambda now: [])
    load()
    assert one('SELECT min("timestamp") FROM system_metrics') == first


@pytest.mark.django_db
def test_the_newest_metrics_come_first(load: Any) -> None:
    seen: list[tuple[str, Any]] = []

    def watch(state: DemoState) -> None:
        seen.append((state.phase, one('SELECT max("timestamp") FROM system_metrics')))

    load(report=watch)
    assert seen[0] == ("recent metrics", None)  # the jobs stand
    assert seen[1] == ("recent metrics", ANCHOR)


@pytest.mark.django_db
def test_jobs_of_every_state_tell_one_story(load: Any) -> None:
    load()
    jobs = list(BackfillJob.objects.all())
    assert len(jobs) == 60 and {job.status for job in jobs} == {"running", "completed", "failed", "paused"}
    assert BackfillJob.objects.failed_since(NOW - timedelta(hours=24), cancelled=False).exists()
    assert sum(job.status == "paused" for job in jobs) >= 2
    running = [job for job in jobs if job.status == "running"]
    assert sum(job.estimated_completion > NOW for job in running) >= 3
    assert any(job.estimated_completion < NOW - timedelta(hours=4) for job in running), "the stalled one"
    for job in jobs:
        assert job.start_block <= job.current_block <= job.end_block <= 1_100_000
        assert bool(job.error_message) == (job.status == "failed")
        assert (job.completed_at is not None) == (job.status in ("completed", "failed"))
        assert (job.status == "completed") == (job.progress_percentage == 100.0)
        assert job.completed_at is None or job.started_at < job.completed_at <= NOW


class Killed(BaseException):
    pass


@pytest.mark.django_db
@pytest.mark.parametrize("slices", [1, 2, 9, 18, 20, 21])
def test_killed_and_run_again_it_finishes_without_doubling(load: Any, slices: int) -> None:
    load()
    whole = digest()
    removal.remove_demo()
    left = [slices]

    def kill(state: DemoState) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    with pytest.raises(Killed):
        load(report=kill)
    assert DemoState.objects.get().state == "loading"
    # The clock has gone on meanwhile; what was begun is finished as it was begun.
    state = load(now=NOW + timedelta(minutes=9))
    assert digest() == whole
    assert state.rows == sum(counts().values())


@pytest.mark.django_db
def test_another_kind_of_load_after_a_kill_begins_anew(load: Any) -> None:
    def kill(state: DemoState) -> None:
        if state.phase == "feedback":
            raise Killed

    with pytest.raises(Killed):
        load(report=kill)
    assert load(seed=8, days=2).rows == sum(counts().values())
    assert one('SELECT min("timestamp") FROM system_metrics') >= ANCHOR - timedelta(days=2)


@pytest.mark.django_db
def test_a_second_load_is_told_that_all_is_there(load: Any, capsys: Any) -> None:
    load()
    before = digest()
    call_command("load_demo")
    assert "Demo data is there already (seed 7, 4 days)" in capsys.readouterr().out
    assert digest() == before


@pytest.mark.django_db
def test_a_younger_load_takes_over_and_the_older_one_stops(load: Any) -> None:
    def rival(state: DemoState) -> None:
        if state.percent > 5 and state.state == "loading" and not taken:
            taken.append(True)
            load()

    taken: list[bool] = []
    with pytest.raises(TakenOver):
        load(report=rival)
    state = DemoState.objects.get()
    assert (state.state, state.rows) == ("present", sum(counts().values()))


@pytest.mark.django_db(transaction=True)
def test_others_see_the_progress_while_it_loads(load: Any) -> None:
    partitions.ensure()
    seen: list[tuple[str, float, int]] = []

    def look() -> None:
        state = DemoState.objects.get()
        metrics = one("SELECT count(*) FROM system_metrics")
        seen.append((state.phase, state.percent, metrics))
        connection.close()

    def report(state: DemoState) -> None:
        other = threading.Thread(target=look)
        other.start()
        other.join()
        assert seen[-1][:2] == (state.phase, state.percent)

    load(days=1, report=report)
    assert [p for _, p, _ in seen] == sorted(p for _, p, _ in seen)
    assert len({metrics for *_, metrics in seen}) > 5
    removal.remove_demo()


@pytest.mark.django_db
def test_the_command_loads_and_clears(capsys: Any, monkeypatch: Any) -> None:
    small = loading.load_demo
    monkeypatch.setattr(loading, "load_demo", lambda **options: small(**options, now=NOW, count=30))
    call_command("load_demo", "--days", "1", "--seed", "5")
    assert DemoState.objects.get().seed == 5
    assert f"Demo data: {sum(counts().values()):,} rows in " in capsys.readouterr().out
    call_command("load_demo", "--clear")
    assert counts() == dict.fromkeys(TABLES, 0)
    with pytest.raises(CommandError, match="from 1 to 366"):
        call_command("load_demo", "--days", "0")
