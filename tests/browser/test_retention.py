"""Somebody of ops runs retention, looks into the archive, searches it, restores a day: by the pages alone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone

from metrics.models import SystemMetric
from tests.accounts.access import person
from tests.retention.rows import DAY, OLD, drop_old_partitions, fill, run
from utxoiq_admin.core.leases import hold
from utxoiq_admin.core.models import TaskRun
from utxoiq_admin.retention import runs, tasks
from utxoiq_admin.retention.models import Archive, Run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def archive_folder(tmp_path, settings, transactional_db):
    settings.ARCHIVE_URL = (tmp_path / "archive").as_uri()
    yield
    drop_old_partitions()


@pytest.fixture
def ops(visitor):
    person("ops")
    visitor.sign_in("ops")
    return visitor


def worker():
    """What a worker does with the newest row that waits."""
    waiting = TaskRun.objects.filter(state="queued").latest("queued_at")
    {"retention.run": tasks.run, "retention.restore": tasks.restore}[waiting.name].run(str(waiting.pk))


def test_a_day_is_archived_looked_into_found_and_restored(ops):
    fill(days=2, rows=12)
    page = ops.page
    ops.go("/retention/")
    page.click("text=Preview run…")
    assert "24" in page.inner_text("tr:has-text('system_metrics')")
    page.click("text=Run now")
    page.wait_for_selector("text=The run was started")
    worker()
    assert Run.objects.get().state == "succeeded"
    page.reload()
    assert "24 rows" in page.inner_text(".ret-kept tr:has-text('system_metrics')")
    page.click(".ret-kept >> text=system_metrics")
    with page.expect_navigation():
        page.click(f"text={OLD:%Y-%m-%d} 00:00 to 22:00")
    assert page.locator(".ret-rows tbody tr, .ret-rows tr:has(td)").count() == 12
    page.fill("input[name=service_name]", "s1")
    with page.expect_navigation():
        page.click("text=Filter")
    assert page.locator(".ret-rows tr:has(td)").count() == 4
    with page.expect_download() as download:
        page.click("text=Download")
    assert download.value.suggested_filename.endswith(".jsonl.gz")
    page.click("text=Restore…")
    page.click("form[action$='/restore/'] button")
    page.wait_for_selector("text=12 rows are being restored")
    worker()
    page.reload()
    assert "12 rows restored, 0 stood there" in page.inner_text("#main")
    assert (SystemMetric.objects.count(), Archive.objects.filter(state="restored").count()) == (12, 1)
    ops.go(f"/archives/search/?table=system_metrics&service_name=s2&from={OLD:%Y-%m-%d}")
    page.click("text=Read them")
    assert "8 rows found in 24 lines of 2 objects" in " ".join(page.inner_text("#main").split())


def test_nights_are_paused_with_a_reason_and_the_pause_is_ended(ops):
    page = ops.page
    ops.go("/retention/")
    page.click("text=Pause until…")
    page.fill("input[name=until]", f"{timezone.now() + 2 * DAY:%Y-%m-%dT%H:%M}")
    page.fill("input[name=reason]", "the bucket moves")
    with page.expect_navigation():
        page.click(".ret-menu button")
    assert "by ops: the bucket moves" in page.inner_text(".ret-head")
    assert "Skipped: paused until" in runs_of_the_night() and Run.objects.get().state == "skipped"
    page.reload()
    assert "skipped" in page.inner_text(".ret-runs .ret-run")
    with page.expect_navigation():
        page.click("text=End the pause")
    assert page.locator("text=Pause until…").is_visible() and runs.current_pause() is None


def runs_of_the_night():
    tasks.run.run()
    return Run.objects.get().error


def test_a_run_is_stopped_by_keyboard_while_the_page_refreshes(ops):
    page = ops.page
    ops.go("/retention/preview/")
    page.click("text=Run now")
    page.wait_for_selector("h2:has-text('Waiting for a worker')")
    asked = Run.objects.get()
    page.focus("#ret-stop")
    with hold(runs.LEASE, ttl=runs.TTL) as lease:
        runs.begin(asked.pk, lease)
        Run.objects.update(step="system_metrics: 2024-03-10, reading rows")
        page.wait_for_selector(".ret-step:has-text('reading rows')")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert "ops asked it to stop: it ends before its next step" in page.inner_text(".ret-now")
    asked.refresh_from_db()
    assert asked.stop_requested_by == "ops"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_keeps_people_from_using_the_pages(ops, theme):
    ops.page.emulate_media(color_scheme=theme)
    fill(days=2, rows=12)
    run()
    fill(days=1, rows=4)
    archive = Archive.objects.filter(table="system_metrics").first()
    search = f"table=system_metrics&service_name=s2&from={OLD:%Y-%m-%d}&read=1"
    for address in (
        "/retention/",
        "/retention/preview/",
        "/archives/",
        f"/archives/{archive.pk}/",
        f"/archives/search/?{search}",
    ):
        ops.go(address)
        for menu in ops.page.locator("#main details summary").all():
            menu.click()
        found = Axe().run(ops.page, context="#content").response["violations"]
        serious = [
            (each["id"], [node["target"] for node in each["nodes"]][:4])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == [], address
