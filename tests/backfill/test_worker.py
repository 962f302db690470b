"""The example worker as a real client: it claims, works, is paused, resumed and stopped, and does the whole range."""

import signal
import time
from contextlib import ExitStack

import pytest

from backfill import coverage
from backfill.models import BackfillJob, JobEvent, JobWork
from backfill.services import job_cancel, job_pause, job_resume, job_retry, job_start
from backfill.standing import standing_of
from tests.accounts.access import token
from tests.backfill.conftest import sql_job, wish
from tests.backfill.site import source, worker
from tests.core.conftest import until

pytestmark = pytest.mark.django_db(transaction=True)
EVERY = 0.1


@pytest.fixture
def secret(db):
    return token("backfill:write", name="example")[1]


def block_of(job):
    return BackfillJob.objects.get(pk=job.pk).current_block


def kinds(job):
    return list(JobEvent.objects.filter(job_id=job.pk).order_by("at", "pk").values_list("kind", flat=True))


def test_the_example_worker_obeys_and_does_what_it_reports(site, secret):
    with source(0.005) as blocks, worker(site, secret, "blocks", blocks.address, every=EVERY):
        blocks.lacks.add(150)
        job = job_start(wish=wish(100, 399, waits=True))
        until(lambda: block_of(job) > 110)
        job_pause(job_id=job.pk, actor="ana")
        paused = JobWork.objects.get(pk=job.pk).changed_at
        until(lambda: JobWork.objects.get(pk=job.pk).reported_at > paused)
        stood = block_of(job)
        until(lambda: JobWork.objects.filter(pk=job.pk, reported_at__gt=paused).exists())
        assert block_of(job) == stood
        job_resume(job_id=job.pk, actor="ana")
        until(lambda: BackfillJob.objects.get(pk=job.pk).status == "completed", 20)
        assert coverage.missing("blocks", 100, 399) == [(150, 150)]
        assert kinds(job) == ["started", "claimed", "paused", "resumed", "completed"]
        assert BackfillJob.objects.get(pk=job.pk).progress_percentage == 100.0

        second = job_start(wish=wish(1000, 99_999, waits=True))
        until(lambda: block_of(second) > 1000)
        job_cancel(job_id=second.pk, actor="ana", why="enough")
        until(lambda: JobWork.objects.get(pk=second.pk).stop_confirmed_at is not None)
        assert kinds(second) == ["started", "claimed", "cancelled", "stopped"]
        stood = block_of(second)
        third = job_start(wish=wish(200_000, 200_010, waits=True))
        until(lambda: BackfillJob.objects.get(pk=third.pk).status == "completed", 20)
        assert block_of(second) == stood


def test_a_block_that_comes_late_is_asked_for_again_and_one_that_never_comes_is_told(site, secret):
    with source(0.001) as blocks:
        blocks.troubles = {12: 2, 15: 1000}
        job = job_start(wish=wish(10, 19, waits=True))
        with worker(site, secret, "blocks", blocks.address, every=EVERY):
            until(lambda: BackfillJob.objects.get(pk=job.pk).status == "completed", 20)
        assert (blocks.asked.count(12), blocks.asked.count(15)) == (3, 5)
        assert coverage.missing("blocks", 10, 19) == [(15, 15)]


def test_a_retry_does_what_nobody_did_and_nothing_twice(site, secret):
    sql_job(100, 149, status="completed")
    first = job_start(wish=wish(90, 199), allow_overlap=True)
    job_cancel(job_id=first.pk, actor="ana")
    again = job_retry(job_id=first.pk, actor="ana", created_by="ana")
    with source(0.001) as blocks, worker(site, secret, "blocks", blocks.address, every=EVERY):
        until(lambda: BackfillJob.objects.get(pk=again.pk).status == "completed", 20)
    assert blocks.asked == [*range(90, 100), *range(150, 200)]
    assert coverage.missing("blocks", 90, 199) == []


def look(job):
    return standing_of([BackfillJob.objects.get(pk=job.pk)])[0]


def test_what_is_wrong_with_a_worker_shows_within_two_of_its_usual_intervals(site, secret):
    """Four workers at once: stopped, killed, with a source that hangs, and with one ten times slower."""
    fates = {"stopped": "silent", "killed": "silent", "hanging": "stalled", "slowed": "slow"}
    jobs = {fate: job_start(wish=wish(0, 999_999, job_type=fate, waits=True)) for fate in fates}
    with ExitStack() as stack:
        sources = {fate: stack.enter_context(source(0.01)) for fate in fates}
        processes = {
            fate: stack.enter_context(worker(site, secret, fate, sources[fate].address, every=1.0))
            for fate in fates
        }
        until(lambda: all(look(job).pace.legs >= 6 for job in jobs.values()), 30)
        usual = {fate: look(job).pace.interval for fate, job in jobs.items()}
        assert {fate: look(job).verdict.state for fate, job in jobs.items()} == dict.fromkeys(
            fates, "running"
        )
        begun = time.monotonic()
        processes["stopped"].send_signal(signal.SIGSTOP)
        processes["killed"].kill()
        sources["hanging"].hangs.set()
        sources["slowed"].seconds *= 10
        took: dict[str, float] = {}
        while len(took) < len(fates) and time.monotonic() - begun < 10:
            for fate, state in fates.items():
                if fate not in took and look(jobs[fate]).verdict.state == state:
                    took[fate] = time.monotonic() - begun
            time.sleep(0.02)
        # A look takes its time too, on a machine that has others to serve.
        assert {fate: took.get(fate, 99) <= 2 * usual[fate] + 0.75 for fate in fates} == dict.fromkeys(fates, True), (
            took, usual,
        )  # fmt: skip

        processes["stopped"].send_signal(signal.SIGCONT)
        sources["hanging"].hangs.clear()
        sources["slowed"].seconds /= 10
        until(
            lambda: (
                [look(jobs[fate]).verdict.state for fate in ("stopped", "hanging", "slowed")]
                == ["running"] * 3
            )
        )
