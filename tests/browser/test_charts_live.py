"""How the chart page keeps up: at the range's pace, one request at a time, and honestly when nobody answers."""

from datetime import UTC, datetime

import pytest

CPU = "service=web-api&type=cpu"


def test_the_page_refreshes_at_the_ranges_pace_and_not_when_hidden(charts):
    charts.page.clock.install(time=datetime.now(UTC))
    asked = []
    charts.page.on("request", lambda request: "/charts/data/" in request.url and asked.append(request.url))
    charts.open(f"{CPU}&range=1h")
    assert (len(asked), charts.page.inner_text("#chart-live")) == (1, "every 10 s")
    charts.page.clock.run_for(9_000)
    assert len(asked) == 1
    with charts.redrawn():
        charts.page.clock.run_for(2_000)
    assert len(asked) == 2
    charts.hide(True)
    charts.page.clock.run_for(60_000)
    assert len(asked) == 2
    with charts.redrawn():
        charts.hide(False)
        charts.page.clock.run_for(10)
    assert len(asked) == 3
    charts.press("l")
    charts.page.clock.run_for(60_000)
    assert (len(asked), charts.page.inner_text("#chart-live")) == (3, "paused")
    with charts.redrawn():
        charts.press("6")
    assert charts.page.inner_text("#chart-live") == "paused"


def test_an_overtaken_request_is_cancelled_and_never_drawn(charts):
    charts.open(f"{CPU}&range=1h")
    failed, held = [], []
    charts.page.on("requestfailed", lambda request: failed.append((request.url, request.failure)))
    charts.page.route(
        "**/charts/data/**", lambda route: held.append(route) if not held else route.continue_()
    )
    charts.press("5")
    charts.page.wait_for_timeout(50)
    with charts.redrawn():
        charts.press("3")
    assert [(held[0].request.url, "net::ERR_ABORTED")] == failed
    assert charts.chart()["end"] - charts.chart()["start"] == pytest.approx(6 * 3600, abs=120)


def test_a_lost_server_greys_the_page_says_since_when_and_is_found_again(charts):
    charts.page.clock.install(time=datetime.now(UTC))
    charts.open(f"{CPU}&range=1h")
    charts.page.route("**/charts/data/**", lambda route: route.abort())
    charts.press("r")
    charts.page.wait_for_selector("#charts.stale")
    assert charts.page.inner_text("#chart-state").startswith("last contact ")
    assert charts.page.inner_text("#chart-state").endswith(" ago")
    charts.page.unroute("**/charts/data/**")
    with charts.redrawn():
        charts.page.clock.run_for(6_000)
    assert charts.page.locator("#charts.stale").count() == 0
    charts.visitor.faults = [fault for fault in charts.visitor.faults if "ERR_FAILED" not in fault]


def test_a_refresh_leaves_the_keyboard_and_the_table_where_they_were(charts):
    charts.open("service=web-api&type=cpu&range=24h")
    charts.page.focus(".legend-name")
    with charts.redrawn():
        charts.press("r")
    assert charts.page.evaluate("document.activeElement.matches('.legend-name')")
    charts.press("t")
    charts.page.click(".chart-table button")
    rows = charts.page.locator(".chart-table tbody tr").count()
    charts.page.evaluate("document.querySelector('.chart-table').scrollTo(0, 300)")
    charts.page.focus(".chart-table")
    with charts.redrawn():
        charts.press("r")
    assert abs(charts.page.locator(".chart-table tbody tr").count() - rows) <= 1 and rows > 200
    now = "[document.querySelector('.chart-table').scrollTop, document.activeElement.className]"
    assert charts.page.evaluate(now) == [300, "chart-table"]
