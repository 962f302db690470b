"""Somebody of ops runs retention, looks into the archive, searches it, restores a day: by the pages alone."""

import pytest

from metrics.models import SystemMetric
from tests.accounts.access import person
from tests.retention.rows import OLD, drop_old_partitions, fill
from utxoiq_admin.core.models import TaskRun
from utxoiq_admin.retention import tasks
from utxoiq_admin.retention.models import Archive, Run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def archive_folder(tmp_path, settings, transactional_db):
    settings.ARCHIVE_URL = (tmp_path / "archive").as_uri()
    yield
    drop_old_partitions()


def worker():
    """What a worker does with the newest row that waits."""
    waiting = TaskRun.objects.filter(state="queued").latest("queued_at")
    {"retention.run": tasks.run, "retention.restore": tasks.restore}[waiting.name].run(str(waiting.pk))


def test_a_day_is_archived_looked_into_found_and_restored(visitor):
    fill(days=2, rows=12)
    person("ops")
    visitor.sign_in("ops")
    page = visitor.page
    visitor.go("/retention/")
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
    visitor.go(f"/archives/search/?table=system_metrics&service_name=s2&from={OLD:%Y-%m-%d}")
    page.click("text=Read them")
    assert "8 rows found in 24 lines of 2 objects" in " ".join(page.inner_text("#main").split())
