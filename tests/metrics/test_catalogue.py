"""Which services there are, what they report and which fell silent."""

from datetime import timedelta

import pytest
from django.utils import timezone

from metrics import catalogue
from metrics.health import partition_check, silence_checks
from metrics.models import SystemMetric
from metrics.now import services_now
from metrics.partitions import listing
from utxoiq_admin.core.health import Level

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    return timezone.now()


def report(service, kind, moment, value=1.0, unit="percent"):
    SystemMetric.objects.create(
        service_name=service, metric_type=kind, metric_value=value, unit=unit, timestamp=moment
    )


def test_names_come_once_each_by_name(now):
    for service in ("b", "a", "b"):
        report(service, "cpu", now)
    report("a", "latency", now - timedelta(days=40))
    assert (catalogue.service_names(), catalogue.type_names()) == (["a", "b"], ["cpu", "latency"])


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


def test_a_silent_service_is_named_with_its_last_report_and_a_gone_one_is_not(now):
    report("fine", "cpu", now - timedelta(minutes=1))
    report("silent", "cpu", now - timedelta(minutes=42))
    report("retired", "cpu", now - timedelta(days=20))
    checks = silence_checks(catalogue.services(), now)
    last = now - timedelta(minutes=42)
    assert [(c.level, c.text, c.since) for c in checks] == [
        (Level.BROKEN, f"silent: no reports since {last:%H:%M} (42 min)", last)
    ]


def test_services_now_puts_silent_first_and_gone_last(now):
    report("calm", "cpu", now - timedelta(minutes=1), 10)
    report("busy", "cpu", now - timedelta(minutes=1), 70)
    report("busy", "cpu", now - timedelta(minutes=2), 90)
    report("silent", "cpu", now - timedelta(minutes=30), 5)
    report("retired", "cpu", now - timedelta(days=20), 99)
    rows = services_now(now)
    assert [row.service.name for row in rows] == ["silent", "busy", "calm", "retired"]
    assert rows[1].values["cpu"] == (80.0, "percent")
    assert len(rows[1].trend) == 48 and rows[1].trend[-1] == 80.0 and rows[1].trend[0] is None


def test_partitions_that_run_out_are_a_problem_before_they_are_a_loss(now):
    end = listing()[-1].end
    assert partition_check(now).level == Level.OK
    assert partition_check(end - timedelta(days=10)).level == Level.SOON
    assert partition_check(end - timedelta(days=1)).level == Level.BROKEN
    assert "manage.py partitions" in partition_check(end + timedelta(days=1)).text
