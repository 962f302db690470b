"""Starting, pausing, resuming, cancelling and retrying jobs; claims and reports."""

import re
import uuid
from datetime import timedelta

import pytest

from backfill.models import BackfillJob, JobEvent, JobWork
from backfill.overlaps import Overlap
from backfill.reports import Answer, BadReport, Report, job_begin, job_claim, job_progress
from backfill.services import (
    MAX_BLOCK,
    BadRange,
    JobNotFound,
    NothingMissing,
    WrongState,
    job_cancel,
    job_pause,
    job_resume,
    job_retry,
    job_start,
    job_start_missing,
)
from tests.backfill.conftest import at_once, sql, sql_job, wish

pytestmark = pytest.mark.django_db


def told(answer: Answer):
    return answer.applied, answer.command, answer.job.status, answer.job.current_block


def report(job, block=None, **changes):
    return job_progress(job_id=job.pk, report=Report(block, **changes), actor="worker 1")


def lease_ran_out(job):
    sql("UPDATE backfill_work SET lease_until = now() - interval '1 s' WHERE job_id = %s", job.pk)


@pytest.mark.parametrize(
    ("first", "last", "field"), [(-1, 5, "start_block"), (5, 4, "end_block"), (0, MAX_BLOCK + 1, "end_block")]
)
def test_a_range_that_is_none_is_refused(first, last, field):
    with pytest.raises(BadRange) as refused:
        job_start(wish=wish(first, last))
    assert refused.value.field == field and BackfillJob.objects.count() == 0


@pytest.mark.parametrize(
    ("status", "first", "last", "taken"),
    [
        ("running", 0, 10, True), ("paused", 99, 120, True), ("completed", 40, 50, True), ("failed", 0, 99, False),
        ("running", 100, 199, False),
    ],
)  # fmt: skip
def test_overlap_with_what_is_done_or_being_done_is_refused(status, first, last, taken):
    standing = sql_job(0, 99, status=status)
    if taken:
        with pytest.raises(Overlap) as refused:
            job_start(wish=wish(first, last))
        assert refused.value.jobs == [standing]
        assert f"0–99 ({status})" in str(refused.value)
    assert job_start(wish=wish(first, last), allow_overlap=taken).status == "running"
    assert job_start(wish=wish(first, last, "transactions")).job_type == "transactions"


@pytest.mark.django_db(transaction=True)
def test_of_many_starts_of_one_range_at_once_one_passes():
    def start():
        try:
            return job_start(wish=wish(0, 99)).pk
        except Overlap:
            return None

    outcomes = at_once(8, start)
    assert len(outcomes) == 8 and len([each for each in outcomes if each]) == 1 == BackfillJob.objects.count()


def test_a_job_of_a_person_waits_until_a_worker_claims_it():
    late = job_start(wish=wish(100, 199, waits=True))
    early = job_start(wish=wish(0, 99, waits=True))
    sql("SELECT set_config('utxoiq.act', 'edit', true)")
    BackfillJob.objects.filter(pk=early.pk).update(started_at=late.started_at - timedelta(hours=1))
    sql_job(200, 299)
    assert JobWork.objects.filter(waits=True).count() == 2
    assert job_claim(job_type="transactions", holder="w") is None
    claims = [job_claim(job_type=kind, holder="w") for kind in ("blocks", None, None)]
    assert [claim and claim.job for claim in claims] == [early, late, None]
    assert JobWork.objects.filter(waits=True).count() == 0
    assert JobEvent.objects.filter(kind="claimed").values_list("actor", "detail")[0] == ("w", "")


@pytest.mark.django_db(transaction=True)
def test_workers_that_claim_at_once_get_different_jobs():
    made = [job_start(wish=wish(n * 100, n * 100 + 99, waits=True)).pk for n in range(6)]
    got = at_once(8, lambda: job_claim(job_type="blocks", holder="w"))
    assert sorted(str(each.job.pk) for each in got if each) == sorted(map(str, made))
    assert got.count(None) == 2


