"""Every control of the chart page, by mouse and by keyboard, and what it leaves in the address."""

from datetime import timedelta

import pytest

CPU = "service=web-api&type=cpu"
TWO = "service=web-api&service=indexer&type=cpu"


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_several_services_and_types_are_found_and_chosen_by_keyboard(charts):
    charts.open(f"{CPU}&range=1h")
    charts.press("s")
    charts.page.keyboard.type("index")
    assert (
        charts.page.locator("#pick-service [role=option]")
        .all_inner_texts()[0]
        .startswith("indexer last report 5")
    )
    with charts.redrawn():
        charts.page.keyboard.press("Enter")
    charts.page.keyboard.press("Escape")
    assert not charts.page.locator("#pick-service .picker-pop").is_visible()
    charts.press("y")
    names = charts.page.locator("#pick-type [role=option]").all_inner_texts()
    charts.page.keyboard.press("ArrowDown")
    assert charts.page.locator("#pick-type .picker-at").inner_text() == names[1]
    with charts.redrawn():
        charts.page.keyboard.press("Enter")
    assert charts.query.startswith(f"service=web-api&service=indexer&type=cpu&type={names[1]}&")
    with charts.redrawn():
        charts.page.keyboard.press("Alt+Enter")
    assert charts.query.startswith(f"service=web-api&service=indexer&type={names[1]}&")
    charts.page.keyboard.type("no such type")
    assert charts.page.locator("#pick-type [role=listbox]").inner_text() == "Nothing has such a name."


def test_charts_are_grouped_by_type_by_service_and_by_instance(charts):
    charts.open("service=web-api&service=indexer&type=cpu&type=traffic&range=6h")
    assert charts.titles() == ["cpu, percent", "traffic, bytes"]
    with charts.redrawn():
        charts.press("g")
    assert charts.titles() == ["indexer, percent", "web-api, bytes", "web-api, percent"]
    with charts.redrawn():
        charts.page.click("text=by instance")
    assert charts.titles() == ["indexer cpu, percent", "web-api cpu, percent", "web-api traffic, bytes"]
    assert charts.page.locator(".metric-chart").first.locator(".legend-name").all_inner_texts() == [
        "indexer-0",
        "indexer-1",
    ]
    assert "by=instance" in charts.query
    with charts.redrawn():
        charts.press("5")
    assert "up to 24 hours" in charts.page.inner_text("#chart-notes")
    assert charts.page.locator(".metric-chart").first.locator(".legend-name").count() == 1


def test_with_nothing_chosen_the_worst_service_is_shown_and_later_the_last_view(charts):
    charts.open()
    assert charts.query.startswith("service=indexer&from=now-6h")  # silent for 50 minutes
    charts.open(f"{CPU}&range=24h")
    charts.open()
    assert charts.query == f"{CPU}&from=now-24h&to=now"


def test_the_range_takes_what_is_typed_or_pasted_and_keeps_it(charts):
    charts.open(f"{CPU}&range=1h")
    at, until = charts.now - timedelta(hours=4), charts.now - timedelta(hours=2)
    for text, found in (
        ("now-90m", "from=now-90m&to=now"),
        ("3h", "from=now-3h&to=now"),
        ("now/d", "from=now/d&to=now/d"),
        (f"{at:%Y-%m-%d %H:%M} to {until:%Y-%m-%dT%H:%M}Z", f"from={stamp(at)}&to={stamp(until)}"),
        (f"{at.timestamp():.0f} - {until.timestamp() * 1000:.0f}", f"from={stamp(at)}&to={stamp(until)}"),
        (f"{stamp(at)}/{stamp(until)}", f"from={stamp(at)}&to={stamp(until)}"),
        (stamp(at), f"from={stamp(at - timedelta(minutes=30))}&to={stamp(at + timedelta(minutes=30))}"),
    ):
        charts.press("f")
        with charts.redrawn():
            charts.page.keyboard.insert_text(text)
            charts.page.keyboard.press("Enter")
        assert charts.query == f"{CPU}&{found}", text
    charts.page.fill("#chart-range", "yesterdayish")
    charts.page.keyboard.press("Enter")
    assert "is no time: write now-6h" in charts.page.inner_text("#chart-range-problem")
    charts.page.fill("#chart-range", "now to now-1h")
    charts.page.keyboard.press("Enter")
    assert charts.page.inner_text("#chart-range-problem") == "The range ends before it starts."
    assert charts.page.locator("#chart-recent option").count() == 6  # three of the texts were one range
    with charts.redrawn():
        charts.page.select_option("#chart-recent", label="now-3h to now")
    assert charts.query == f"{CPU}&from=now-3h&to=now"


