"""The pages about services as a person meets them: what is drawn equals SQL, all of it by mouse, and it refreshes."""

from datetime import UTC, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from metrics import instances, rollups
from metrics.models import Retirement, SystemMetric
from metrics.partitions import ensure
from tests.accounts.access import person

pytestmark = pytest.mark.django_db(transaction=True)

DRAWN = """name => {
  const rows = [...document.querySelectorAll('.service')];
  const inner = (cell, place) => cell.querySelector(place)?.innerText;
  const row = rows.find(each => inner(each, 'th a') === name);
  return [...row.querySelectorAll('.cell a')].map(cell => [
    inner(cell, '.cell-head span'), inner(cell, 'strong'), inner(cell, '.change') ?? '',
    cell.querySelector('path')?.getAttribute('d').match(/[ML]/g).length ?? 0]); }"""


@pytest.fixture(autouse=True)
def groups():
    call_command("migrate", verbosity=0)
    ensure()


@pytest.fixture
def ops(visitor):
    person("ops")
    visitor.sign_in("ops")
    return visitor


@pytest.fixture
def now():
    return timezone.now()


def report(now, minutes, service="web-api", metric_type="cpu", unit="percent", value=10.0, instance=None):
    SystemMetric.objects.bulk_create(
        SystemMetric(
            service_name=service, metric_type=metric_type, unit=unit,
            metric_value=value(minute) if callable(value) else value,
            timestamp=now - timedelta(minutes=minute),
            metric_metadata={"instance_id": instance, "zone": "b"} if instance else None,
        )
        for minute in minutes
    )  # fmt: skip


