"""The pages as a person meets them: signing in, lists, charts, the first page that refreshes itself."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.utils import timezone

from backfill.models import BackfillJob
from feedback.models import InsightFeedback
from metrics.models import SystemMetric
from metrics.partitions import ensure
from tests.accounts.access import person
from tests.browser.conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def groups():
    """A transactional test begins with truncated tables: the groups and partitions of migrate are made again."""
    call_command("migrate", verbosity=0)
    ensure()


@pytest.fixture
def staff(visitor):
    person("staff")
    visitor.sign_in("staff")
    return visitor


def report(minutes_ago, value, **changes):
    SystemMetric.objects.create(
        timestamp=timezone.now() - timedelta(minutes=minutes_ago),
        metric_value=value,
        **{"service_name": "web-api", "metric_type": "cpu", "unit": "percent"} | changes,
    )


def test_signing_in_leads_to_the_first_page_and_out_again(staff):
    assert staff.page.url == staff.base + "/"
    assert staff.page.locator(".headline h1").inner_text() == "3 problems"
    assert staff.page.locator("#nav-sidebar-apps a:visible").all_inner_texts() != []
    assert "Users" not in staff.page.locator("#nav-sidebar-apps").inner_text()


def test_a_wrong_password_is_told_and_a_newcomer_without_group_reads_whom_to_ask(visitor):
    User.objects.create_superuser("boss", password="x")
    User.objects.create_user("outsider", password=PASSWORD)
    visitor.go("/admin/login/")
    visitor.page.fill("input[name=username]", "outsider")
    visitor.page.fill("input[name=password]", "wrong")
    with visitor.page.expect_navigation():
        visitor.page.click("button[type=submit]")
    assert "No account matches" in visitor.page.inner_text("body")
    visitor.page.fill("input[name=username]", "outsider")
    visitor.page.fill("input[name=password]", PASSWORD)
    with visitor.page.expect_navigation():
        visitor.page.click("button[type=submit]")
    assert "from boss" in visitor.page.inner_text("#content")
    visitor.faults = [fault for fault in visitor.faults if "403" not in fault]


def drawn(page, index=0):
    """The columns that uPlot drew for one chart: times, highest, lowest, average, still filling."""
    page.wait_for_function("i => document.querySelectorAll('.metric-chart')[i]?.plots?.length", arg=index)
    return page.evaluate("i => document.querySelectorAll('.metric-chart')[i].plots.map(p => p.data)", index)


def test_the_chart_draws_the_true_extremes_and_leaves_gaps(staff):
    for minute in range(5, 50):
        if not 20 <= minute < 30:
            report(minute, 97.25 if minute == 40 else 3.5 if minute == 41 else 50)
    staff.go("/charts/?service=web-api&type=cpu&range=1h")
    (_times, highest, lowest, average, filling) = drawn(staff.page)[0]
    assert max(v for v in highest if v is not None) == 97.25
    assert min(v for v in lowest if v is not None) == 3.5
    known = [i for i, v in enumerate(average) if v is not None]
    gaps = [b - a for a, b in pairwise(known) if b - a > 1]
    assert gaps == [11]
    assert set(filling) == {None}
    foot = staff.page.locator(".chart-foot").inner_text()
    assert foot.startswith("35 raw rows · 1 min buckets · data to ") and foot.endswith(" UTC")


def test_choosing_a_type_and_a_range_is_in_the_address(staff):
    report(1, 10)
    report(1, 20, metric_type="latency", unit="ms")
    staff.go("/charts/?service=web-api")
    assert staff.page.locator(".metric-chart").count() == 2
    with staff.page.expect_navigation():
        staff.page.select_option("#chart-type", "latency")
    assert staff.page.url.endswith("/charts/?service=web-api&type=latency&range=1h")
    with staff.page.expect_navigation():
        staff.page.click("text=6 h")
    assert "range=6h" in staff.page.url and "type=latency" in staff.page.url
    assert staff.page.locator(".metric-chart").count() == 1
    drawn(staff.page)
    assert staff.page.locator(".metric-chart h2").inner_text() == "latency, ms"


def test_the_chart_speaks_utc_in_a_browser_that_does_not(staff):
    report(1, 10)
    staff.go("/charts/?service=web-api&range=15m")
    drawn(staff.page)
    state = staff.page.locator("#chart-state").inner_text()
    shown = timezone.datetime.strptime(state, "refreshed %H:%M:%S UTC")
    now = timezone.now()
    apart = abs((shown.hour * 60 + shown.minute) - (now.hour * 60 + now.minute))
    assert min(apart, 1440 - apart) <= 1


def test_a_lost_server_greys_the_charts(staff):
    report(1, 10)
    staff.go("/charts/?service=web-api")
    drawn(staff.page)
    staff.page.route("**/charts/data/**", lambda route: route.abort())
    staff.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    staff.page.wait_for_selector("#charts.stale")
    assert staff.page.locator("#chart-state").inner_text().startswith("no contact since ")
    staff.faults = [fault for fault in staff.faults if "ERR_FAILED" not in fault]


def test_the_first_page_refreshes_itself_and_says_when_it_cannot(staff):
    BackfillJob.objects.create(
        job_type="blocks",
        start_block=1,
        end_block=9,
        current_block=1,
        status="failed",
        error_message="node refused",
    )
    staff.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    staff.page.wait_for_selector("text=node refused")
    staff.page.route("**/?live=1", lambda route: route.abort())
    staff.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    staff.page.wait_for_selector("#live.stale")
    assert staff.page.locator("#live").get_attribute("data-contact").startswith("no contact since ")
    staff.faults = [fault for fault in staff.faults if "ERR_FAILED" not in fault]


def test_lists_are_walked_filtered_and_opened(staff):
    for n in range(60):
        InsightFeedback.objects.create(
            insight_id=f"i{n}", user_id="u", rating=4, flag_type="spam" if n == 7 else None
        )
    staff.go("/admin/feedback/insightfeedback/")
    staff.page.click("text=Older →")
    staff.page.wait_for_url("**after=**")
    assert staff.page.locator("#result_list tbody").count() == 10
    with staff.page.expect_navigation():
        staff.page.select_option("select[aria-label=flag]", label="spam")
    assert "after=" not in staff.page.url
    assert staff.page.locator(".list-count").inner_text() == "1 row"
    staff.page.click("#result_list tbody th a")
    assert "all feedback on it" in staff.page.inner_text("#content")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_is_wider_than_its_window(staff, width, theme):
    report(1, 10)
    for number in range(12):
        InsightFeedback.objects.create(
            insight_id="i", user_id=f"a-user-with-a-long-name-{number}", rating=4, comment="wide " * 50,
            flag_type="misleading", flag_reason="long " * 50,
        )  # fmt: skip
    staff.page.set_viewport_size({"width": width, "height": 720})
    staff.page.emulate_media(color_scheme=theme)
    for path in (
        "/",
        "/charts/",
        "/insights/",
        "/insights/i/",
        "/schedule/",
        "/admin/metrics/systemmetric/",
        "/admin/backfill/backfilljob/",
    ):
        staff.go(path)
        assert staff.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


def test_rows_that_come_every_five_minutes_are_joined_by_a_line(staff):
    for minute in range(5, 60, 5):
        if minute != 30:
            report(minute, 50)
    staff.go("/charts/?service=web-api&type=cpu&range=1h")
    drawn(staff.page)
    # null is where uPlot leaves a gap; what it draws on over (undefined) has no value either.
    gaps, points = staff.page.evaluate(
        """() => { const d = document.querySelector('.metric-chart').plots[0].data[3];
        const known = d.map((v, i) => v == null ? -1 : i).filter(i => i >= 0);
        return [d.slice(known[0], known.at(-1)).filter(v => v === null).length, known.length]; }"""
    )
    assert (gaps, points) == (9, 10)


def test_a_range_that_cannot_be_drawn_is_said_once_and_not_asked_for(staff):
    report(1, 10)
    staff.go("/charts/?service=web-api&from=2026-11-24&to=2020-01-01")
    assert staff.page.locator(".metric-chart").count() == 0
    assert "The range ends before it starts" in staff.page.inner_text("#content")


def test_an_absolute_range_stands_beside_the_presets(staff):
    report(1, 10)
    staff.go("/charts/?service=web-api&from=2026-11-21T14:00Z&to=2026-11-22T14:00Z")
    shown, last = (staff.page.locator(place).bounding_box() for place in (".chart-range", ".presets"))
    assert shown["x"] >= last["x"] + last["width"]


def test_every_column_of_a_list_is_seen_without_scrolling(staff):
    now = timezone.now()
    BackfillJob.objects.create(
        job_type="transactions", start_block=728_000, end_block=871_399, current_block=728_000, status="completed",
        progress_percentage=100, started_at=now - timedelta(hours=37), completed_at=now, created_by="platform",
    )  # fmt: skip
    InsightFeedback.objects.create(
        insight_id="ins-8ddaa631b0561d30aa",
        user_id="user-0971",
        rating=4,
        flag_type="inaccurate",
        comment="long " * 50,
    )
    for path in ("/admin/backfill/backfilljob/", "/admin/feedback/insightfeedback/"):
        staff.go(path)
        hidden = "document.querySelector('#result_list').getBoundingClientRect().right - innerWidth"
        assert staff.page.evaluate(hidden) <= 0, path


@pytest.mark.parametrize("path", ["accounts/servicetoken/add/", "auth/group/1/change/", "auth/user/add/"])
def test_no_form_is_wider_than_a_phone(visitor, path):
    person("administrator")
    visitor.sign_in("administrator")
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    group = Group.objects.get(name="staff")
    visitor.go("/admin/" + path.replace("/1/", f"/{group.pk}/"))
    assert visitor.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
