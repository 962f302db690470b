"""What the table's triggers keep of any writer: samples, the worker's row, events, the ledger."""

import threading
from datetime import timedelta

import psycopg
import pytest
from django.utils import timezone

from backfill import coverage, upkeep
from backfill.models import BackfillJob, JobEvent, JobWork, LedgerEntry, LedgerFold, Sample
from backfill.services import job_cancel, job_pause, job_resume
from tests.backfill.conftest import sql, sql_job, sql_move
from tests.metrics.rollup_writers import other_connection

pytestmark = pytest.mark.django_db


def work(job):
    return JobWork.objects.get(pk=job.pk)


def events(job):
    return list(
        JobEvent.objects.filter(job_id=job.pk).order_by("at", "id").values_list("kind", "actor", "detail")
    )


def aged(job, seconds):
    """As if all that is known of the job had been noted so long ago."""
    for table, column in (
        ("samples", "at"),
        ("work", "reported_at"),
        ("work", "changed_at"),
        ("work", "paused_at"),
    ):
        sql(
            f"UPDATE backfill_{table} SET {column} = {column} - %s WHERE job_id = %s",
            timedelta(seconds=seconds),
            job.pk,
        )


def done(job_type="blocks"):
    return next((each.done for each in coverage.by_type() if each.job_type == job_type), [])


def test_an_sql_worker_leaves_samples_of_every_report():
    job = sql_job(0, 99)
    for block in (10, 10, 30):
        aged(job, 5)
        sql_move(job.pk, current_block=block)
    assert list(Sample.objects.filter(job_id=job.pk).order_by("at").values_list("block", "begins")) == [
        (0, True), (10, False), (10, False), (30, False),
    ]  # fmt: skip
    assert work(job).worked_blocks == 30
    assert 15 <= work(job).worked_seconds < 17
    assert work(job).reported_at > work(job).changed_at and work(job).moved_at == work(job).reported_at


def test_reports_nearer_than_a_quarter_second_leave_one_sample():
    job = sql_job(0, 99)
    for block in range(1, 40):
        sql_move(job.pk, current_block=block)
    assert Sample.objects.filter(job_id=job.pk).count() < 10
    assert LedgerEntry.objects.get(pk=job.pk).done == [(0, 38)]


def test_one_statement_over_many_jobs_is_followed_for_each():
    jobs = [sql_job(n * 100, n * 100 + 99) for n in range(5)]
    sql("UPDATE backfill_jobs SET current_block = start_block + 50, status = 'paused'")
    assert done() == [(n * 100, n * 100 + 49) for n in range(5)]
    assert [len(events(job)) for job in jobs] == [2] * 5
    assert all(work(job).paused_at for job in jobs)


def test_what_a_person_does_is_no_report_of_the_worker():
    job = sql_job(0, 99)
    before = work(job).reported_at
    job_pause(job_id=job.pk, actor="ana", why="disk full")
    assert work(job).reported_at == before and work(job).changed_at > before
    job_resume(job_id=job.pk, actor="ben")
    assert work(job).paused_at is None
    job_cancel(job_id=job.pk, actor="ana", why="wrong range")
    assert events(job)[1:] == [
        ("paused", "ana", "disk full"), ("resumed", "ben", ""), ("cancelled", "ana", "wrong range"),
    ]  # fmt: skip
    assert work(job).reported_at == before and work(job).cancelled_at is not None
    job.refresh_from_db()
    assert (job.status, job.error_message, job.completed_at) == (
        "failed",
        "Cancelled by ana: wrong range",
        None,
    )


def test_who_acted_is_forgotten_with_the_statement():
    job, other = sql_job(0, 99), sql_job(200, 299)
    job_pause(job_id=job.pk, actor="ana", why="disk full")
    sql_move(other.pk, status="failed", error_message="node refused")
    kind, actor, detail = events(other)[-1]
    assert (kind, detail) == ("failed", "node refused") and actor.startswith("SQL, role ")
    assert work(other).cancelled_at is None and work(other).ended_at is not None


def test_pauses_and_the_time_before_a_resume_are_no_work():
    job = sql_job(0, 99)
    sql_move(job.pk, status="paused")
    aged(job, 3600)
    job_resume(job_id=job.pk, actor="ana")
    sql_move(job.pk, current_block=50)
    assert work(job).worked_seconds < 2
    assert list(Sample.objects.filter(job_id=job.pk, begins=True).values_list("block", flat=True)) == [0, 0]


def test_the_ledger_never_shrinks():
    job = sql_job(0, 99, 50)
    sql_move(job.pk, current_block=20)
    assert done() == [(0, 49)]
    coverage.note_failed(job.pk, [3, 4])
    assert done() == [(0, 2), (5, 49)]
    BackfillJob.objects.all().delete()
    assert done() == [(0, 2), (5, 49)]


def test_blocks_outside_the_range_are_not_counted():
    sql_job(100, 199, 50)
    sql_job(300, 399, 2_147_483_647)
    sql_job(2_147_483_000, 2_147_483_647, status="completed")
    assert done() == [(300, 399), (2_147_483_000, 2_147_483_647)]


def test_folding_and_a_return_from_the_archive_change_no_coverage():
    plain, holed = sql_job(0, 99, status="completed"), sql_job(100, 199, status="completed")
    coverage.note_failed(holed.pk, [150])
    before = done()
    BackfillJob.objects.all().delete()
    assert upkeep.fold_ledger() == 1
    assert (LedgerEntry.objects.filter(folded=False).count(), LedgerFold.objects.get().done) == (1, [(0, 99)])
    assert upkeep.fold_ledger() == 0
    for job in (plain, holed):
        BackfillJob.objects.bulk_create([job])
    assert done() == before == [(0, 149), (151, 199)]
    assert LedgerFold.objects.get().done == [] and not LedgerEntry.objects.filter(folded=True).exists()
    # What the one that came back reports failed now does not count as done, though it was folded as done before.
    coverage.note_failed(plain.pk, [7])
    assert done() == [(0, 6), (8, 149), (151, 199)]
    assert [len(events(job)) for job in (plain, holed)] == [1, 1]