def sql(text, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        return cursor.fetchone()[0]


def refresh(page):
    """What the page does every 15 s, now."""
    with page.expect_response("**live=1**"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_row_per_service_with_figures_that_are_those_of_sql(ops, now):
    report(now, range(1, 26 * 60, 5), value=lambda m: 20 + m % 31, instance="a")
    report(now, range(20, 90), instance="b")
    report(now, range(1, 60), metric_type="latency", unit="ms", value=182)
    report(now, range(1, 9), "busy", value=91)
    rollups.refresh()
    instances.note(now=now)
    ops.go("/services/")
    assert ops.page.locator(".service th a").all_inner_texts() == ["busy", "web-api"]
    last = """SELECT avg(metric_value) FROM system_metrics WHERE service_name = 'web-api' AND metric_type = 'cpu'
      AND "timestamp" > %s AND "timestamp" < %s"""
    present = sql(last, now - timedelta(minutes=6), now)
    hour = (now - timedelta(hours=24)).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    yesterday = sql(last, hour, hour + timedelta(hours=1))
    change = round((present - yesterday) / yesterday * 100)
    sign = "+" if change > 0 else "−" if change < 0 else "±"
    (cpu, latency) = ops.page.evaluate(DRAWN, "web-api")
    # In the first minute of an hour nothing was reported in it yet.
    heard = """SELECT count(DISTINCT date_trunc('hour', "timestamp", 'UTC')) FROM system_metrics
      WHERE service_name = 'web-api' AND metric_type = 'cpu' AND "timestamp" >= %s AND "timestamp" < %s"""
    hours = sql(heard, hour + timedelta(hours=1), now)
    assert cpu == ["cpu", f"{present:.3g} %", f"{sign}{abs(change)} %", hours] and hours >= 23
    assert latency[:2] == ["latency", "182 ms"]
    text = ops.page.locator(".service").nth(1).locator("th").inner_text()
    assert "reporting 1 of 2 instances" in text and "not b (20 min ago)" in text
    with ops.page.expect_navigation():
        ops.page.click(".service:nth-child(2) .cell a")
    assert "/charts/?service=web-api&type=cpu" in ops.page.url


def test_silence_is_grey_with_its_time_and_the_page_follows_what_is_heard(ops, now):
    report(now, range(30, 60), "quiet", value=83)
    report(now, range(1, 20), "calm")
    ops.go("/services/")
    row = ops.page.locator(".service.silent")
    last = now - timedelta(minutes=30)
    assert ops.page.locator(".headline h1").inner_text() == "1 of 2 needs a look"
    assert f"silent since {last:%Y-%m-%d %H:%M:%S}" in row.inner_text() and "every 1 min" in row.inner_text()
    assert (row.locator("strong").inner_text(), row.locator(".change").inner_text()) == (
        "83 %",
        f"{last:%H:%M}",
    )
    grey, ink = (
        ops.page.locator(place).first.evaluate("e => getComputedStyle(e).color")
        for place in (".service.silent strong", ".service:not(.silent) strong")
    )
    assert grey != ink
    report(timezone.now(), [0], "quiet")
    refresh(ops.page)
    ops.page.wait_for_selector("text=All 2 services report")
    assert ops.page.locator(".service.silent").count() == 0
    ops.page.route("**live=1**", lambda route: route.abort())
    ops.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    ops.page.wait_for_selector("#live.stale")
    ops.faults = [fault for fault in ops.faults if "ERR_FAILED" not in fault]


def test_ops_retire_a_service_with_a_note_and_bring_it_back(ops, now):
    report(now, [9 * 1440], "legacy")
    report(now, range(1, 9))
    ops.go("/services/")
    ops.page.click(".others summary")
    ops.page.fill("input[name=note]", "replaced by web-api")
    with ops.page.expect_navigation():
        ops.page.click(".others form button")
    assert "legacy is retired. It returns by itself" in ops.page.inner_text("body")
    group = ops.page.locator(".others")
    assert group.locator("h2").inner_text().startswith("Retired")
    assert "replaced by web-api" in group.inner_text() and "by ops" in group.inner_text()
    with ops.page.expect_navigation():
        ops.page.click("text=bring back")
    assert ops.page.locator(".others h2").inner_text().startswith("Gone")
    assert Retirement.objects.get().ended_by == "ops"


def test_the_filter_is_typed_chosen_and_kept_while_the_page_refreshes(ops, now):
    for service in ("web-api", "web-old", "ingest"):
        report(now, range(1, 9), service)
    report(now, range(40, 50), "web-silent")
    ops.go("/services/")
    ops.page.fill("input[name=q]", "web")
    with ops.page.expect_navigation():
        ops.page.keyboard.press("Enter")
    assert ops.page.locator(".service th a").all_inner_texts() == ["web-silent", "web-api", "web-old"]
    with ops.page.expect_navigation():
        ops.page.select_option("select[name=state]", "silent")
    assert "q=web" in ops.page.url and "state=silent" in ops.page.url
    refresh(ops.page)
    assert ops.page.locator(".service th a").all_inner_texts() == ["web-silent"]
    ops.page.click("text=show all 4")
    ops.page.wait_for_url("**/services/")
    assert ops.page.locator(".service").count() == 4


def test_high_usage_and_a_point_in_time_are_asked_in_the_address(ops, now):
    report(now, range(1, 50), "hot", value=lambda m: 85 + m % 5, instance="a")
    report(now, range(1, 50), "hot", "latency", "ms", 300)
    report(now, range(1, 50), "calm", value=30)
    ops.go("/services/")
    ops.page.click(".tabs >> text=High usage")
    ops.page.wait_for_selector("text=1 above 80")
    average = sql(
        "SELECT avg(metric_value) FROM system_metrics WHERE service_name = 'hot' AND metric_type = 'cpu'"
    )
    assert ops.page.locator("table.plain tbody tr, table.plain > tr").all_inner_texts()[-1].split("\t")[:2] == [
        "hot", f"{average:.3g} %",
    ]  # fmt: skip
    ops.page.fill("input[name=above]", "20")
    with ops.page.expect_navigation():
        ops.page.click(".chart-bar >> text=Show")
    with ops.page.expect_navigation():
        ops.page.click(".presets >> text=6 h")
    assert ops.page.url.endswith("/services/high/?type=cpu&above=20&range=6h")
    assert "2 above 20" in ops.page.inner_text("#content")
    ops.page.click(".tabs >> text=Point in time")
    ops.page.select_option("select[name=service]", "hot")
    at = now - timedelta(minutes=20)
    ops.page.fill("input[name=at]", f"{at:%Y-%m-%d %H:%M:%S}")
    with ops.page.expect_navigation():
        ops.page.click(".chart-bar >> text=Show")
    found = sql(
        """SELECT count(*) FROM system_metrics WHERE service_name = 'hot' AND "timestamp" BETWEEN %s AND %s""",
        at.replace(microsecond=0) - timedelta(minutes=5),
        at.replace(microsecond=0) + timedelta(minutes=5),
    )
    assert ops.page.locator(".moments tr:has(td)").count() == found == 20
    assert '"zone": "b"' in ops.page.inner_text(".moments")
    ops.page.click("text=nearest only")
    ops.page.wait_for_selector("text=all rows")
    assert ops.page.locator(".moments tr:has(td)").count() == 2
    ops.page.click("text=← 10 min")
    ops.page.wait_for_url("**nearest=1**")
    assert "within five minutes" in ops.page.inner_text("#content")


def test_the_pages_about_services_fit_their_window_and_keep_nobody_out(ops, now):
    report(now, range(30, 60), "a-service-with-a-rather-long-name-in-production-eu-west-1", instance="i" * 60)
    report(now, range(1, 60), value=1.7e300, instance="a")
    report(now, [20 * 1440], "gone-" + "x" * 90)
    for width, theme in ((1280, "light"), (390, "dark")):
        ops.page.set_viewport_size({"width": width, "height": 720})
        ops.page.emulate_media(color_scheme=theme)
        for path in ("/services/", "/services/high/?above=1", "/services/moment/?service=web-api"):
            ops.go(path)
            assert ops.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (path, width)
            found = Axe().run(ops.page, context="#content").response["violations"]
            assert [
                (each["id"], [node["target"] for node in each["nodes"]])
                for each in found
                if each["impact"] in ("serious", "critical")
            ] == [], path
