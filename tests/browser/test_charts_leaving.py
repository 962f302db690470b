"""What leaves the chart page (files, pictures, links, saved views), and whether everybody can use it."""

import csv
import io
import json

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser import chart_world
from tests.browser.chart_world import figures, values

CPU = "service=web-api&type=cpu"


def rows_of(download):
    return list(csv.reader(io.StringIO(download.path().read_text())))


def test_the_drawn_data_is_exported_with_its_zone_and_equals_what_is_drawn(charts):
    charts.open(f"{CPU}&range=1h")
    charts.press("u")
    with charts.page.expect_download() as got:
        charts.press("e")
    header, *rows = rows_of(got.value)
    assert header[0] == "bucket start (Europe/Helsinki, UTC+02:00)"
    assert rows[0][0].endswith("+02:00")
    chart = charts.chart()
    lowest, highest, count, _ = figures("web-api", "cpu", chart["start"], chart["end"])
    missing = [row for row in rows if not row[header.index("rows")]]
    assert {row[header.index("remark")] for row in missing} <= {"no rows", "not yet"}
    rows = [row for row in rows if row not in missing]
    columns = {name: [row[n] for row in rows] for n, name in enumerate(header)}
    assert sum(map(int, columns["rows"])) == count
    assert (min(map(float, columns["min"])), max(map(float, columns["max"]))) == (lowest, highest)
    assert {(row[2], row[3], row[5]) for row in rows} == {("web-api", "cpu", "percent")}


def test_the_export_remarks_what_the_chart_shows_by_its_looks(charts):
    charts.open("service=web-api&service=indexer&type=cpu&range=24h")
    charts.page.wait_for_selector("#chart-events li:has-text('silent')", state="attached")
    with charts.page.expect_download() as got:
        charts.press("e")
    header, *rows = rows_of(got.value)
    told = {}
    for row in rows:
        told.setdefault((row[2], row[-1]), []).append(row)
    silent = told["web-api", "web-api was silent for 41 min"]
    assert 39 <= len(silent) <= 42 and all(row[6:10] == ["", "", "", ""] for row in silent)
    assert any(remark.startswith("indexer is silent for") for _, remark in told)
    assert header[-1] == "remark" and len(told["web-api", ""]) > 1000


def test_the_raw_rows_are_exported_after_their_number_was_said(charts):
    charts.open(f"{CPU}&range=1h")
    count = int(charts.page.inner_text(".chart-foot").split(" rows")[0])
    charts.page.click("summary >> text=Export")
    assert charts.page.inner_text("#chart-rows-csv small") == f"{count} rows"
    with charts.page.expect_download() as got:
        charts.page.click("#chart-rows-csv")
    header, *rows = rows_of(got.value)
    assert (header[0], len(rows)) == ("timestamp (UTC)", count)


def test_a_chart_is_a_picture_with_its_title_and_legend(charts):
    charts.open(f"{CPU}&range=1h")
    with charts.page.expect_download() as got:
        charts.page.click(".chart-actions >> text=png")
    picture = got.value.path().read_bytes()
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    assert (got.value.suggested_filename, picture[:8]) == ("cpu-percent.png", b"\x89PNG\r\n\x1a\n")
    assert width > 700 and 260 < height < 400


def test_the_table_says_the_same_as_the_chart(charts):
    charts.open(f"{CPU}&range=24h")
    drawn = values(charts.series("web-api")["values"])
    charts.press("t")
    assert "table=1" in charts.query and not charts.page.locator(".uplot").is_visible()
    while charts.page.locator(".chart-table button").count():
        charts.page.click(".chart-table button")
    lines = charts.page.locator(".chart-table tbody tr").all_inner_texts()
    told = [line for line in lines if "%" in line]
    assert abs(len(told) - len(drawn)) <= 1 and len(told) > 1300
    silent = [line for line in lines if "was silent for 41 min" in line]
    assert len(silent) == 40
    charts.press("t")
    assert charts.page.locator(".uplot").is_visible()
    assert "lowest" in charts.page.locator(".metric-chart .sr").first.inner_text()


