"""Chart data: extremes to the bit, gaps as gaps, units apart, an unfinished bucket said to be one."""

from datetime import UTC, datetime, timedelta

import pytest

from metrics import rollups
from metrics.charts import RangeTooLong, chart_data, step_for
from metrics.models import SystemMetric
from metrics.partitions import ensure_months
from tests.accounts.access import signed_in
from utxoiq_admin.core.time_range import TimeRange

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def november():
    ensure_months([NOON.date()])


def write(minutes_and_values, *, unit="percent", kind="cpu", service="web-api", seconds=0):
    SystemMetric.objects.bulk_create(
        SystemMetric(
            service_name=service, metric_type=kind, metric_value=value, unit=unit,
            timestamp=NOON + timedelta(minutes=minute, seconds=seconds),
        )
        for minute, value in minutes_and_values
    )  # fmt: skip


def chart(start, end, **changes):
    values = {"service": "web-api", "metric_type": "cpu", "now": NOON + timedelta(days=1)} | changes
    return chart_data(
        chosen=TimeRange(NOON + timedelta(minutes=start), NOON + timedelta(minutes=end)), **values
    )


def test_a_bucket_holds_average_lowest_and_highest_of_its_rows():
    write([(0, 10.0), (1, 30.0)])
    write([(0, 0.1 + 0.2)], seconds=59)
    data = chart(0, 2)
    assert (data.step, data.times) == (60, [int(NOON.timestamp()), int(NOON.timestamp()) + 60])
    one = data.series[0]
    assert (one.min, one.max, one.avg) == ([0.1 + 0.2, 30.0], [10.0, 30.0], [pytest.approx(5.15), 30.0])
    assert (data.rows, data.data_to) == (3, NOON + timedelta(minutes=1))


def test_what_is_missing_is_a_gap():
    write([(m, 1.0) for m in (0, 1, 2, 6, 7, 8)])
    assert chart(0, 9).series[0].avg == [1, 1, 1, None, None, None, 1, 1, 1]


def between(*places):
    """Empty one-minute buckets in which nothing is missing, as the series lists them."""
    return [minute for place in places for minute in range(place + 1, place + 5)]


def test_rows_that_come_every_five_minutes_leave_no_gaps_but_a_missing_one_does():
    write([(m, float(m)) for m in range(0, 60, 5) if m not in (30, 35)])
    one = chart(0, 60).series[0]
    assert {m: v for m, v in enumerate(one.avg) if v is not None} == {
        m: m for m in range(0, 60, 5) if m not in (30, 35)
    }
    assert one.between == between(0, 5, 10, 15, 20, 40, 45, 50)


def test_where_five_minute_rows_meet_one_minute_rows_only_what_is_missing_is_a_gap():
    write([(m, 1.0) for m in [*range(0, 60, 5), *range(60, 120)] if m not in (30, 90, 92)])
    one = chart(0, 120).series[0]
    assert one.between == between(*(m for m in range(0, 60, 5) if m not in (25, 30)))
    assert [m for m in range(60, 120) if one.avg[m] is None] == [90, 92]


def test_rows_that_drift_over_the_minute_leave_no_gaps():
    SystemMetric.objects.bulk_create(
        SystemMetric(
            service_name="web-api", metric_type="cpu", metric_value=1, unit="percent",
            timestamp=NOON + timedelta(seconds=57.5 + n * 61),
        )
        for n in range(20)
    )  # fmt: skip
    one = chart(0, 22).series[0]
    assert [m for m in range(21) if one.avg[m] is None] == one.between == [3]


def test_two_rows_far_apart_say_nothing_of_what_is_usual():
    write([(0, 1.0), (9, 1.0)])
    assert chart(0, 10).series[0].between == []


def test_a_value_of_any_size_leaves_its_neighbours_readable():
    write([(0, 1.7e308), (1, 4.0)])
    write([(0, 1.7e308), (1, 6.0)], seconds=1)
    write([(0, -1e200)], seconds=2)
    one = chart(0, 2).series[0]
    assert (one.avg, one.max) == ([pytest.approx(2e300 / 3), 5.0], [1.7e308, 6.0])


