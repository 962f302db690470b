"""What every visitor of a new stack meets: the demo's banner, each detail, the API reference; nothing complains."""

import pytest
from django.core.management import call_command
from django.utils import timezone

from backfill.models import BackfillJob
from feedback.models import InsightFeedback
from metrics.models import SystemMetric
from metrics.partitions import ensure
from tests.accounts.access import person, token
from utxoiq_admin.demo.models import DemoState
from utxoiq_admin.demo.removal import remove_demo

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def administrator(visitor):
    """A transactional test begins with truncated tables: the groups and partitions of migrate are made again."""
    call_command("migrate", verbosity=0)
    ensure()
    person("administrator")
    visitor.sign_in("administrator")
    return visitor


def rows(metadata=None, who="u", by="ops"):
    """One row in each of the three tables."""
    return [
        SystemMetric.objects.create(
            service_name="web-api",
            metric_type="cpu",
            metric_value=7,
            unit="percent",
            metric_metadata=metadata,
        ),
        InsightFeedback.objects.create(insight_id="i", user_id=who, rating=4, comment="A word of it."),
        BackfillJob.objects.create(
            job_type="blocks", start_block=1, end_block=9, current_block=1, status="paused", created_by=by
        ),
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_details_forms_and_the_api_reference_open_with_a_clean_console(administrator, theme):
    administrator.page.emulate_media(color_scheme=theme)
    for row in rows():
        administrator.go(f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/")
        assert str(row.pk) in administrator.page.inner_text("#content")
    made, _ = token()
    for path in (
        f"accounts/servicetoken/{made.pk}/change/",
        "accounts/servicetoken/add/",
        "auth/user/add/",
        "",
    ):
        assert administrator.go(f"/admin/{path}").status == 200
    administrator.go("/api/v1/docs")
    administrator.page.wait_for_selector("text=Check a token")
    administrator.page.click("text=Check a token")
    administrator.page.click("text=← utxoIQ admin")
    administrator.page.wait_for_selector(".headline")


def test_the_banner_says_demo_data_on_every_page_and_removes_it_alone(administrator):
    real = rows()
    rows(metadata={"demo": True}, who="demo-u1", by="demo")
    state = DemoState.State
    DemoState.objects.create(
        state=state.PRESENT, seed=1, days=1, insights=0, anchor=timezone.now(), updated_at=timezone.now()
    )
    for path in ("/", "/charts/", "/admin/metrics/systemmetric/"):
        administrator.go(path)
        assert administrator.page.locator(".demo-banner:visible").inner_text().startswith("Demo data")
    administrator.page.click("text=Remove…")
    with administrator.page.expect_navigation():
        administrator.page.click("text=Remove demo data")
    assert administrator.page.url.endswith("/admin/metrics/systemmetric/")
    assert "Removing demo data" in administrator.page.inner_text(".demo-banner")
    assert DemoState.objects.get().state == state.REMOVING
    remove_demo()  # as the worker does
    administrator.go("/")
    assert administrator.page.locator(".demo-banner").count() == 0
    assert [list(type(row).objects.values_list("pk", flat=True)) for row in real] == [
        [row.pk] for row in real
    ]
