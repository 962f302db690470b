"""Which services there are, what they report and which fell silent."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from metrics import catalogue, instances, rollups
from metrics.health import partition_check, rollup_check, service_checks
from metrics.models import RollupDay, RollupMark, SystemMetric
from metrics.overview import overview
from metrics.partitions import listing
from utxoiq_admin.core.health import Level
from utxoiq_admin.core.models import Heartbeat

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    return timezone.now()


def report(service, kind, moment, value=1.0, unit="percent", instance=None):
    SystemMetric.objects.create(
        service_name=service, metric_type=kind, metric_value=value, unit=unit, timestamp=moment,
        metric_metadata=instance and {"instance_id": instance},
    )  # fmt: skip


def test_names_come_once_each_by_name(now):
    for service in ("b", "a", "b"):
        report(service, "cpu", now)
    report("a", "latency", now - timedelta(days=40))
    assert (catalogue.service_names(), catalogue.type_names()) == (["a", "b"], ["cpu", "latency"])


def test_types_of_a_service_are_those_of_its_kept_rows_refreshed_or_not(now):
    report("a", "cpu", now)
    report("a", "latency", now - timedelta(days=80), unit="ms")
    report("b", "queue_depth", now)
    rollups.refresh()
    report("a", "memory", now)
    assert catalogue.types_of("a") == ["cpu", "latency", "memory"]
    assert catalogue.types_of("b") == ["queue_depth"]
    assert catalogue.types_of("c") == []
    RollupDay.objects.filter(metric_type="latency").update(day=now.date() - timedelta(days=91))
    assert catalogue.types_of("a") == ["cpu", "memory"]


def test_an_empty_table_has_no_services():
    assert (catalogue.service_names(), catalogue.services()) == ([], [])


def test_a_service_is_what_it_reported_before_it_was_last_heard(now):
    report("a", "cpu", now - timedelta(days=30))
    report("a", "memory", now - timedelta(days=30, minutes=20), unit="bytes")
    report("a", "gone", now - timedelta(days=31))
    found = catalogue.services()
    assert [(s.name, s.last, s.kinds) for s in found] == [
        ("a", now - timedelta(days=30), (("cpu", "percent"), ("memory", "bytes")))
    ]
    assert found[0].gone(now)


def test_a_service_whose_rows_are_all_in_the_archive_is_known_by_its_rollups(now):
    report("a", "cpu", now - timedelta(days=30))
    report("a", "latency", now - timedelta(days=30, minutes=1), unit="ms")
    report("b", "cpu", now)
    rollups.refresh()
    SystemMetric.objects.filter(service_name="a").delete()
    RollupMark.objects.all().delete()
    (former, present) = catalogue.services()
    kinds = {("cpu", "percent"), ("latency", "ms")}
    assert (former.name, former.last, former.usual) == ("a", now - timedelta(days=30), None)
    assert set(former.kinds) <= kinds and former.gone(now)
    assert (present.name, present.last) == ("b", now)


def test_a_service_that_reports_and_still_asks_for_a_look_is_told(now):
    """Silent ones are told as such alone; one with a high CPU and a missing instance by its CPU."""
    for minutes in range(1, 90):
        at = now - timedelta(minutes=minutes)
        report("burning", "cpu", at, 97.0, instance="only")
        report("calm", "cpu", at, 80.0, instance="only")
        report("halved", "cpu", at, 20.0, instance="here")
        if minutes >= 60:
            report("halved", "cpu", at, 20.0, instance="away")
    instances.note(now=now)
    checks = service_checks(overview(now), now)
    assert [(c.level, c.text, c.url) for c in checks] == [
        (Level.SOON, "burning: CPU at 97 % over its last 5 min, above 80 %", "/charts/?service=burning"),
        (Level.SOON, "halved: 1 of 2 instances report, not away", "/charts/?service=halved"),
        (Level.OK, "3 services report", ""),
    ]
    assert checks[1].since == now - timedelta(minutes=60)


def test_a_silent_service_is_named_with_its_last_report_and_a_gone_one_is_not(now):
    report("fine", "cpu", now - timedelta(minutes=1))
    for minutes in (42, 43, 44):
        report("silent", "cpu", now - timedelta(minutes=minutes))
    report("retired", "cpu", now - timedelta(days=20))
    checks = service_checks(overview(now), now)
    last = now - timedelta(minutes=42)
    day = "" if last.date() == now.date() else f"{last:%Y-%m-%d} "
    assert [(c.level, c.text, c.since) for c in checks] == [
        (Level.BROKEN, f"silent: no reports since {day}{last:%H:%M}, usually every 1 min", last),
        (Level.OK, "1 service reports", None),
    ]
    later = now + timedelta(days=2)
    assert f"since {last:%Y-%m-%d %H:%M}," in service_checks(overview(later), later)[0].text


def test_rollups_left_behind_are_told_with_how_many_changes_wait(now):
    assert (rollup_check(now).level, rollup_check(now).text) == (Level.OK, "rollups up to date")
    report("a", "cpu", now)
    check = rollup_check(now)
    assert check.level == Level.SOON and "never heard: 1 change waits" in check.text
    Heartbeat.objects.create(name="metrics.refresh_rollups", at=now - timedelta(seconds=20))
    assert rollup_check(now).level == Level.OK
    assert "last heard 5 min ago" in rollup_check(now + timedelta(minutes=5)).text
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metric_rollup_marks SELECT 'a', 'cpu', 'percent', now() FROM generate_series(1, 50000)"
        )
    assert rollup_check(now).text.startswith("rollups are behind: more than 50,000 changes wait")


def test_partitions_that_run_out_are_a_problem_before_they_are_a_loss(now):
    end = listing()[-1].end
    assert partition_check(now).level == Level.OK
    assert partition_check(end - timedelta(days=10)).level == Level.SOON
    assert partition_check(end - timedelta(days=1)).level == Level.BROKEN
    assert "manage.py partitions" in partition_check(end + timedelta(days=1)).text