def test_units_are_never_mixed():
    write([(0, 1.0)], unit="ms")
    write([(1, 2.0)], unit="s")
    assert {s.unit: s.avg for s in chart(0, 2).series} == {"ms": [1.0, None], "s": [None, 2.0]}


def test_the_bucket_that_still_fills_is_said_to():
    write([(0, 1.0), (1, 2.0)])
    assert chart(0, 2, now=NOON + timedelta(minutes=1, seconds=30)).unfinished is True
    assert chart(0, 2, now=NOON + timedelta(minutes=2)).unfinished is False


def test_other_services_types_and_times_stay_out():
    write([(0, 1.0)])
    write([(0, 9.0)], service="other")
    write([(0, 9.0)], kind="memory")
    write([(-1, 9.0), (2, 9.0)])
    assert chart(0, 2).series[0].max == [1.0, None]


def test_nothing_in_the_range_is_an_empty_chart():
    data = chart(0, 5)
    assert (data.series, data.rows, data.data_to) == ([], 0, None)


@pytest.mark.parametrize(
    ("length", "step"),
    [(timedelta(minutes=15), 60), (timedelta(hours=24), 60), (timedelta(days=7), 600), (timedelta(days=30), 3600),
     (timedelta(days=90), 10800), (timedelta(days=366), 43200)],
)  # fmt: skip
def test_no_chart_has_more_points_than_a_screen(length, step):
    assert step_for(length) == step
    assert length / timedelta(seconds=step) <= 1500


def test_a_range_beyond_the_limit_is_refused_with_the_limit():
    with pytest.raises(RangeTooLong, match="at most 366 days"):
        step_for(timedelta(days=367))


@pytest.mark.parametrize(
    ("query", "why"),
    [("", "Name a service"), ("service=a", "Name a service"), ("service=a&type=b&range=2w", "is no range"),
     ("service=a&type=b&from=x", "is no time"), ("service=a&type=b&from=2020-01-01&to=2024-01-01", "at most 366 days"),
     ("service=a%00&type=b", "Name a service"), ("service=a&type=b&to=0001-01-01", "outside the years 1970 to 9998"),
     ("service=a&type=b&from=9999-12-31T23:59:59.999999", "outside the years"),
     ("service=a&type=b&to=9999-12-31T23:59:59-23:59", "is no time"),
     ("service=a&type=b&to=0001-01-01T00:00:00%2B14:00", "is no time")],
)  # fmt: skip
def test_a_bad_request_is_told_why(query, why):
    response = signed_in("staff").get(f"/charts/data/?{query}")
    assert (response.status_code, why in response.json()["error"]) == (422, True)


def test_the_data_view_answers_columns_and_its_source():
    write([(0, 1.0), (1, 2.0), (2, 3.0)])
    body = signed_in("staff").get(
        "/charts/data/?service=web-api&type=cpu&from=2026-11-20T12:00Z&to=2026-11-20T12:03Z"
    ).json()  # fmt: skip
    assert body["series"] == [
        {"unit": "percent", "avg": [1, 2, 3], "min": [1, 2, 3], "max": [1, 2, 3], "between": [], "rows": 3}
    ]
    assert (body["rows"], body["source"], body["data_to"]) == (
        3,
        "raw rows",
        (NOON + timedelta(minutes=2)).timestamp(),
    )


@pytest.mark.parametrize("refreshed", [False, True])
def test_a_month_is_read_from_hours_with_exact_extremes_and_gaps(refreshed):
    write([(0, 1.0), (30, 9.0), (59, 2.0), (60, 3.0), (240, 4.0), (300, 4.0)])
    if refreshed:
        rollups.refresh()
    data = chart(-20 * 24 * 60, 6 * 60)
    one = data.series[0]
    hours = slice(20 * 24, None)
    assert (data.step, data.source.value, data.rows, data.data_to) == (
        3600,
        "hourly",
        6,
        NOON + timedelta(hours=5),
    )
    assert (one.avg[hours], one.max[hours]) == (
        [4.0, 3.0, None, None, 4.0, 4.0],
        [9.0, 3.0, None, None, 4.0, 4.0],
    )
    assert one.between == []
