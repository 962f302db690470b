"""High usage: exactly what the description's example query says, over any window."""

from datetime import UTC, timedelta

import pytest
from django.db import connection

from metrics import rollups
from metrics.models import SystemMetric
from metrics.reading import Source
from metrics.usage import WindowTooLong, high_usage
from utxoiq_admin.core.time_range import TimeRange

pytestmark = pytest.mark.django_db

EXAMPLE = """
SELECT service_name, AVG(metric_value) AS avg_cpu FROM system_metrics
WHERE metric_type = 'cpu' AND "timestamp" > NOW() - INTERVAL '1 hour'
GROUP BY service_name HAVING AVG(metric_value) > 80 ORDER BY avg_cpu DESC
"""


@pytest.fixture
def now():
    """The moment that the database calls NOW() throughout the test."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        return cursor.fetchone()[0]


def report(now, service, minutes, value, metric_type="cpu", unit="percent"):
    SystemMetric.objects.bulk_create(
        SystemMetric(
            service_name=service, metric_type=metric_type, unit=unit, timestamp=now - timedelta(minutes=n),
            metric_value=value(n) if callable(value) else value,
        )
        for n in minutes
    )  # fmt: skip


def last(now, **length):
    return TimeRange(now - timedelta(**length), now, "preset")


def test_the_default_question_is_the_descriptions_example(now):
    report(now, "hot", range(1, 90), lambda n: 85 + n % 7)
    report(now, "hotter", range(-3, 50), 97)  # its clock is ahead
    report(now, "exactly", range(1, 50), 80)
    report(now, "calm", range(1, 50), 20)
    report(now, "was-hot", range(61, 120), 99)
    answer = high_usage(metric_type="cpu", threshold=80, window=last(now, hours=1))
    with connection.cursor() as cursor:
        cursor.execute(EXAMPLE)
        expected = cursor.fetchall()
    assert [(each.service, pytest.approx(each.average)) for each in answer.above] == expected
    assert [name for name, _ in expected] == ["hotter", "hot"]
    assert (answer.reporting, answer.source, answer.above[0].rows) == (4, Source.RAW, 53)
    assert (answer.above[1].lowest, answer.above[1].highest) == (85, 91)


def test_units_are_never_mixed(now):
    report(now, "odd", [1, 2], 0.9, unit="ratio")
    report(now, "odd", [3, 4], 90)
    answer = high_usage(metric_type="cpu", threshold=80, window=last(now, hours=1))
    assert [(each.unit, each.average) for each in answer.above] == [("percent", 90)]


def test_an_absolute_window_ends_where_it_ends(now):
    report(now, "a", range(30, 60), 90)
    report(now, "a", range(30), 10)
    window = TimeRange(now - timedelta(minutes=60), now - timedelta(minutes=30))
    answer = high_usage(metric_type="cpu", threshold=80, window=window)
    assert [(each.rows, each.average) for each in answer.above] == [(29, 90.0)]


@pytest.mark.parametrize(
    ("length", "unit", "source"), [(3, "hour", Source.HOURLY), (40, "day", Source.DAILY)]
)
def test_a_long_window_is_read_from_rollups_in_whole_buckets_and_is_exact(now, length, unit, source):
    report(now, "a", range(1, length * 1440, 97), lambda n: 60 + n % 53)
    report(now, "b", range(1, length * 1440, 97), 10)
    rollups.refresh()
    report(now, "a", [5], 1000)  # not refreshed yet
    answer = high_usage(metric_type="cpu", threshold=50, window=last(now, days=length))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), avg(metric_value), min(metric_value), max(metric_value) FROM system_metrics "
            """WHERE service_name = 'a' AND "timestamp" >= %s AND "timestamp" < %s""",
            [answer.start, answer.end],
        )
        rows, average, lowest, highest = cursor.fetchone()
    (found,) = answer.above
    assert (found.rows, found.average, found.lowest, found.highest) == (
        rows, pytest.approx(average), lowest, highest,
    )  # fmt: skip
    start = (now - timedelta(days=length)).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    assert answer.start == (start if unit == "hour" else start.replace(hour=0))
    assert (answer.end >= now, answer.source, answer.reporting) == (True, source, 2)


def test_a_window_beyond_a_year_is_refused(now):
    with pytest.raises(WindowTooLong, match="at most 366 days"):
        high_usage(metric_type="cpu", threshold=1, window=last(now, days=400))


def test_values_near_the_largest_number_do_not_fail(now):
    report(now, "huge", [1, 2], 1.7e308)
    (found,) = high_usage(metric_type="cpu", threshold=80, window=last(now, hours=1)).above
    assert (found.average, found.highest) == (1e300, 1.7e308)


def test_a_threshold_below_zero_finds_all(now):
    report(now, "a", [1], -5)
    assert len(high_usage(metric_type="cpu", threshold=-10, window=last(now, hours=1)).above) == 1