def test_share_copies_a_link_that_shows_the_same_tomorrow(charts):
    charts.open(f"{CPU}&range=1h&only=web-api%2Fcpu%2Fpercent%2F")
    charts.press("x")
    charts.page.wait_for_selector("text=Copied.")
    link = charts.page.evaluate("navigator.clipboard.readText()")
    assert "from=now-1h&to=now" in charts.query and "now" not in link
    before = charts.chart()
    charts.page.goto(link)
    charts.ready()
    assert (charts.chart()["start"], charts.chart()["end"]) == (before["start"], before["end"])
    assert charts.page.inner_text("#chart-live") == "ended"


def test_views_are_saved_under_a_name_opened_shared_and_deleted(charts):
    charts.open(f"{CPU}&range=24h")
    charts.page.click("#chart-views summary")
    charts.page.fill("#chart-views-form input[name=name]", "CPU of the day")
    charts.page.keyboard.press("Enter")
    charts.page.wait_for_selector("text=Saved as CPU of the day.")
    charts.page.click("#chart-views-list >> text=share")
    charts.page.wait_for_selector("text=Copied.")
    link = charts.page.evaluate("navigator.clipboard.readText()")
    charts.open("service=indexer&range=1h")
    charts.page.click("#chart-views summary")
    with charts.redrawn():
        charts.page.click("text=CPU of the day")
    assert charts.query == f"{CPU}&from=now-24h&to=now"
    charts.open("service=indexer&range=1h")
    charts.page.goto(link)
    charts.ready()
    assert charts.query == f"{CPU}&from=now-24h&to=now"
    charts.page.on("dialog", lambda dialog: dialog.accept())
    charts.page.click("#chart-views summary")
    charts.page.click("#chart-views-list >> text=delete")
    charts.page.wait_for_selector("text=No views saved yet.")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_keeps_people_from_using_the_page(charts, theme):
    charts.page.emulate_media(color_scheme=theme)
    charts.open("service=web-api&service=indexer&range=6h&p95=1&compare=day")
    charts.page.wait_for_selector("#chart-events:not([hidden])")
    if theme == "dark":
        charts.press("s")
    else:
        with charts.redrawn():
            charts.press("1")  # a short table: axe looks at each cell
        charts.press("t")
        charts.page.click("summary >> text=Export")
    answer = Axe().run(charts.page, options={"resultTypes": ["violations"]}).response
    serious = [
        (each["id"], [node["target"] for node in each["nodes"]][:4])
        for each in answer["violations"]
        if each["impact"] in ("serious", "critical") and any(_is_ours(node) for node in each["nodes"])
    ]
    assert serious == [], json.dumps(serious, indent=1)


def _is_ours(node):
    """The theme's own header and sidebar are not the page's."""
    return not any("sidebar" in str(target) or "theme" in str(target) for target in node["target"])


def test_forty_series_fit_a_phone(charts):
    with chart_world.connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO system_metrics (service_name, metric_type, metric_value, unit, "timestamp")
            SELECT 'fleet-' || n, 'load', n, 'count', now() - m * interval '1 minute'
            FROM generate_series(1, 40) AS n, generate_series(1, 30) AS m"""
        )
    charts.page.set_viewport_size({"width": 390, "height": 844})
    charts.open("type=load&range=1h")
    assert charts.page.locator(".legend-name").count() == 40
    assert charts.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    charts.page.set_viewport_size({"width": 1280, "height": 720})
    charts.page.wait_for_function("document.querySelector('.metric-chart').holder.plot.width > 700")
    charts.hover(0, 0.8)
    charts.page.wait_for_selector(".chart-tip >> text=and 28 more")


def test_a_range_without_rows_says_so(charts):
    charts.open(f"{CPU}&from=2020-01-01T00:00Z&to=2020-01-02T00:00Z")
    assert "No rows in this range." in charts.page.inner_text("#chart-message")
    assert charts.page.locator(".metric-chart").count() == 0