def test_demo_deletions_take_their_coverage_along():
    job = sql_job(0, 99, status="completed")
    sql("SET LOCAL utxoiq.forget = 'on'")
    sql("DELETE FROM backfill_jobs WHERE id = %s", job.pk)
    assert (done(), events(job), Sample.objects.count(), JobWork.objects.count()) == ([], [], 0, 0)


def test_samples_thin_out_as_they_age_and_beginnings_stay():
    job, now = sql_job(0, 10_000), timezone.now()
    Sample.objects.all().delete()
    stamps = [now - timedelta(seconds=n) for n in range(0, 1800, 5)] + [
        now - timedelta(days=3, minutes=n) for n in range(60)
    ]
    Sample.objects.bulk_create(
        Sample(job_id=job.pk, at=at, block=0, begins=n == 300) for n, at in enumerate(stamps)
    )
    upkeep.thin_samples()
    left = list(Sample.objects.order_by("-at").values_list("at", "begins"))
    whole = [at for at, _ in left if at > now - timedelta(minutes=10)]
    oldest, newest = now - timedelta(days=1), now - timedelta(minutes=10)
    thinned = [(at.replace(second=0, microsecond=0), begins) for at, begins in left if oldest < at <= newest]
    others = [minute for minute, begins in thinned if not begins]
    assert len(whole) >= 118
    assert {minute for minute, _ in thinned} == {
        at.replace(second=0, microsecond=0) for at in stamps if oldest < at <= newest
    }
    assert len(set(others)) == len(others)
    assert sum(begins for _, begins in left) == 1
    assert 6 <= len([at for at, _ in left if at < now - timedelta(days=1)]) <= 7
    assert upkeep.thin_samples() == 0


@pytest.mark.django_db(transaction=True)
def test_writers_of_two_jobs_of_one_type_never_wait_for_each_other():
    """Nor do their readers: one has reported, and its transaction stays open while the other reports."""
    first, second = sql_job(0, 99), sql_job(100, 199)
    with other_connection() as one, other_connection() as two:
        one.execute("UPDATE backfill_jobs SET current_block = 50 WHERE id = %s", [first.pk])
        two.autocommit = True
        two.execute("SET lock_timeout = '200ms'")
        two.execute("UPDATE backfill_jobs SET current_block = 150 WHERE id = %s", [second.pk])
        assert done() == [(100, 149)]
        one.commit()
    assert done() == [(0, 49), (100, 149)]


@pytest.mark.django_db(transaction=True)
def test_reports_retries_and_folding_at_once_do_not_deadlock():
    jobs = [sql_job(n * 10, n * 10 + 9) for n in range(12)]
    faults, offsets = [], (1, 5, 7, 11)

    def writer(offset):
        try:
            with other_connection() as mine:
                mine.autocommit = True
                for turn in range(60):
                    job = jobs[(turn * offset) % len(jobs)]
                    mine.execute(
                        "UPDATE backfill_jobs SET current_block = greatest(current_block, %s) WHERE id = %s",
                        [job.start_block + turn % 10, job.pk],
                    )
        except psycopg.Error as error:
            faults.append(error)

    threads = [threading.Thread(target=writer, args=(offset,)) for offset in offsets]
    for thread in threads:
        thread.start()
    for job in jobs[:3]:
        BackfillJob.objects.filter(pk=job.pk).delete()
        upkeep.fold_ledger()
    for thread in threads:
        thread.join()
    assert faults == []
    highest = {
        n: max(turn % 10 for o in offsets for turn in range(60) if turn * o % 12 == n) for n in range(3, 12)
    }
    assert {span for span in done() if span[0] >= 30} == {
        (n * 10, n * 10 + top - 1) for n, top in highest.items()
    }


def test_a_failed_job_that_is_restored_failed_when_it_failed_and_stays_cancelled():
    """The home page tells failures of the last day: one that came back from the archive is none of them."""
    job = sql_job()
    job_cancel(job_id=job.pk, actor="ana", why="enough")
    other = sql_job(200, 299)
    sql_move(other.pk, status="failed")
    sql("UPDATE backfill_events SET at = at - interval '200 days'")
    rows = list(BackfillJob.objects.all())
    sql("DELETE FROM backfill_jobs")
    BackfillJob.objects.bulk_create(rows)
    for each in (job, other):
        ended = JobWork.objects.get(pk=each.pk).ended_at
        assert timedelta(days=199) < timezone.now() - ended < timedelta(days=201)
    assert JobWork.objects.get(pk=job.pk).cancelled_at and not JobWork.objects.get(pk=other.pk).cancelled_at
    assert not BackfillJob.objects.failed_since(timezone.now() - timedelta(hours=24), cancelled=False)


def test_a_job_that_is_reopened_is_neither_ended_nor_cancelled():
    job = sql_job()
    job_cancel(job_id=job.pk, actor="ana")
    JobWork.objects.update(stop_confirmed_at=timezone.now())
    sql_move(job.pk, status="running")
    work = JobWork.objects.get()
    assert (work.ended_at, work.cancelled_at, work.stop_confirmed_at) == (None, None, None)
    sql_move(job.pk, status="failed")
    work = JobWork.objects.get()
    assert work.ended_at and not work.cancelled_at
