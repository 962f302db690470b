"""Partition upkeep: what is missing is made, twice at once too, and an open read holds nobody up."""

import threading
import time
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from metrics import partitions
from metrics.models import SystemMetric

pytestmark = pytest.mark.django_db(transaction=True)


def metric(**changes) -> SystemMetric:
    values = {"service_name": "s", "metric_type": "cpu", "metric_value": 1, "unit": "percent"} | changes
    return SystemMetric.objects.create(**values)


def drop(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {name}")


@pytest.fixture(autouse=True)
def whole_again():
    yield
    SystemMetric.objects.all().delete()
    partitions.ensure()


@pytest.fixture
def last() -> str:
    """The name of the newest partition."""
    return partitions.listing()[-1].name


def other_connection() -> psycopg.Connection:
    # Apart from Django's connection, as another program is.
    parameters = connection.get_connection_params()
    return psycopg.connect(
        **{k: parameters[k] for k in ("dbname", "user", "password", "host", "port") if k in parameters}
    )


def test_the_window_reaches_from_the_hot_start_to_three_months_ahead(settings):
    settings.RETENTION_METRICS_DAYS = 90
    assert partitions.window(datetime(2026, 11, 24, tzinfo=UTC)) == (date(2026, 8, 1), date(2027, 2, 1))
    assert partitions.window(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == (
        date(2026, 10, 1),
        date(2027, 3, 1),
    )


def test_bounds_are_utc_month_starts_without_holes():
    found = partitions.listing()
    assert all(
        (p.start.day, p.start.hour, p.start.tzinfo and p.start.utcoffset()) == (1, 0, timedelta(0))
        for p in found
    )
    assert [a.end for a in found[:-1]] == [b.start for b in found[1:]]


def test_a_missing_one_is_made_and_takes_rows(last):
    drop(last)
    assert [partitions.partition_name(m) for m in partitions.missing()] == [last]
    assert partitions.ensure() == [last]
    assert partitions.ensure() == []
    assert metric(timestamp=partitions.listing()[-1].start).pk


def test_a_new_partition_has_the_parents_indexes_checks_and_triggers(last):
    drop(last)
    partitions.ensure()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_inherits i JOIN pg_index x ON x.indexrelid = i.inhrelid "
                       "WHERE x.indrelid = %s::regclass", [last])  # fmt: skip
        assert cursor.fetchone() == (4,)
        cursor.execute(
            "SELECT array_agg(tgname::text ORDER BY tgname) FROM pg_trigger WHERE tgrelid = %s::regclass",
            [last],
        )
        assert cursor.fetchone() == (
            [
                "system_metrics_deleted",
                "system_metrics_inserted",
                "system_metrics_truncated",
                "system_metrics_updated",
            ],
        )


def test_any_day_of_a_month_makes_all_of_it():
    (name,) = partitions.ensure_months([date(2031, 5, 26), date(2031, 5, 31)])
    made = next(each for each in partitions.listing() if each.name == name)
    drop(name)
    assert (name, made.start, made.end) == (
        "system_metrics_2031_05", datetime(2031, 5, 1, tzinfo=UTC), datetime(2031, 6, 1, tzinfo=UTC),
    )  # fmt: skip


def test_two_makers_at_once_make_it_once(last):
    drop(last)
    made, errors = [], []

    def make():
        try:
            made.extend(partitions.ensure())
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    makers = [threading.Thread(target=make) for _ in range(4)]
    [m.start() for m in makers]
    [m.join(20) for m in makers]
    assert (made, errors) == ([last], [])


def test_an_open_read_stops_neither_making_nor_ingest(last):
    drop(last)
    with other_connection() as reader:
        reader.execute("SELECT count(*) FROM system_metrics")
        begun = time.monotonic()
        assert partitions.ensure() == [last]
        metric()
        assert time.monotonic() - begun < 1


def test_dropping_refuses_a_partition_with_rows(last):
    metric(timestamp=partitions.listing()[-1].start)
    assert partitions.drop_empty(last) is False
    assert SystemMetric.objects.count() == 1


def test_dropping_an_empty_one(last):
    assert partitions.drop_empty(last) is True
    assert last not in [p.name for p in partitions.listing()]


@pytest.mark.parametrize(
    "name", ["pg_class", "system_metrics", "system_metrics_1999_01", "x; DROP TABLE auth_user"]
)
def test_dropping_knows_only_its_own_partitions(name):
    with pytest.raises(ValueError, match="is no partition of system_metrics"):
        partitions.drop_empty(name)


def test_dropping_gives_up_behind_an_open_read_and_ingest_goes_on(last, monkeypatch):
    monkeypatch.setattr(partitions, "ATTEMPTS", 2)
    with other_connection() as reader:
        reader.execute("SELECT count(*) FROM system_metrics")
        with pytest.raises(partitions.PartitionBusy, match="nothing was changed"):
            partitions.drop_empty(last)
        metric()
    assert last in [p.name for p in partitions.listing()]


def test_the_dry_run_makes_nothing(last, capsys):
    drop(last)
    call_command("partitions", "--dry-run")
    assert f"would make {last}" in capsys.readouterr().out
    assert last not in [p.name for p in partitions.listing()]
    call_command("partitions")
    assert f"made {last}" in capsys.readouterr().out


def test_rows_outside_every_partition_are_refused_not_lost_silently():
    with pytest.raises(Exception, match="no partition of relation"):
        metric(timestamp=timezone.now() + timedelta(days=400))