def test_a_job_whose_worker_let_go_is_taken_over_and_the_old_worker_is_stopped():
    old = job_begin(wish=wish(), holder="old")
    assert told(report(old.job, 10, lease=old.lease)) == (True, "continue", "running", 10)
    assert job_claim(job_type="blocks", holder="new") is None
    lease_ran_out(old.job)
    new = job_claim(job_type="blocks", holder="new")
    assert new.job.pk == old.job.pk and new.job.current_block == 10
    assert told(report(old.job, 50, lease=old.lease)) == (False, "stop", "running", 10)
    assert told(report(old.job, 10, status="completed", lease=old.lease)) == (False, "stop", "running", 10)
    assert told(report(old.job, 11, lease=new.lease)) == (True, "continue", "running", 11)
    assert "taken over from old" in JobEvent.objects.get(kind="claimed").detail


def test_a_worker_that_was_taken_over_fails_no_block_of_the_other():
    old = job_begin(wish=wish(), holder="old")
    lease_ran_out(old.job)
    new = job_claim(job_type="blocks", holder="new")
    report(old.job, 12, failed_blocks=[11], lease=old.lease)
    report(new.job, 13, failed_blocks=[12], lease=new.lease)
    assert sql("SELECT failed::text FROM backfill_ledger WHERE job_id = %s", new.job.pk) == [("{[12,13)}",)]


def test_a_report_renews_the_lease():
    claim = job_begin(wish=wish(), holder="w")
    lease_ran_out(claim.job)
    report(claim.job, 0, lease=claim.lease)
    assert job_claim(job_type=None, holder="other") is None


def test_reports_move_the_block_only_forward():
    job = job_start(wish=wish())
    assert told(report(job, 40)) == (True, "continue", "running", 40)
    assert told(report(job, 39)) == (False, "continue", "running", 40)
    assert told(report(job, 40)) == (True, "continue", "running", 40)
    assert told(report(job, 30, status="failed", error="node refused")) == (True, "stop", "failed", 40)
    assert BackfillJob.objects.get().error_message == "node refused"
    assert told(report(job, 60)) == (False, "stop", "failed", 40)


def test_a_completed_job_stays_completed_however_often_and_late_it_is_told():
    job = job_start(wish=wish())
    assert told(report(job, 99, status="completed")) == (True, "stop", "completed", 99)
    ended = BackfillJob.objects.get().completed_at
    assert told(report(job, 99, status="completed")) == (False, "stop", "completed", 99)
    assert told(report(job, 50)) == (False, "stop", "completed", 99)
    assert BackfillJob.objects.get().completed_at == ended


def test_a_paused_worker_is_told_and_what_it_did_meanwhile_is_kept():
    job = job_start(wish=wish())
    job_pause(job_id=job.pk, actor="ana")
    assert told(report(job, 20)) == (True, "pause", "paused", 20)
    assert told(report(job, 20, status="running")) == (True, "pause", "paused", 20)
    job_resume(job_id=job.pk, actor="ana")
    assert told(report(job, 21)) == (True, "continue", "running", 21)
    assert told(report(job, 22, status="paused")) == (True, "pause", "paused", 22)


def test_a_cancelled_worker_confirms_by_its_next_report():
    job = job_start(wish=wish())
    job_cancel(job_id=job.pk, actor="ana")
    assert JobWork.objects.get().stop_confirmed_at is None
    assert told(report(job, 20)) == (False, "stop", "failed", 0)
    confirmed = JobWork.objects.get().stop_confirmed_at
    assert confirmed is not None
    report(job, 21)
    assert JobWork.objects.get().stop_confirmed_at == confirmed
    assert JobEvent.objects.filter(kind="stopped").count() == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"block": 100}, "current_block"), ({"block": -1, "status": "completed"}, "current_block"),
        ({"block": 5, "failed_blocks": [4, 100]}, "failed_blocks"),
    ],
)  # fmt: skip
def test_a_report_about_other_blocks_is_refused_and_changes_nothing(values, field):
    job = job_start(wish=wish())
    with pytest.raises(BadReport) as refused:
        report(job, **values)
    assert refused.value.field == field
    job.refresh_from_db()
    assert (job.status, job.current_block) == ("running", 0)


