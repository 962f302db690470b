"""Charts do not lie: what is drawn is read back from the chart, and equals what SQL says of the rows."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.browser import chart_world
from tests.browser.chart_world import figures, values

CPU = "service=web-api&type=cpu"


def is_blue(pixel):
    """The first series' colour, whole or mixed with the paper at an edge."""
    red, _, blue, _ = pixel
    return blue - red > 40


def test_the_extremes_drawn_are_those_of_the_rows_in_every_preset(charts):
    charts.open(f"{CPU}&range=15m")
    sources = []
    for key in "12345678":
        with charts.redrawn():
            charts.press(key)
        chart = charts.chart()
        lowest, highest, count, _ = figures("web-api", "cpu", chart["start"], chart["end"])
        high, low, average = (values(each["values"]) for each in chart["series"][:3])
        assert (min(low), max(high)) == (lowest, highest), chart["step"]
        assert chart["min"] <= lowest and chart["max"] >= highest
        assert all(least <= mean <= most for least, mean, most in zip(low, average, high, strict=False))
        assert (
            charts.page.locator(".chart-foot")
            .inner_text()
            .startswith(f"{count:,} rows · {chart['source']} · ")
        )
        sources.append((chart["source"], chart["step"]))
    assert sources == [
        ("raw rows", 60), ("raw rows", 60), ("raw rows", 60), ("raw rows", 60), ("raw rows", 600), ("hourly", 3600),
        ("hourly", 10_800), ("hourly", 43_200),
    ]  # fmt: skip
    assert (lowest, highest) == (chart_world.DIP, chart_world.OLD_SPIKE)


