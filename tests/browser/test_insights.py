"""The pages of insights as a person meets them."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from feedback.models import InsightFeedback, InsightText
from tests.accounts.access import person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(visitor):
    call_command("migrate", verbosity=0)  # the groups: a transactional test begins with truncated tables
    person("staff")
    visitor.sign_in("staff")
    return visitor


def test_from_the_list_to_everything_about_one_insight_and_back_by_its_id(staff):
    InsightText.objects.create(
        insight_id="ins-7", headline="Fees spike", summary="Blocks are full.", category="fees"
    )
    for number in range(9):
        InsightFeedback.objects.create(
            insight_id=f"ins-{number}", user_id="u", rating=number % 5 + 1, comment="Quite right.",
            flag_type="spam" if number == 7 else None, updated_at=timezone.now() - timedelta(hours=number),
        )  # fmt: skip
    page = staff.page
    staff.go("/")
    with page.expect_navigation():
        page.click("#nav-sidebar-apps >> text=Insights")
    assert page.locator(".list-count").inner_text() == "9 insights"
    assert page.locator("th[aria-sort]").inner_text().split() == ["last", "said", "▼"]
    assert page.locator("table.insights .link").first.inner_text() == "ins-0"
    with page.expect_navigation():
        page.click("th >> text=flags that stand")
    assert page.url.endswith("/insights/?sort=-flags")
    assert page.locator("table.insights .link").first.inner_text() == "Fees spike"
    with page.expect_navigation():
        page.click("text=Fees spike")
    assert page.url.endswith("/insights/ins-7/") and page.title() == "Fees spike | utxoIQ admin"
    shown = page.inner_text("#content")
    assert "Blocks are full." in shown and "Quite right." in shown and "1 stand" in shown
    with page.expect_navigation():
        page.click("text=all insights")
    page.fill("input[name=q]", "ins-3")
    with page.expect_navigation():
        page.press("input[name=q]", "Enter")
    assert page.url.endswith("/insights/ins-3/")


def test_choosing_how_many_ratings_an_average_needs_is_in_the_address(staff):
    for number in range(5):
        InsightFeedback.objects.create(insight_id="many", user_id=f"u{number}", rating=2)
    InsightFeedback.objects.create(insight_id="few", user_id="u", rating=1)
    staff.go("/insights/?sort=average")
    assert staff.page.locator("table.insights .link").all_inner_texts() == ["many"]
    with staff.page.expect_navigation():
        staff.page.select_option("select[aria-label='averages of']", label="any number of ratings")
    assert staff.page.url.endswith("/insights/?sort=average&least=1")
    assert staff.page.locator("table.insights .link").all_inner_texts() == ["few", "many"]