def test_what_does_not_exist_is_said():
    for call in (
        lambda: job_pause(job_id=uuid.uuid4(), actor="ana"),
        lambda: job_resume(job_id=uuid.uuid4(), actor="ana"),
        lambda: job_retry(job_id=uuid.uuid4(), actor="ana", created_by="ana"),
        lambda: job_progress(job_id=uuid.uuid4(), report=Report(1), actor="w"),
        lambda: job_progress(job_id=uuid.uuid4(), report=Report(1, failed_blocks=[1]), actor="w"),
    ):
        with pytest.raises(JobNotFound, match="There is no job"):
            call()


def test_what_a_state_forbids_is_said():
    job = sql_job(status="completed")
    with pytest.raises(WrongState, match="The job is completed: it cannot be paused"):
        job_pause(job_id=job.pk, actor="ana")
    with pytest.raises(WrongState, match="The job is running: it cannot be retried"):
        job_retry(job_id=sql_job(200, 299).pk, actor="ana", created_by="ana")


def test_a_resume_is_refused_where_another_job_took_the_blocks():
    job = job_start(wish=wish())
    job_pause(job_id=job.pk, actor="ana")
    other = job_start(wish=wish(50, 60), allow_overlap=True)
    with pytest.raises(Overlap) as refused:
        job_resume(job_id=job.pk, actor="ana")
    assert refused.value.jobs == [other] and BackfillJob.objects.get(pk=job.pk).status == "paused"
    assert job_resume(job_id=job.pk, actor="ana", allow_overlap=True).status == "running"


def test_a_resumed_job_whose_worker_is_gone_waits_for_another():
    claim = job_begin(wish=wish(), holder="w")
    job_pause(job_id=claim.job.pk, actor="ana")
    lease_ran_out(claim.job)
    job_resume(job_id=claim.job.pk, actor="ana")
    assert JobWork.objects.get().waits


def test_a_retry_is_a_waiting_job_for_the_blocks_that_nobody_did():
    job = job_start(wish=wish())
    report(job, 60, failed_blocks=[10, 70])
    report(job, 60, status="failed", error="node refused")
    sql_job(90, 99, status="completed")
    made = job_retry(job_id=job.pk, actor="ana", created_by="ana")
    assert (made.start_block, made.end_block, made.current_block, made.status) == (10, 89, 10, "running")
    work = JobWork.objects.get(pk=made.pk)
    assert work.waits and work.retry_of == job.pk
    with pytest.raises(Overlap):
        job_retry(job_id=job.pk, actor="ana", created_by="ana")
    report(made, 89, status="completed")
    with pytest.raises(NothingMissing):
        job_retry(job_id=job.pk, actor="ana", created_by="ana")


def test_only_the_missing_pieces_of_a_range_are_started():
    sql_job(0, 9, status="completed")
    sql_job(20, 29, 25)
    sql_job(40, 49, 45, status="failed")
    made = job_start_missing(wish=wish(5, 60, waits=True))
    assert [(job.start_block, job.end_block) for job in made] == [(10, 19), (30, 39), (45, 60)]
    assert JobWork.objects.filter(pk__in=[job.pk for job in made], waits=True).count() == 3
    with pytest.raises(NothingMissing):
        job_start_missing(wish=wish(5, 60))


def test_a_report_costs_one_statement(django_assert_num_queries):
    job = job_start(wish=wish())
    with django_assert_num_queries(1):
        report(job, 5)


def test_blocks_that_archived_jobs_did_are_in_the_way_too_unless_allowed():
    sql_job(0, 99, status="completed")
    BackfillJob.objects.all().delete()
    told = "50 blocks of the range were done by jobs that are archived by now: 50–99."
    with pytest.raises(Overlap, match=re.escape(told)) as it:
        job_start(wish=wish(50, 149))
    assert it.value.jobs == [] and not BackfillJob.objects.exists()
    job_start(wish=wish(50, 149, job_type="transactions"))
    started = job_start(wish=wish(50, 149), allow_overlap=True)
    # A resume looks at jobs alone: what was archived was known at the start.
    job_pause(job_id=started.pk, actor="ana")
    assert job_resume(job_id=started.pk, actor="ana").status == "running"
