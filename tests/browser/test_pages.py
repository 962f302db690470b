"""The pages as a person meets them: signing in, lists, the first page that refreshes itself."""

from datetime import timedelta

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
    visitor.go("/")
    return visitor


def report(minutes_ago, value, **changes):
    SystemMetric.objects.create(
        timestamp=timezone.now() - timedelta(minutes=minutes_ago),
        metric_value=value,
        **{"service_name": "web-api", "metric_type": "cpu", "unit": "percent"} | changes,
    )


def test_signing_in_leads_to_the_first_page_and_out_again(visitor):
    staff = visitor
    person("staff")
    staff.sign_in_by_form("staff")
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
        if path == "/charts/":
            staff.page.wait_for_selector(".metric-chart .uplot")
        assert staff.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


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
