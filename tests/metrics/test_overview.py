"""How services are told: verdicts, order, figures against SQL, instances, rhythm, retirement."""

from datetime import UTC, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from metrics import instances, rollups, services
from metrics.health import service_checks
from metrics.models import Retirement, ServiceInstance, SystemMetric
from metrics.overview import Verdict, overview
from metrics.overview_rows import row_of
from metrics.services import CannotRetire
from utxoiq_admin.core.health import Level
from utxoiq_admin.core.models import Heartbeat, HeartbeatGap

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    return timezone.now()


def report(now, minutes, service="web-api", metric_type="cpu", unit="percent", value=10.0, instance=None):
    """Rows so many minutes before now; `value` is one for all or a function of the minute."""
    SystemMetric.objects.bulk_create(
        SystemMetric(
            service_name=service,
            metric_type=metric_type,
            unit=unit,
            metric_value=value(minute) if callable(value) else value,
            timestamp=now - timedelta(minutes=minute),
            metric_metadata={"instance_id": instance} if instance else None,
        )
        for minute in minutes
    )


def state(now, service="web-api"):
    return next(each for each in overview(now) if each.service.name == service)


def sql(text, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        return cursor.fetchall()


def test_the_worst_comes_first(now):
    for service, value in (("calm", 10), ("busy", 70), ("burning", 90)):
        report(now, range(1, 20), service, value=value)
    report(now, range(1, 90), "halved", instance="a", value=50)
    report(now, range(60, 90), "halved", instance="b")
    report(now, range(30, 40), "silent")
    report(now, range(50, 60), "silent-longer")
    report(now, [20 * 1440], "gone")
    report(now, [3 * 1440], "retired")
    instances.note(now=now)
    Retirement.objects.create(service_name="retired", note="moved", retired_by="ops")
    assert [(each.service.name, each.verdict.name) for each in overview(now)] == [
        ("silent-longer", "SILENT"), ("silent", "SILENT"), ("burning", "HIGH"), ("halved", "PARTLY"),
        ("busy", "WELL"), ("calm", "WELL"), ("retired", "RETIRED"), ("gone", "GONE"),
    ]  # fmt: skip


def test_the_current_value_is_the_average_of_the_last_five_minutes_before_the_last_report(now):
    report(now, range(42, 80), value=lambda minute: minute**2)
    (expected,) = sql(
        'SELECT avg(metric_value) FROM system_metrics WHERE "timestamp" > %s',
        now - timedelta(minutes=47),
    )
    figure = state(now).figure("cpu")
    assert figure.value == pytest.approx(expected[0]) == sum(n**2 for n in range(42, 47)) / 5


@pytest.mark.parametrize("refreshed", [True, False])
def test_trend_and_yesterday_are_the_hours_averages_of_sql(now, refreshed):
    report(now, [m for m in range(1, 26 * 60, 7) if not 300 < m < 420], value=lambda m: (m * 37) % 101)
    if refreshed:
        rollups.refresh()
    this_hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    averages = dict(
        sql("""SELECT date_trunc('hour', "timestamp"), avg(metric_value) FROM system_metrics GROUP BY 1""")
    )
    hours = [this_hour - timedelta(hours=n) for n in range(24, -1, -1)]
    figure = state(now).figure("cpu")
    assert [figure.yesterday, *figure.trend] == [pytest.approx(averages.get(hour)) for hour in hours]
    assert len(figure.trend) == 24 and None in figure.trend
    assert figure.change == pytest.approx((figure.value - averages[hours[0]]) / averages[hours[0]] * 100)


def test_a_change_is_told_with_what_it_is_held_against(now):
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    minutes_back = (now - this_hour).total_seconds() / 60 + 24 * 60
    report(now, [minutes_back - n for n in range(5, 60, 5)], value=40)
    report(now, range(1, 10), value=50)
    (cell,) = row_of(state(now), now).cells
    hour = this_hour - timedelta(hours=24)
    assert cell.change == "+25 %"
    assert cell.against == f"40 % on average yesterday {hour:%H:%M}–{hour + timedelta(hours=1):%H:%M} UTC"
    assert (cell.label, cell.value, cell.url) == ("cpu", "50 %", "/charts/?service=web-api&type=cpu")


def test_a_silent_service_shows_no_change_and_its_last_value(now):
    report(now, [*range(30, 60), *range(24 * 60 - 30, 24 * 60 + 60)])
    row = row_of(state(now), now)
    assert (row.silent, row.badge, row.cells[0].value, row.cells[0].change) == (
        True,
        ("silent", "bad"),
        "10 %",
        "",
    )


def test_the_rhythm_is_learnt_so_an_hourly_job_is_not_silent_after_ten_minutes(now):
    report(now, range(50, 20 * 60, 60), "hourly")
    report(now, range(50, 110), "minutely")
    assert (state(now, "hourly").verdict, state(now, "minutely").verdict) == (Verdict.WELL, Verdict.SILENT)
    assert row_of(state(now, "hourly"), now).usual == "1 h"
    later = now + timedelta(hours=3)
    assert state(later, "hourly").verdict == Verdict.SILENT


def stood_still(now, first, last):
    """None of our processes was heard between these minutes before now."""
    for name in ("worker", "beat", "listener"):
        Heartbeat.objects.create(name=name, at=now)
        HeartbeatGap.objects.create(
            name=name, heard_until=now - timedelta(minutes=first), heard_again=now - timedelta(minutes=last)
        )


def test_right_after_we_stood_still_a_service_is_unheard_and_not_silent(now):
    report(now, range(120, 150), "waits")
    report(now, range(200, 230), "silent-before")
    report(now, range(1, 150), "writes-sql")
    stood_still(now, 120, 3)
    found = overview(now)
    assert [(each.service.name, each.verdict.name) for each in found] == [
        ("silent-before", "SILENT"), ("waits", "UNHEARD"), ("writes-sql", "WELL"),
    ]  # fmt: skip
    row = row_of(found[1], now)
    assert (row.silent, row.excused, row.badge) == (True, True, ("not heard yet", "plain"))
    assert [(check.level, check.text) for check in service_checks(found, now)[1:]] == [
        (Level.UNKNOWN, "not heard yet since this application stood still: waits"), (Level.OK, "1 service reports"),
    ]  # fmt: skip
    later = now + timedelta(minutes=3)
    for name in ("worker", "beat", "listener"):
        Heartbeat.objects.filter(name=name).delete()
        Heartbeat.objects.create(name=name, at=later)  # as if it had beaten all the while
    assert state(later, "waits").verdict == Verdict.SILENT


def test_instances_that_report_are_counted_against_those_of_the_last_day(now):
    report(now, range(1, 60), instance="a")
    report(now, range(1, 60), instance="b")
    report(now, range(14, 60), instance="c")
    report(now, range(30 * 60, 31 * 60), instance="long-ago")
    instances.note(now=now)
    row = row_of(state(now), now)
    assert (row.instances, row.missing, row.verdict) == ("2 of 3", "c (14 min ago)", Verdict.PARTLY)


def test_instances_that_a_deployment_replaced_are_not_missed(now):
    for old, new in (("a1", "a2"), ("b1", "b2")):
        report(now, range(61, 200), instance=old)
        report(now, range(1, 65), instance=new)  # both overlap for a while
    report(now, range(90, 200), instance="crashed")
    instances.note(now=now)
    row = row_of(state(now), now)
    assert (row.instances, row.missing) == ("2 of 3", "crashed (1 h ago)")


def test_one_new_instance_replaces_one(now):
    for old in ("a1", "b1", "c1"):
        report(now, range(61, 200), instance=old)
    report(now, range(1, 60), instance="a2")
    instances.note(now=now)
    assert row_of(state(now), now).instances == "1 of 3"


def test_an_instance_is_counted_before_the_minute_in_which_it_is_noted(now):
    report(now, range(1, 30), instance="a")
    instances.note(now=now)
    report(now, [0.5], instance="b")
    assert row_of(state(now), now).instances == "2 of 2"


def test_services_that_name_no_instance_have_none(now):
    report(now, range(1, 10))
    assert row_of(state(now), now).instances == "" and state(now).verdict == Verdict.WELL


def test_noting_instances_looks_at_new_rows_only_and_forgets_old_ones(now):
    report(now, [1, 2, 23 * 60], instance="a")
    report(now, [26 * 60], instance="too-old")
    report(now, [3], instance="x" * 201)
    report(now, [3], instance="")
    ServiceInstance.objects.create(
        service_name="s", instance_id="i", first_at=now - timedelta(days=40), last_at=now - timedelta(days=31)
    )
    assert instances.note(now=now) == 1
    assert list(
        ServiceInstance.objects.values_list("service_name", "instance_id", "first_at", "last_at")
    ) == [("web-api", "a", now - timedelta(minutes=23 * 60), now - timedelta(minutes=1))]
    report(now, [60], instance="late")  # before what the next look reaches back to
    report(now, [0], instance="a")
    assert instances.note(now=now) == 1
    assert ServiceInstance.objects.get().last_at == now


def test_a_retired_service_returns_by_itself_when_it_is_heard(now):
    report(now, range(60, 90))
    services.retire(service=state(now).service, note=" replaced by v2 ", by="ana", now=now)
    row = row_of(state(now), now)
    assert (row.verdict, row.retirement.note, row.retirement.retired_by) == (
        Verdict.RETIRED, "replaced by v2", "ana",
    )  # fmt: skip
    report(timezone.now(), [0])
    assert state(timezone.now()).verdict == Verdict.WELL
    later = timezone.now() + timedelta(hours=1)
    assert state(later).verdict == Verdict.SILENT
    services.retire(service=state(later).service, note="again", by="ben", now=later)
    assert [r.ended_at is None for r in Retirement.objects.order_by("id")] == [False, True]


def test_what_cannot_be_retired(now):
    report(now, [1], "alive")
    report(now, [60], "silent")
    silent = state(now, "silent").service
    for service, note, why in (
        (None, "why", "No such service"),
        (state(now, "alive").service, "why", "alive still reports"),
        (silent, " ", "Say why in 1 to 500"),
        (silent, "x" * 501, "Say why in 1 to 500"),
    ):
        with pytest.raises(CannotRetire, match=why):
            services.retire(service=service, note=note, by="ana", now=now)
    services.retire(service=silent, note="why", by="ana", now=now)
    with pytest.raises(CannotRetire, match="silent is retired already"):
        services.retire(service=silent, note="why", by="ana", now=now)
    assert Retirement.objects.count() == 1


def test_taking_back(now):
    report(now, [60])
    services.retire(service=state(now).service, note="why", by="ana", now=now)
    assert services.take_back(service_name="web-api", by="ben")
    assert state(now).verdict == Verdict.SILENT
    assert not services.take_back(service_name="web-api", by="ben")
    assert Retirement.objects.get().ended_by == "ben"


def test_the_overview_costs_the_same_queries_for_any_number_of_services(now, django_assert_num_queries):
    for number in range(12):
        report(now, range(1, 8), f"s{number}", instance="a")
        report(now, range(1, 8), f"s{number}", "latency", "ms", instance="a")
    with django_assert_num_queries(18):
        assert len(overview(now)) == 12


def test_an_empty_table_has_no_states(now):
    assert overview(now) == []
