"""Chart data over HTTP: extremes to the bit, gaps as gaps, units apart, comparisons, instances, and bad requests."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection

from metrics import rollups
from metrics.models import SystemMetric
from metrics.partitions import ensure_months
from tests.accounts.access import signed_in
from tests.retention.rows import manifest
from utxoiq_admin.core.cache import ALL, change_generations

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=2)


@pytest.fixture(autouse=True)
def november():
    ensure_months([NOON.date()])
    change_generations([ALL])  # nothing commits here, so nobody is told of what is written


@pytest.fixture
def ask():
    browser = signed_in("staff")

    def asked(since, until, *, now=LATER, status=200, path="/charts/data/", **changes):
        """The answer for minutes `since` to `until` after noon."""
        bounds = {
            "start": (NOON + timedelta(minutes=since)).isoformat(),
            "end": (NOON + timedelta(minutes=until)).isoformat(),
        }
        with time_machine.travel(now, tick=False):
            answer = browser.get(path, {"service": "web-api", "type": "cpu", **bounds, **changes})
        assert answer.status_code == status, answer.content
        return answer if path != "/charts/data/" else answer.json()

    return asked


def write(minutes_and_values, *, unit="percent", kind="cpu", service="web-api", seconds=0, instance=None):
    SystemMetric.objects.bulk_create(
        SystemMetric(
            service_name=service, metric_type=kind, metric_value=value, unit=unit,
            timestamp=NOON + timedelta(minutes=minute, seconds=seconds),
            metric_metadata={"instance_id": instance} if instance else None,
        )
        for minute, value in minutes_and_values
    )  # fmt: skip


def test_a_bucket_holds_average_lowest_highest_and_count_of_its_rows(ask):
    write([(0, 10.0), (1, 30.0)])
    write([(0, 0.1 + 0.2)], seconds=59)
    body = ask(0, 2)
    assert (body["start"], body["end"], body["step"]) == (NOON.timestamp(), NOON.timestamp() + 120, 60)
    (one,) = body["series"]
    assert (one["min"], one["max"]) == ([0.1 + 0.2, 30.0], [10.0, 30.0])
    assert (one["avg"], one["count"]) == ([pytest.approx(5.15), 30.0], [2, 1])
    assert (one["data_to"], body["source"]) == ((NOON + timedelta(minutes=1)).timestamp(), "raw rows")


def test_all_services_and_types_come_in_one_answer_and_units_are_never_mixed(ask):
    write([(0, 1.0)], unit="ms", kind="latency")
    write([(0, 2.0)], unit="s", kind="latency")
    write([(1, 3.0)], service="other")
    body = ask(0, 2, service=["web-api", "other"], type=["cpu", "latency"])
    assert [(s["service"], s["type"], s["unit"], s["avg"]) for s in body["series"]] == [
        ("other", "cpu", "percent", [None, 3.0]),
        ("web-api", "latency", "ms", [1.0, None]),
        ("web-api", "latency", "s", [2.0, None]),
    ]


def test_what_is_asked_for_in_part_of_a_bucket_comes_as_the_whole_bucket(ask):
    write([(0, 1.0), (2, 9.0)])
    write([(0, 7.0)], seconds=10)
    body = ask(0.5, 1.5)
    assert (body["start"], body["end"]) == (NOON.timestamp(), NOON.timestamp() + 120)
    assert body["series"][0]["max"] == [7.0, None]


def test_nothing_in_the_range_is_no_series(ask):
    assert ask(0, 5)["series"] == []


def test_a_value_of_any_size_leaves_its_neighbours_readable(ask):
    write([(0, 1.7e308), (1, 4.0)])
    write([(0, 1.7e308), (1, 6.0)], seconds=1)
    (one,) = ask(0, 2)["series"]
    assert (one["avg"][1], one["max"]) == (5.0, [1.7e308, 6.0])


@pytest.mark.parametrize("percentiles", ["", "1"])
def test_rows_that_come_every_five_minutes_leave_no_gaps_but_a_missing_one_does(ask, percentiles):
    write([(m, float(m)) for m in range(0, 60, 5) if m not in (30, 35)])
    (one,) = ask(0, 60, percentiles=percentiles)["series"]
    explained = [m for place in (0, 5, 10, 15, 20, 40, 45, 50) for m in range(place + 1, place + 5)]
    assert (one["between"], one["holes"]) == (explained, [])


def test_instances_have_gaps_of_their_own(ask):
    write([(m, 10.0) for m in range(10)], instance="a")
    write([(m, 30.0) for m in range(10) if not 3 <= m < 6], instance="b")
    write([(2, 5.0)])
    body = ask(0, 10, by="instance")
    found = {s["part"]: s for s in body["series"]}
    assert sorted(found) == ["", "a", "b"]
    assert [m for m, value in enumerate(found["b"]["avg"]) if value is None] == [3, 4, 5]
    assert (found["b"]["between"], found["a"]["between"], found["a"]["parts"]) == ([], [], 3)


@pytest.mark.parametrize("refreshed", [False, True])
def test_a_month_is_read_from_hours_with_exact_extremes_and_gaps(ask, refreshed):
    write([(0, 1.0), (30, 9.0), (59, 2.0), (60, 3.0), (240, 4.0), (300, 4.0)])
    if refreshed:
        rollups.refresh()
    body = ask(-20 * 24 * 60, 6 * 60)
    (one,) = body["series"]
    hours = slice(20 * 24, None)
    assert (body["step"], body["source"], one["data_to"]) == (
        3600,
        "hourly",
        (NOON + timedelta(hours=5)).timestamp(),
    )
    assert one["avg"][hours] == [4.0, 3.0, None, None, 4.0, 4.0]
    assert one["max"][hours] == [9.0, 3.0, None, None, 4.0, 4.0]
    assert one["between"] == []


@pytest.mark.parametrize("days", [1, 6, 30, 80, 300])
def test_a_silence_of_forty_minutes_shows_at_every_zoom(ask, days):
    """At noon of the first of two days; buckets are a minute, ten minutes, an hour, three and twelve hours."""
    write([(m, 1.0) for m in range(-720, 2160) if not 5 <= m < 45])
    rollups.refresh()
    body = ask(1440 - days * 1440, 1440)
    (one,) = body["series"]
    place = int((NOON.timestamp() + 600 - body["start"]) // body["step"])
    is_gap = one["avg"][place] is None and place not in one["between"]
    assert is_gap or one["holes"] == [place], (body["step"], one["holes"])


def test_percentiles_come_with_the_rows_behind_them_and_of_the_whole_range(ask):
    write([(0, float(value)) for value in range(1, 101)])
    write([(1, 1000.0)])
    (one,) = ask(0, 2, percentiles="1")["series"]
    assert one["count"] == [100, 1]
    assert one["p95"] == [pytest.approx(95, rel=0.02), pytest.approx(1000, rel=0.02)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY metric_value) FROM system_metrics"
        )
        assert one["overall"]["p95"] == pytest.approx(cursor.fetchone()[0], rel=0.02)


def test_more_percentiles_than_can_be_made_are_left_out_and_it_is_said(ask):
    body = ask(-30 * 1440, 0, percentiles="1", service=[f"s{n}" for n in range(60)])
    assert body["notes"] == ["Percentiles are made of at most 30,000 buckets; this needs 43,200."]


@pytest.mark.parametrize(("compare", "minutes"), [("previous", 10), ("day", 1440), ("week", 7 * 1440)])
def test_the_earlier_period_lies_on_the_same_axis(ask, compare, minutes):
    write([(2, 5.0), (2 - minutes, 4.0), (9 - minutes, 8.0)])
    body = ask(0, 10, compare=compare)
    assert body["compare"]["shift"] == minutes * 60
    (before,) = body["compare"]["series"]
    assert (before["avg"][2], before["avg"][9], sum(n or 0 for n in before["count"])) == (4.0, 8.0, 2)
    assert body["series"][0]["avg"][2] == 5.0


def test_with_the_earlier_rows_in_the_archive_both_periods_come_in_hours(ask):
    write([(m, 1.0) for m in range(0, 60, 10)])
    write([(m - 1440, 3.0) for m in range(0, 60, 10)])
    rollups.refresh()
    manifest(NOON - timedelta(days=1), NOON)
    body = ask(0, 60, compare="day")
    assert (body["step"], body["source"], body["notes"]) == (3600, "hourly", [])
    assert (body["series"][0]["avg"], body["compare"]["series"][0]["avg"]) == ([1.0], [3.0])


def test_an_answer_is_kept_and_its_clock_is_not(ask):
    write([(0, 1.0)])
    first = ask(0, 10, now=NOON + timedelta(minutes=5))
    again = ask(0, 10, now=NOON + timedelta(minutes=5, seconds=5))
    assert again["fetched"] == first["fetched"] == (NOON + timedelta(minutes=5)).timestamp()
    assert again["now"] == first["now"] + 5


@pytest.mark.parametrize(
    ("query", "why"),
    [({"service": ""}, "Name at least one service"), ({"type": ""}, "Name at least one service"),
     ({"service": "a\0"}, "Name at least one service"), ({"start": "x"}, "is no time"),
     ({"service": [str(n) for n in range(201)]}, "at most 200"), ({"compare": "year"}, "Compare with previous"),
     ({"start": "2020-01-01", "end": "2024-01-01"}, "at most 800 days"),
     ({"start": "2026-11-20", "end": "2026-11-19"}, "ends before it starts"),
     ({"end": "9999-12-31T23:59:59.999999"}, "outside the years"), ({"start": "0001-01-01"}, "outside the years"),
     ({"by": "instance", "start": "2026-11-01"}, "at most 24 hours")],
)  # fmt: skip
def test_a_bad_request_is_told_why(ask, query, why):
    assert why in ask(0, 1, status=422, **query)["error"]


def test_raw_rows_are_exported_newest_first_in_the_zone_of_the_page(ask):
    write([(0, 1.5), (1, 2.5)], instance="=1+1")
    write([(2, 9.0)], service="other")
    answer = ask(0, 2, path="/charts/rows/", zone="Europe/Helsinki")
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines[0] == (
        "timestamp (Europe/Helsinki),service_name,metric_type,metric_value,unit,metric_metadata,id"
    )
    assert [line.split(",")[0] for line in lines[1:]] == [
        "2026-11-20T14:01:00+02:00",
        "2026-11-20T14:00:00+02:00",
    ]
    assert ',2.5,percent,"{""instance_id"": ""=1+1""}",' in lines[1]


@pytest.mark.parametrize("zone", ["Nowhere/Such", "../../etc/passwd", "Europe", "x" * 300, "a\0"])
def test_a_zone_that_is_none_is_refused(ask, zone):
    assert "is no time zone" in ask(0, 2, path="/charts/rows/", zone=zone, status=422).json()["error"]