def test_dragging_zooms_and_the_way_back_is_a_double_click_or_a_key(charts):
    charts.open(f"{CPU}&range=6h")
    first = charts.chart()
    with charts.redrawn():
        charts.drag(0, 0.25, 0.75)
    second = charts.chart()
    assert second["start"] == pytest.approx(first["start"] + 1.5 * 3600, abs=180)
    assert second["end"] == pytest.approx(first["end"] - 1.5 * 3600, abs=180)
    with charts.redrawn():
        charts.press("]")
    shifted = charts.chart()
    assert shifted["start"] - second["start"] == pytest.approx((second["end"] - second["start"]) / 2, abs=120)
    with charts.redrawn():
        charts.press("b")
    assert charts.chart()["start"] == second["start"]
    with charts.redrawn():
        charts.page.locator(".u-over").dblclick(position={"x": 50, "y": 50})
    assert charts.query == f"{CPU}&from=now-6h&to=now"
    with charts.redrawn():
        charts.page.click("#chart-out")
    assert charts.chart()["end"] - charts.chart()["start"] == pytest.approx(12 * 3600, abs=120)


def test_one_crosshair_stands_in_all_charts(charts):
    charts.open("service=web-api&type=cpu&type=traffic&range=6h")
    charts.hover(0, 0.5)
    left = charts.page.evaluate(
        "[...document.querySelectorAll('.metric-chart')].map(s => s.holder.plot.cursor.idx)"
    )
    assert left[0] == left[1] == pytest.approx(180, abs=3)
    here = [cell.inner_text() for cell in charts.page.locator("td.legend-at").all()]
    assert here[0].endswith(" %") and here[1].endswith(" MiB")
    assert charts.page.locator(".chart-tip:visible").count() == 1


def test_a_click_in_the_legend_isolates_and_outlives_refreshes(charts):
    charts.open(f"{TWO}&range=6h")
    names = charts.page.locator(".legend-name")
    shown = lambda: {s["label"] for s in charts.chart()["series"] if s["show"]}  # noqa: E731
    everything = shown()
    names.nth(1).click()
    assert shown() == {"web-api", "web-api highest", "web-api lowest"}
    with charts.redrawn():
        charts.press("r")
    assert shown() == {"web-api", "web-api highest", "web-api lowest"}
    charts.page.reload()
    charts.ready()
    assert shown() == {"web-api", "web-api highest", "web-api lowest"}
    names.nth(0).click(modifiers=["Control"])
    assert shown() == everything
    names.nth(0).click()
    assert [name.get_attribute("aria-pressed") for name in names.all()] == ["true", "false"]
    charts.press("a")
    assert shown() == everything and "only=" not in charts.query


def test_thresholds_are_lines_that_can_be_set_and_stand_in_the_address(charts):
    charts.open(f"{CPU}&range=1h")
    red = lambda value: charts.red_at(value)  # noqa: E731
    assert (red(80), red(60)) == (True, False)
    charts.page.click(".chart-actions summary")
    charts.page.fill(".chart-actions input", "60")
    charts.page.keyboard.press("Enter")
    assert charts.query == f"{CPU}&from=now-1h&to=now&threshold=cpu:60"
    assert (red(80), red(60)) == (False, True)
    charts.page.reload()
    charts.ready()
    assert red(60)
    charts.page.click(".chart-actions summary")
    charts.page.fill(".chart-actions input", "")
    charts.page.keyboard.press("Enter")
    assert charts.query.endswith("&threshold=") and not red(60)


def test_times_are_utc_until_a_key_makes_them_local(charts):
    charts.open(f"{CPU}&from={stamp(charts.now - timedelta(hours=6))}&to={stamp(charts.now)}")
    helsinki = lambda moment: (moment + timedelta(hours=2)).strftime("%H:%M")  # noqa: E731
    assert charts.page.inner_text("#chart-zone") == "UTC"
    assert charts.page.inner_text(".chart-foot").endswith(" UTC")
    ticks = "document.querySelector('.metric-chart').holder.plot.axes[0]._values.map(v => v.slice(0, 5))"
    utc = charts.page.evaluate(ticks)
    charts.press("u")
    assert charts.page.inner_text("#chart-zone") == "Europe/Helsinki, UTC+02:00"
    assert charts.page.inner_text(".chart-foot").endswith(" Europe/Helsinki")
    assert "tz=local" in charts.query
    hours = lambda texts: [int(text[:2]) for text in texts]  # noqa: E731
    assert [(hour + 2) % 24 for hour in hours(utc)] == hours(charts.page.evaluate(ticks))
    assert helsinki(charts.now - timedelta(hours=6)) in charts.page.input_value("#chart-range")


def test_a_range_that_cannot_be_drawn_is_said_once(charts):
    charts.open(f"{CPU}&from=2026-11-24&to=2020-01-01")
    assert "The range ends before it starts" in charts.page.inner_text("#chart-message")
    charts.open(f"{CPU}&from=2020-01-01&to=2024-01-01")
    assert "at most 800 days" in charts.page.inner_text("#chart-message")
    charts.visitor.faults = [fault for fault in charts.visitor.faults if "422" not in fault]


def test_the_keys_are_listed(charts):
    charts.open(f"{CPU}&range=1h")
    charts.press("?")
    keys = charts.page.locator("#chart-keys dt").all_inner_texts()
    assert len(keys) == 14 and keys[0].split() == ["s", "y"]
    charts.page.keyboard.press("Escape")
    assert not charts.page.locator("#chart-keys").is_visible()