def test_a_silence_of_41_minutes_is_a_gap_at_every_zoom(charts):
    charts.open(f"{CPU}&range=1h")
    middle = (charts.now - chart_world.SILENT_FROM + timedelta(minutes=20)).timestamp()
    for key in "345678":  # 6 hours to a year
        with charts.redrawn():
            charts.press(key)
        chart = charts.chart()
        step = chart["step"]
        place = int((middle - chart["start"]) // step)
        at, bucket = charts.page.evaluate(
            """([x, step]) => { const { plot } = document.querySelector('.metric-chart').holder;
            const at = seconds => plot.valToPos(seconds, 'x', true);
            return [at(x), at(x + step) - at(x)]; }""",
            [middle, step],
        )
        labels = ["web-api", "web-api highest", "web-api lowest"]
        if chart["start"] + (place + 1) * step > charts.now.timestamp():
            # The bucket still fills: its average is hollow, so there is no line that a gap could interrupt.
            assert charts.series(labels.pop(0))["values"][place] is None
        for label in labels:
            gaps = charts.series(label)["gaps"]
            here = [gap for gap in gaps if gap[0] - bucket <= at <= gap[1] + bucket]
            assert len(here) == 1 and here[0][1] - here[0][0] >= 2, (key, label, gaps, at)


def test_rows_that_come_every_ten_minutes_are_joined_where_buckets_are_narrower(charts):
    start = (charts.now - timedelta(days=10)).isoformat().replace("+00:00", "Z")
    end = (charts.now - timedelta(days=9, hours=12)).isoformat().replace("+00:00", "Z")
    charts.open(f"{CPU}&from={start}&to={end}")
    line = charts.series("web-api")
    assert (line["gaps"], len(values(line["values"]))) == ([], 72)
    assert line["values"].count("joined") == 71 * 9


def test_the_bucket_that_still_fills_is_hollow_and_no_drop(charts):
    chart_world.write("hollow", [(charts.now - timedelta(minutes=m), 50.0) for m in range(1, 30)])
    charts.open("service=web-api&type=hollow&range=1h")
    now = charts.page.evaluate("document.querySelector('.metric-chart').holder.body.now")
    chart_world.write("hollow", [(datetime.fromtimestamp(now, UTC), 10.0)])
    with charts.redrawn():
        charts.press("r")
    chart = charts.chart()
    place = int((now - chart["start"]) // 60)
    assert values(charts.series("web-api lowest")["values"])[-1] == 10.0
    assert charts.series("web-api")["values"][place] is None
    centre = chart["start"] + place * 60
    assert charts.pixel(centre, 10.0)[:3] == [255] * 3
    assert is_blue(charts.pixel(chart["end"] - 900, 50.0))
    assert any(is_blue(charts.pixel(centre, 10.0, shift=shift)) for shift in range(2, 6))
    assert "the hollow point still fills" in charts.page.locator(".chart-foot").inner_text()


def test_rows_ahead_of_the_clock_are_hollow_points_and_no_line(charts):
    """A service whose clock is ahead reports of buckets whose time has not come: nothing of them is over."""
    ahead = charts.now + timedelta(minutes=30)
    chart_world.write(
        "cpu", [(ahead + n * timedelta(minutes=1), 77.0) for n in range(5)], unit="percent", service="fast"
    )
    try:
        start, end = charts.now - timedelta(minutes=20), charts.now + timedelta(minutes=40)
        charts.open(
            f"service=fast&service=web-api&type=cpu&from={start:%Y-%m-%dT%H:%MZ}&to={end:%Y-%m-%dT%H:%MZ}"
        )
        assert values(charts.series("fast")["values"]) == []
        assert values(charts.series("fast highest")["values"]) == [77.0] * 5
        assert "hollow points still fill: some rows are ahead of the clock" in charts.page.inner_text(
            ".chart-foot"
        )
    finally:
        chart_world.remove("fast")


def test_services_without_rows_in_the_range_are_named(charts):
    start, end = charts.now - timedelta(hours=40), charts.now - timedelta(hours=30)
    charts.open(
        f"service=web-api&service=indexer&service=never&type=cpu&from={start:%Y-%m-%dT%H:%MZ}&to={end:%Y-%m-%dT%H:%MZ}"
    )
    assert charts.page.inner_text("#chart-notes") == "No rows in this range: indexer, never."


def test_values_that_a_gap_would_cover_are_drawn_over_it(charts):
    """At a year a gap is as wide as several buckets; the highest value of one of them must still be seen."""
    lone = """([avg, between, holes, covers]) => import('/static/js/charts/marks.js').then(
        (marks) => [...marks.lone({ avg, between, holes }, Infinity, covers)])"""
    charts.open(f"{CPU}&range=1h")
    line = [1, 1, None, 9, 1, 1, 1]
    assert charts.page.evaluate(lone, [line, [], [], 1]) == []
    assert charts.page.evaluate(lone, [line, [], [], 3]) == [3]
    assert charts.page.evaluate(lone, [[1, 1, 9, 1, 1], [], [1], 3]) == [2, 3]


def test_days_are_named_where_they_begin_on_a_range_of_some_days(charts):
    for days in (2, 3):
        start = (charts.now - timedelta(days=10)).replace(hour=12, minute=0)
        end = start + timedelta(days=days)
        charts.open(f"{CPU}&from={start:%Y-%m-%dT%H:%MZ}&to={end:%Y-%m-%dT%H:%MZ}")
        texts = charts.page.evaluate(
            """() => { const { plot } = document.querySelector('.metric-chart').holder, axis = plot.axes[0];
            return axis._values.filter(Boolean).join(' | '); }"""
        )
        for n in range(1, days + 1):
            day = start + timedelta(days=n)
            assert f"00:00\n{day:%b} {day.day}" in texts, texts


def test_percentile_lines_are_those_of_the_values_and_say_their_rows(charts):
    charts.open("service=web-api&type=latency&range=1h")
    assert [each["label"] for each in charts.chart()["series"]] == [
        "web-api highest",
        "web-api lowest",
        "web-api",
    ]
    with charts.redrawn():
        charts.press("p")
    line = charts.series("web-api p95")
    assert values(line["values"]) == [pytest.approx(95, rel=0.02)]  # of the values 1 to 100
    assert "p95=1" in charts.query
    place = next(n for n, v in enumerate(line["values"]) if isinstance(v, int | float))
    charts.hover(0, (place + 0.1) / len(line["values"]))
    charts.page.wait_for_selector(".chart-tip >> text=100 rows")
    p50, p95, p99 = re.search(r"p50 ([\d.]+) ms · p95 ([\d.]+) ms · p99 ([\d.]+) ms", charts.tip()).groups()
    assert [float(p50), float(p95), float(p99)] == [pytest.approx(n, rel=0.02) for n in (50, 95, 99)]


def test_axes_and_tooltips_speak_the_unit(charts):
    charts.open("service=web-api&type=traffic&type=latency&type=cpu&range=6h")
    assert charts.titles() == ["cpu, percent", "latency, ms", "traffic, bytes"]
    ticks = [
        charts.page.evaluate(
            "n => document.querySelectorAll('.metric-chart')[n].holder.plot.axes[1]._values.filter(Boolean).at(-1)",
            number,
        )
        for number in range(3)
    ]
    assert (ticks[0].endswith(" %"), ticks[1].endswith(" ms"), ticks[2]) == (True, True, "3 MiB")
    charts.hover(2, 0.9)
    assert "3 MiB" in charts.tip(2)


def test_events_and_reasons_for_gaps_are_on_the_chart_and_in_words(charts):
    charts.open("service=web-api&service=indexer&type=cpu&range=6h")
    charts.page.wait_for_selector("#chart-events:not([hidden])")
    flags = charts.page.locator(".chart-flag")
    assert [flag.get_attribute("class") for flag in flags.all()] == [
        "chart-flag flag-info",
        "chart-flag flag-bad",
    ]
    charts.page.click("#chart-events summary")
    words = charts.page.locator("#chart-events li").all_inner_texts()
    assert any("failed: no node" in line for line in words)
    assert any("web-api was silent for 41 min" in line for line in words)
    assert any("indexer is silent" in line for line in words)
    charts.hover(0, (20 + 19) / 360)
    charts.page.wait_for_selector(".chart-tip >> text=was silent for 41 min")
    for key in "45":
        with charts.redrawn(), charts.page.expect_response("**/charts/annotations/**") as answer:
            charts.press(key)
        assert ("web-api", "silent") in {
            (gap["service"], gap["cause"]) for gap in answer.value.json()["gaps"]
        }, key


def test_the_earlier_period_lies_under_the_present_one_with_the_change(charts):
    charts.open(f"{CPU}&range=1h")
    with charts.redrawn():
        charts.page.select_option("#chart-compare", "day")
    assert "compare=day" in charts.query
    chart = charts.chart()
    before = charts.series("web-api before")["values"]
    day = 86_400
    lowest, highest, *_ = figures("web-api", "cpu", chart["start"] - day, chart["end"] - day)
    assert (min(values(before)), max(values(before))) == (lowest, highest)  # one row a minute
    change = charts.page.locator("table.legend tbody td").nth(4).inner_text()
    over = chart["now"] // 60 * 60  # the same part of both
    now, then = (figures("web-api", "cpu", chart["start"] - back, over - back)[3] for back in (0, day))
    assert float(change.rstrip(" %")) == pytest.approx((now / then - 1) * 100, abs=0.6)
