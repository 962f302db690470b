"""What is measured, what becomes a gap, and that no minute is written twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from metrics import partitions
from metrics.models import SystemMetric
from utxoiq_admin.monitoring import measurements, sources
from utxoiq_admin.monitoring.models import Reading
from utxoiq_admin.monitoring.sources import Sample, Value

NOW = datetime.now(UTC).replace(second=40, microsecond=5)
MINUTE = NOW.replace(second=0, microsecond=0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock: its last item is the time; sleeping adds one."""
    times = [1000.0]
    monkeypatch.setattr(measurements.time, "monotonic", lambda: times[-1])
    monkeypatch.setattr(measurements.time, "sleep", lambda seconds: times.append(times[-1] + seconds))
    return times


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two sources whose counters a test moves by hand."""
    state: dict[str, Any] = {"busy": 10.0, "total": 100.0, "transactions": 500.0, "hit": 90.0, "read": 10.0}
    state["epoch"] = "first"
    state["down"] = set()

    def host() -> Sample:
        counted = {"cpu_busy": state["busy"], "cpu_total": state["total"]}
        return Sample([Value("load1", 0.5, "count")], counted)

    def postgres() -> Sample:
        if "postgres" in state["down"]:
            raise ConnectionError("away")
        names = {"transactions": "transactions", "blocks_hit": "hit", "blocks_read": "read"}
        return Sample([], {name: state[key] for name, key in names.items()}, state["epoch"])

    monkeypatch.setattr(measurements, "SOURCES", {"host": ("host", host), "postgres": ("postgres", postgres)})
    return state


def move(state: dict[str, Any], **steps: float) -> None:
    for name, step in steps.items():
        state[name] += step


def written(minute: datetime) -> dict[tuple[str, str], float]:
    rows = SystemMetric.objects.filter(timestamp=minute)
    return {(row.service_name, row.metric_type): row.metric_value for row in rows}


@pytest.mark.django_db
def test_measures_host_servers_and_ourselves_with_units() -> None:
    assert measurements.measure(now=NOW) == SystemMetric.objects.count()
    units = {(r.service_name, r.metric_type): r.unit for r in SystemMetric.objects.all()}
    expected = {
        ("host", "cpu"): "percent",
        ("host", "memory"): "percent",
        ("host", "memory_used"): "bytes",
        ("host", "disk"): "percent",
        ("host", "load1"): "count",
        ("postgres", "connections"): "count",
        ("postgres", "transactions"): "per_second",
        ("postgres", "database_size"): "bytes",
        ("valkey", "memory_used"): "bytes",
        ("valkey", "clients"): "count",
        ("utxoiq-admin", "queue_depth"): "count",
        ("utxoiq-admin", "worker_memory"): "bytes",
    }
    assert {name: unit for name, unit in units.items() if name != ("postgres", "cache_hit")} == expected
    row = SystemMetric.objects.get(service_name="host", metric_type="memory")
    assert row.metric_metadata == {"instance_id": Reading.objects.get().instance}
    assert 0 < row.metric_value <= 100 and row.timestamp == MINUTE


@pytest.mark.django_db
def test_writes_one_batch(clock: list[float], counters: dict[str, Any]) -> None:
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        measurements.measure(now=NOW)
    assert sum('INSERT INTO "system_metrics"' in q["sql"] for q in queries.captured_queries) == 1


@pytest.mark.django_db
def test_a_rate_is_the_step_since_the_last_reading(clock: list[float], counters: dict[str, Any]) -> None:
    measurements.measure(now=NOW)
    clock.append(clock[-1] + 60)
    move(counters, busy=15, total=120, transactions=600, hit=30, read=10)
    assert measurements.measure(now=NOW + timedelta(minutes=1)) == 4
    assert written(MINUTE + timedelta(minutes=1)) == {
        ("host", "load1"): 0.5,
        ("host", "cpu"): 12.5,
        ("postgres", "transactions"): 10.0,
        ("postgres", "cache_hit"): 75.0,
    }


@pytest.mark.django_db
def test_the_first_measurement_makes_its_own_step(clock: list[float], counters: dict[str, Any]) -> None:
    sleep = measurements.time.sleep

    def busy_sleep(seconds: float) -> None:
        move(counters, busy=0.25, total=1, transactions=4)
        sleep(seconds)

    measurements.time.sleep = busy_sleep  # type: ignore[assignment]  # undone by the fixture
    measurements.measure(now=NOW)
    # No block was read or found in that time: a share of nothing is a gap.
    assert written(MINUTE) == {
        ("host", "load1"): 0.5,
        ("host", "cpu"): 25.0,
        ("postgres", "transactions"): 8.0,
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    "restart",
    [
        {"transactions": -400.0, "hit": 5.0, "read": 5.0},
        {"transactions": 900.0, "epoch": "second", "hit": 9.0},
    ],
)
def test_counters_that_began_anew_are_a_gap(
    clock: list[float], counters: dict[str, Any], restart: dict[str, Any]
) -> None:
    measurements.measure(now=NOW)
    clock.append(clock[-1] + 60)
    counters["epoch"] = restart.pop("epoch", "first")
    move(counters, busy=30, total=60, **restart)
    measurements.measure(now=NOW + timedelta(minutes=1))
    assert written(MINUTE + timedelta(minutes=1)) == {("host", "load1"): 0.5, ("host", "cpu"): 50.0}


@pytest.mark.django_db
def test_a_source_that_is_down_is_a_gap_and_stops_no_other(
    clock: list[float], counters: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    measurements.measure(now=NOW)
    clock.append(clock[-1] + 60)
    counters["down"] = {"postgres"}
    move(counters, busy=6, total=60)
    measurements.measure(now=NOW + timedelta(minutes=1))
    assert written(MINUTE + timedelta(minutes=1)) == {("host", "load1"): 0.5, ("host", "cpu"): 10.0}
    assert "measurement.gap source=postgres error=away" in caplog.text
    # Back again: its next step begins with the first reading after the pause.
    counters["down"] = set()
    clock.append(clock[-1] + 60)
    measurements.measure(now=NOW + timedelta(minutes=2))
    assert ("postgres", "transactions") not in written(MINUTE + timedelta(minutes=2))


@pytest.mark.django_db
def test_a_long_pause_is_not_averaged_into_one_minute(clock: list[float], counters: dict[str, Any]) -> None:
    measurements.measure(now=NOW)
    clock.append(clock[-1] + 3600)
    move(counters, busy=1800, total=7200, transactions=99_000)
    measurements.measure(now=NOW + timedelta(minutes=60))
    assert written(MINUTE + timedelta(minutes=60)) == {
        ("host", "load1"): 0.5,
        ("postgres", "transactions"): 0.0,  # of the half second that it measured itself
    }


@pytest.mark.django_db
def test_twice_in_a_minute_writes_the_minute_once(clock: list[float], counters: dict[str, Any]) -> None:
    first = measurements.measure(now=NOW)
    clock.append(clock[-1] + 10)
    move(counters, busy=5, total=10)
    assert measurements.measure(now=NOW + timedelta(seconds=10)) == 0
    assert SystemMetric.objects.count() == first
    # The reading stays the one of the rows: the next minute's step covers the whole of it.
    assert Reading.objects.get().counters["host"]["cpu_busy"] == 10.0


@pytest.mark.django_db
def test_a_clock_set_back_doubles_no_minute(clock: list[float], counters: dict[str, Any]) -> None:
    for minute in (0, 1, 0, 1, 2):
        clock.append(clock[-1] + 60)
        move(counters, busy=5, total=10)
        measurements.measure(now=NOW + timedelta(minutes=minute))
    rows = SystemMetric.objects.filter(service_name="host", metric_type="load1")
    assert sorted(row.timestamp for row in rows) == [MINUTE + timedelta(minutes=n) for n in range(3)]


@pytest.mark.django_db(transaction=True)
def test_two_at_once_write_the_minute_once(
    partitions_stand: None, clock: list[float], counters: dict
) -> None:
    def run(_: int) -> int:
        try:
            return measurements.measure(now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        counts = sorted(pool.map(run, range(4)))
    assert counts[:3] == [0, 0, 0] and counts[3] == SystemMetric.objects.count() > 0


@pytest.fixture
def partitions_stand(transactional_db: None) -> Iterator[None]:
    partitions.ensure()
    yield


def test_a_dead_valkey_costs_its_timeout_and_no_more(settings: Any) -> None:
    import time

    settings.REDIS_URL = "redis://10.255.255.1:6379/0"  # answers nothing
    begun = time.monotonic()
    with pytest.raises(Exception, match=r"."):
        sources.valkey()
    assert time.monotonic() - begun < settings.REDIS_TIMEOUT + 0.5


def test_the_queue_depth_counts_the_messages_of_every_queue(settings: Any) -> None:
    with sources._valkey() as client:
        client.delete("celery:default")
        before = sources.queues().values[0].value
        client.rpush("celery:default", "one", "two")
        try:
            assert sources.queues().values == [Value("queue_depth", before + 2, "count")]
        finally:
            client.delete("celery:default")
