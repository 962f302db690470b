"""Where a service reported nothing, seen by its rows and by its rollups."""

from datetime import timedelta

import pytest
from django.utils import timezone

from metrics import rollups, sealing
from metrics.gaps import gaps
from metrics.models import SystemMetric
from metrics.rhythm import silent_after, usual_intervals

pytestmark = pytest.mark.django_db

NOON = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=4)
HOUR = 3600


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def report(minutes, service="web-api", **changes):
    SystemMetric.objects.bulk_create(
        SystemMetric(
            **{"service_name": service, "metric_type": "cpu", "metric_value": 1, "unit": "percent"} | changes,
            timestamp=at(minute),
        )
        for minute in minutes
    )


def found(first, last, step=60, service="web-api"):
    """The gaps' ends in minutes after noon."""
    return [
        ((each.start - NOON) / timedelta(minutes=1), (each.end - NOON) / timedelta(minutes=1))
        for each in gaps(service, start=at(first), end=at(last), step=step)
    ]


def test_a_silence_is_between_the_rows_on_its_sides():
    report([*range(60), *range(101, 180)])
    report(range(180), service="another")
    assert found(0, 180) == [(59, 101)]


def test_a_type_that_pauses_while_another_reports_is_no_gap():
    report([*range(60), *range(101, 180)])
    report(range(50, 110), metric_type="latency", unit="ms")
    assert found(0, 180) == []


def test_nothing_is_missing_before_the_first_row_ever():
    report(range(60, 120))
    assert found(0, 120) == []


def test_a_range_that_begins_or_ends_in_a_silence_shows_its_part():
    report([*range(-30, 0), *range(40, 60)])
    assert found(10, 50) == [(10, 40)]
    report([90], service="another")
    assert found(45, 120) == [(59, 120)]


def test_a_rhythm_of_half_an_hour_is_no_row_of_gaps():
    report([*range(0, 600, 30), *range(840, 1440, 30)])
    assert usual_intervals({"web-api": at(590)}) == {"web-api": timedelta(minutes=30)}
    assert silent_after(timedelta(minutes=30)) == timedelta(minutes=90)
    assert found(300, 1200) == [(570, 840)]


def test_types_written_one_after_the_other_are_one_report():
    report([minute + type_number / 6000 for minute in range(0, 900, 60) for type_number in range(9)])
    usual = usual_intervals({"web-api": at(840 + 8 / 6000)})["web-api"]
    assert usual == timedelta(hours=1)


def test_wide_buckets_show_no_gap_narrower_than_they_are():
    report([*range(60), *range(70, 180)])
    assert found(0, 180) == [(59, 70)]
    assert found(0, 180, step=3600 // 5) == []


def test_by_hours_the_rollups_tell_and_pending_hours_count():
    report([*range(60), *range(190, 300)])
    rollups.refresh()
    report(range(420, 430))
    assert found(0, 480, step=HOUR) == [(60, 180), (300, 420)]
    assert [each.by_hours for each in gaps("web-api", start=at(0), end=at(480), step=HOUR)] == [True, True]


def test_by_hours_the_start_counts_only_for_a_service_that_is_older():
    report([*range(-1500, -1490), *range(180, 300), 470])
    rollups.refresh()
    assert found(0, 480, step=HOUR) == [(0, 180), (300, 420)]
    report(range(180, 300), service="new")
    rollups.refresh()
    assert found(0, 300, step=HOUR, service="new") == []


def test_rows_that_left_for_the_archive_are_a_gap_in_rows_but_not_in_hours():
    report([*range(-1500, -1440), *range(300)])
    rollups.refresh()
    midnight = at(-720)
    sealing.seal(start=midnight - timedelta(days=1), end=midnight + timedelta(days=1))
    with sealing.uncounted():
        SystemMetric.objects.filter(timestamp__lt=at(120)).delete()
    assert found(0, 300) == [(0, 120)]
    assert found(0, 300, step=HOUR) == []


def test_a_month_costs_as_many_probes_as_a_chart_has_points(django_assert_num_queries):
    report(range(0, 2 * 1440, 1))
    with django_assert_num_queries(3):
        assert found(0, 2 * 1440) == []
