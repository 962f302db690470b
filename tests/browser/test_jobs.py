"""The pages of jobs as an operator uses them, while the example worker runs: nothing is reloaded by hand."""

import pytest
from django.core.management import call_command

from backfill import coverage
from backfill.models import BackfillJob
from backfill.services import job_start
from tests.accounts.access import person, token
from tests.backfill.conftest import sql_job, wish
from tests.backfill.site import source, worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ops(visitor):
    """A transactional test begins with truncated tables: the groups of migrate are made again."""
    call_command("migrate", verbosity=0)
    person("ops")
    visitor.sign_in("ops")
    return visitor


def test_an_operator_starts_watches_pauses_and_cancels_a_job(ops, live_server):
    _, secret = token("backfill:write", name="example")
    sql_job(0, 49, job_type="blocks", status="completed")
    page = ops.page
    ops.go("/jobs/coverage/")
    sql_job(60, 99, job_type="blocks", status="completed")
    page.wait_for_selector("text=50–59")  # what was done meanwhile shows by itself
    page.click("td a:has-text('start a job')")
    assert "10 blocks" in page.inner_text("#content") and "All of them are missing." in page.inner_text(
        "#content"
    )
    page.fill("input[name=last]", "59999")
    page.fill("input[name=why]", "gap")
    page.click("text=Preview")
    page.click("button:has-text('Start only the missing 59,910')")
    page.wait_for_selector("text=2 jobs wait for a worker.")
    page.goto(page.url + "?state=waiting+for+a+worker")
    assert page.locator("table.jobs tbody tr").count() == 2
    # The worker takes the older of the two, the ten blocks, and then the other.
    with source(0.002) as blocks, worker(live_server.url, secret, "blocks", blocks.address, every=0.5):
        long = BackfillJob.objects.get(start_block=100)
        ops.go(f"/jobs/{long.pk}/")
        page.wait_for_selector(".job-head .badge:has-text('running')", timeout=20_000)
        page.wait_for_function(
            "document.getElementById('job-chart').plot?.data[1].filter(v => v > 0).length > 2", timeout=20_000
        )
        before = page.inner_text(".job-bar")
        page.wait_for_function(
            "before => document.querySelector('.job-bar').innerText !== before", arg=before
        )
        assert page.locator("#job-chart .uplot").count() == 1
        page.click("text=Pause…")
        page.fill("input[name=why]", "disk full")
        page.click("button:has-text('Pause 1 job')")
        page.wait_for_selector("text=is paused.")
        page.wait_for_selector("td:has-text('disk full')")
        page.click("text=Cancel…")
        page.click("button:has-text('Cancel 1 job')")
        page.wait_for_selector("text=Its worker has heard of it and stopped.")
    assert BackfillJob.objects.get(start_block=50).status == "completed"
    assert coverage.missing("blocks", 0, 99) == []
    assert page.locator("text=Retry…").count() == 1


def test_what_was_chosen_stays_chosen_while_the_list_refreshes(ops):
    first, second = job_start(wish=wish(0, 99, waits=True)), job_start(wish=wish(100, 199, waits=True))
    ops.go("/jobs/")
    page = ops.page
    page.check(f"input[value='{first.pk}']")
    third = job_start(wish=wish(200, 299, waits=True))
    page.wait_for_selector(f"input[value='{third.pk}']")
    assert page.is_checked(f"input[value='{first.pk}']") and not page.is_checked(
        f"input[value='{second.pk}']"
    )
    page.click("button:has-text('Cancel…')")
    assert "Cancel 1 job?" in page.inner_text("#content")
    page.click("button:has-text('Cancel 1 job')")
    page.wait_for_selector("text=No worker had it.")
    assert BackfillJob.objects.get(pk=first.pk).status == "failed"


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_of_jobs_is_wider_than_its_window(ops, width):
    job = sql_job(800_000, 899_999, 812_345, job_type="transactions", created_by="data-ingestion")
    ops.page.set_viewport_size({"width": width, "height": 720})
    for path in ("/jobs/", "/jobs/coverage/", "/jobs/start/?type=transactions&first=0&last=9", f"/jobs/{job.pk}/",
                 f"/jobs/pause/?job={job.pk}"):  # fmt: skip
        ops.go(path)
        assert ops.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
