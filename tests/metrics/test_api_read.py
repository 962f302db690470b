"""GET metrics and metrics/aggregate: exact, in columns, bounded, and refused with the limit."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from metrics import rollups, sealing
from metrics.models import SystemMetric
from metrics.partitions import ensure_months
from tests.accounts.access import bearer, signed_in, token
from tests.retention.rows import manifest
from utxoiq_admin.core import cache

pytestmark = pytest.mark.django_db
ROWS = "/api/v1/monitoring/metrics"
AGGREGATE = f"{ROWS}/aggregate"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONE = {"service_name": "web-api", "metric_type": "cpu"}


@pytest.fixture(autouse=True)
def november():
    ensure_months([NOON.date()])
    cache.change_generations([cache.ALL])


@pytest.fixture
def get(client):
    _, secret = token("metrics:read")

    def call(path=AGGREGATE, **query):
        times = {k: f"{v:%Y-%m-%dT%H:%M:%SZ}" for k, v in query.items() if isinstance(v, datetime)}
        return client.get(path, query | times, headers=bearer(secret))

    return call


def write(minutes_and_values, *, service="web-api", kind="cpu", unit="percent", metadata=None):
    SystemMetric.objects.bulk_create(
        SystemMetric(
            service_name=service, metric_type=kind, metric_value=value, unit=unit,
            timestamp=NOON + timedelta(minutes=minute), metric_metadata=metadata,
        )
        for minute, value in minutes_and_values
    )  # fmt: skip


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def why(response):
    return [(each["where"], each["why"]) for each in response.json()["errors"]]


def test_minutes_come_from_raw_rows_in_columns_with_gaps(get):
    write([(0, 1.0), (0, 0.1 + 0.2), (2, 5.0)])
    body = get(**ONE, start_time=at(0), end_time=at(3)).json()
    first = int(NOON.timestamp())
    assert (body["times"], body["source"], body["step"]) == ([first, first + 60, first + 120], "raw rows", 60)
    assert body["series"] == [
        {
            "service_name": "web-api", "metric_type": "cpu", "unit": "percent", "count": [2, None, 1],
            "avg": [0.65, None, 5.0], "min": [0.1 + 0.2, None, 5.0], "max": [1.0, None, 5.0],
        }
    ]  # fmt: skip
    assert (body["data_to"], body["unfinished"]) == (at(2).timestamp(), False)


@pytest.mark.parametrize(
    ("interval", "source", "step"),
    [("hour", "hourly", 3600), ("day", "daily", 86400), ("minute", "raw rows", 60)],
)
@pytest.mark.parametrize("refreshed", [False, True])
def test_every_interval_says_the_same_before_and_after_a_refresh(get, interval, source, step, refreshed):
    write([(0, 1.0), (1, 3.0), (75, 8.0)])
    if refreshed:
        rollups.refresh()
    body = get(**ONE, start_time=at(0), end_time=at(90), interval=interval, percentiles="true").json()
    one = body["series"][0]
    assert (body["source"], body["step"], sum(filter(None, one["count"]))) == (source, step, 3)
    assert (min(filter(None, one["min"])), max(filter(None, one["max"]))) == (1.0, 8.0)
    assert max(filter(None, one["p99"])) == pytest.approx(8.0, rel=0.02)


@pytest.mark.parametrize(
    ("days", "source", "step"),
    [(1, "raw rows", 60), (2, "raw rows", 120), (7, "raw rows", 600), (30, "hourly", 3600), (90, "hourly", 10800),
     (366, "hourly", 43200), (730, "daily", 86400)],
)  # fmt: skip
def test_auto_chooses_source_and_width_by_the_range(get, days, source, step):
    body = get(**ONE, start_time=NOON - timedelta(days=days), end_time=NOON).json()
    assert (body["source"], body["step"], body["series"]) == (source, step, [])
    assert len(body["times"]) <= 1500


def test_many_services_over_days_are_read_from_hours(get):
    names = [f"s{n}" for n in range(20)]
    body = get(
        service_name=names, metric_type="cpu", start_time=NOON - timedelta(days=7), end_time=NOON
    ).json()
    assert (body["source"], body["step"]) == ("hourly", 3600)


def test_several_series_share_one_axis_and_units_are_never_mixed(get):
    write([(0, 1.0)])
    write([(1, 2.0)], unit="ratio")
    write([(1, 3.0)], service="other", kind="memory")
    write([(1, 9.0)], service="unasked")
    body = get(
        service_name=["web-api", "other"], metric_type=["cpu", "memory"], start_time=at(0), end_time=at(2)
    ).json()
    assert [(s["service_name"], s["metric_type"], s["unit"], s["avg"]) for s in body["series"]] == [
        ("other", "memory", "percent", [None, 3.0]),
        ("web-api", "cpu", "percent", [1.0, None]),
        ("web-api", "cpu", "ratio", [None, 2.0]),
    ]


def test_parts_have_percentiles_of_their_own(get):
    write([(0, float(n)) for n in range(1, 101)], metadata={"instance_id": "one"})
    write([(0, 500.0)], metadata={"instance_id": "two"})
    body = get(**ONE, start_time=at(0), end_time=at(1), split_by="instance_id", percentiles="true").json()
    found = {one["part"]: [one[name][0] for name in ("p50", "p95", "p99")] for one in body["series"]}
    assert found == {
        "one": [pytest.approx(wanted, rel=0.02) for wanted in (50, 95, 99)],
        "two": [500.0, 500.0, 500.0],
    }


def test_the_bucket_that_still_fills_is_said_to(get):
    body = get(
        **ONE,
        start_time=timezone.now() - timedelta(minutes=3),
        end_time=timezone.now() + timedelta(minutes=5),
    ).json()
    now = timezone.now().timestamp()
    assert body["unfinished"] is True
    assert now - 65 < body["unfinished_from"] <= now and body["unfinished_from"] in body["times"]
    over = get(**ONE, start_time=at(-5), end_time=at(0)).json()
    assert (over["unfinished"], over["unfinished_from"]) == (False, None)


def test_data_is_told_up_to_the_end_that_was_asked_not_of_the_whole_day(get):
    midnight = NOON.replace(hour=0)
    write([(-11.5 * 60, 1.0), (180, 2.0)])  # at 00:30 and 15:00
    rollups.refresh()
    # The whole day's newest row is of 15:00; before 12:00 rows were seen in the first hour alone.
    body = get(**ONE, start_time=midnight - timedelta(days=20), end_time=NOON, interval="hour").json()
    assert body["source"] == "hourly" and body["data_to"] == (midnight + timedelta(hours=1)).timestamp()
    whole = get(**ONE, start_time=midnight, end_time=midnight + timedelta(days=1), interval="hour").json()
    assert whole["data_to"] == at(180).timestamp()


def test_the_last_limit_counts_units_which_nobody_knows_before(get, monkeypatch):
    monkeypatch.setattr("metrics.rollup_aggregate.MAX_NUMBERS", 150)
    write([(0, 1.0)])
    write([(0, 1.0)], unit="ms")
    assert get(**ONE, start_time=at(0), end_time=at(60)).status_code == 200
    ((where, _), *_) = why(get(**ONE, start_time=at(0), end_time=at(100)))
    assert where == "query.service_name"


def test_a_range_of_rows_has_its_limit_too_and_a_slow_one_says_so(get, monkeypatch):
    ((where, limit), *_) = why(get(ROWS, start_time=NOON - timedelta(days=101), end_time=NOON))
    assert (where, "at most 100 days" in limit) == ("query.start_time", True)

    def slow(*_args, **_kwargs):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 20; SELECT pg_sleep(1)")

    monkeypatch.setattr(SystemMetric.objects.all().__class__, "page_of", slow)
    ((where, limit), *_) = why(get(ROWS, start_time=NOON - timedelta(days=1), end_time=NOON))
    assert (where, "takes too long" in limit) == ("query.start_time", True)


def test_numbers_longer_than_pythons_are_read_as_text(get):
    write([(0, 1.0)])
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE system_metrics SET metric_metadata = jsonb_build_object('whole', repeat('9', 5000)::numeric,"
            " 'huge', (repeat('9', 400) || '.5')::numeric, 'usual', 1.5)"
        )
    (one,) = get(ROWS, start_time=at(0), end_time=at(1)).json()["rows"]
    assert one["metric_metadata"] == {"whole": "9" * 5000, "huge": "9" * 400 + ".5", "usual": 1.5}


def test_splitting_tells_the_highest_twenty(get):
    for number in range(23):
        write([(0, float(number)), (1, float(number))], metadata={"instance_id": f"i{number:02}"})
    write([(0, 100.0)])
    body = get(**ONE, start_time=at(0), end_time=at(2), split_by="instance_id").json()
    parts = {one["part"]: one["avg"] for one in body["series"]}
    assert len(parts) == 20 and {one["parts"] for one in body["series"]} == {24}
    assert (parts[""], parts["i22"], "i04" in parts, "i03" in parts) == (
        [100.0, None],
        [22.0, 22.0],
        True,
        False,
    )


@pytest.mark.parametrize(
    ("query", "where", "limit"),
    [
        ({"start_time": at(0), "end_time": at(0)}, "query.end_time", "ends before"),
        ({"start_time": NOON - timedelta(days=801), "end_time": NOON}, "query.start_time", "at most 800 days"),
        ({"start_time": NOON - timedelta(days=2), "end_time": NOON, "interval": "minute"}, "query.interval", "2,000"),
        ({"start_time": NOON - timedelta(days=90), "end_time": NOON, "interval": "hour"}, "query.interval", "2,000"),
        ({"start_time": NOON - timedelta(days=2), "end_time": NOON, "split_by": "x"}, "query.split_by", "24 hours"),
        ({"service_name": [f"s{n}" for n in range(50)], "metric_type": list("abcde")}, "query.service_name", "200"),
        ({"service_name": [f"s{n}" for n in range(51)]}, "query.service_name", "at most 50"),
        ({"start_time": "0001-01-01T00:00:00", "end_time": "0001-01-02T00:00:00"}, "query.start_time", "1990"),
        ({"start_time": "9999-12-30T00:00:00", "end_time": "9999-12-31T23:59:59"}, "query.start_time", "2200"),
        ({"end_time": "0001-01-01T00:00:00"}, "query.end_time", "before"),
        ({"start_time": "0001-01-01T00:00:00+10:00"}, "query.start_time", "no time"),
        ({"interval": "week"}, "query.interval", "minute"),
        ({"service_name": "a\x00"}, "query.service_name", "NUL"),
        ({"service_name": ""}, "query.service_name", "at least 1"),
    ],
)  # fmt: skip
def test_what_goes_beyond_a_limit_is_refused_with_it(get, query, where, limit):
    response = get(**(ONE | query))
    assert response.status_code == 422, response.content
    ((place, text),) = why(response)
    assert place.startswith(where) and limit in text


def test_percentiles_over_very_many_buckets_are_refused(get):
    names = [f"s{n}" for n in range(30)]
    response = get(service_name=names, metric_type=["cpu", "memory"], start_time=NOON - timedelta(days=30),
                   end_time=NOON, percentiles="true")  # fmt: skip
    assert (response.status_code, why(response)[0][0]) == (422, "query.percentiles")


def test_raw_rows_of_a_day_that_partly_left_are_not_shown_as_if_they_were_all(get):
    write([(0, 1.0), (1, 3.0)])
    start = NOON.replace(hour=0)
    sealing.seal(start=start, end=start + timedelta(days=1))
    assert get(**ONE, start_time=at(0), end_time=at(60)).json()["source"] == "raw rows"
    cache.bump("service:web-api")  # as the deletion of rows does
    manifest(at(10), at(20))
    body = get(**ONE, start_time=at(0), end_time=at(60)).json()
    assert (body["source"], body["series"][0]["count"]) == ("hourly", [2])
    assert why(get(**ONE, start_time=at(0), end_time=at(60), interval="minute"))[0][0] == "query.interval"


def test_an_answer_is_kept_until_its_service_changes(get, django_assert_num_queries):
    write([(0, 1.0)])
    query = {**ONE, "start_time": at(0), "end_time": at(1)}
    assert get(**query).json()["series"][0]["avg"] == [1.0]
    SystemMetric.objects.update(metric_value=2.0)
    assert get(**query).json()["series"][0]["avg"] == [1.0]  # nobody listens in this test
    cache.bump("service:other")
    assert get(**query).json()["series"][0]["avg"] == [1.0]
    cache.bump("service:web-api")
    assert get(**query).json()["series"][0]["avg"] == [2.0]


@pytest.mark.parametrize(("end", "longest"), [(None, 15), (at(1), 300)])
def test_an_open_end_is_kept_a_quarter_of_a_minute_at_most(get, monkeypatch, end, longest):
    kept = []
    monkeypatch.setattr(
        "metrics.rollup_aggregate.cached", lambda name, keys, ttl, compute: kept.append(ttl) or compute()
    )
    get(
        **ONE,
        start_time=at(0) if end else timezone.now() - timedelta(hours=1),
        **({"end_time": end} if end else {}),
    )
    assert kept == [longest]


def test_rows_page_by_cursor_newest_first(get):
    write([(m, float(m)) for m in range(5)])
    write([(9, 9.0)], service="other")
    query = {"path": ROWS, "service_name": "web-api", "start_time": at(1), "end_time": at(10), "limit": 3}
    first = get(**query).json()
    second = get(**query, cursor=first["next"]).json()
    assert [r["metric_value"] for r in first["rows"] + second["rows"]] == [4.0, 3.0, 2.0, 1.0]
    assert (second["next"], first["rows"][0]["unit"]) == (None, "percent")


def test_without_names_all_rows_of_the_last_day_are_listed(get):
    SystemMetric.objects.create(service_name="a", metric_type="b", metric_value=1, unit="ms")
    SystemMetric.objects.create(
        service_name="a",
        metric_type="b",
        metric_value=2,
        unit="ms",
        timestamp=timezone.now() - timedelta(days=2),
    )
    assert [r["metric_value"] for r in get(ROWS).json()["rows"]] == [1.0]


@pytest.mark.parametrize("query", [{"cursor": "x"}, {"limit": 0}, {"limit": 1001}, {"start_time": "soon"}])
def test_a_bad_page_is_refused(get, query):
    assert get(ROWS, **query).status_code == 422


@pytest.mark.parametrize("path", [ROWS, AGGREGATE])
def test_reading_takes_the_scope_or_the_permission(client, path):
    query = {**ONE}
    assert client.get(path, query).status_code == 401
    _, secret = token("metrics:write")
    assert client.get(path, query, headers=bearer(secret)).status_code == 403
    assert signed_in("staff").get(path, query).status_code == 200
    assert signed_in("outsider").get(path, query).status_code == 403
