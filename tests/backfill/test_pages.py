"""The pages: what they say, what they change, and whom they refuse."""

import csv
import io
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from backfill import coverage
from backfill.models import BackfillJob, JobEvent, JobWork
from backfill.reports import Report, job_begin, job_progress
from backfill.services import job_cancel, job_start
from backfill.words import range_text, ranges_text, rate_text, time_left_text
from tests.accounts.access import person, signed_in
from tests.backfill.conftest import sql, sql_job, wish

pytestmark = pytest.mark.django_db


def page(path, kind="ops"):
    response = signed_in(kind).get(path)
    assert response.status_code == 200
    return response, re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def messages(response):
    return [str(each) for each in response.context["messages"]]


def test_an_empty_page_says_what_will_appear_and_how():
    _, text = page("/jobs/", "staff")
    assert "No jobs yet." in text and "POST /api/v1/monitoring/backfill/start" in text
    assert "No block is done yet." in page("/jobs/coverage/", "ops")[1]


def test_open_jobs_stand_above_ended_ones_the_worst_first():
    running, ended = sql_job(0, 99, 37, created_by="ana"), sql_job(200, 299, status="completed")
    silent = sql_job(100, 199)
    JobWork.objects.filter(pk=silent.pk).update(
        reported_at=timezone.now() - timedelta(minutes=14), changed_at=timezone.now() - timedelta(hours=1)
    )
    response, text = page("/jobs/")
    found = response.context["found"]
    assert [row.job for row in found.rows] == [silent, running] and [row.job for row in found.ended] == [
        ended
    ]
    assert found.open == {"silent": 1, "running": 1}
    assert "37 %" in text.replace("&nbsp;", " ") and "14 min ago" in text and "ana" in text


def test_filters_narrow_to_what_they_say():
    sql_job(0, 99)
    failed, cancelled = sql_job(100, 199, status="failed"), sql_job(200, 299)
    job_cancel(job_id=cancelled.pk, actor="ana")
    other = sql_job(0, 99, job_type="transactions", created_by="ben")

    client = signed_in("staff")
    expected = {
        "type=transactions": {other}, "state=failed": {failed}, "state=cancelled": {cancelled}, "q=ben": {other},
        f"q={failed.pk}": {failed}, "state=silent": set(),
    }  # fmt: skip
    for query, jobs in expected.items():
        found = client.get(f"/jobs/?{query}").context["found"]
        assert {row.job for row in (*found.rows, *found.ended)} == jobs, query


def test_a_failure_counts_by_when_it_failed_and_a_cancellation_is_none():
    old, late = timezone.now() - timedelta(days=3), timezone.now() - timedelta(hours=2)
    sql_job(0, 99, status="failed", started_at=old, completed_at=old)
    sql_job(100, 199, status="failed", started_at=old, completed_at=late)
    job_cancel(job_id=sql_job(200, 299).pk, actor="ana")
    assert page("/jobs/")[0].context["found"].failed == 1


def test_one_job_says_what_is_known_of_it():
    claim = job_begin(wish=wish(812_000, 820_000), holder="host-1")
    job_progress(job_id=claim.job.pk, report=Report(812_500, failed_blocks=[812_345]), actor="w")
    near = sql_job(700_000, 811_999, status="completed")
    response, text = page(f"/jobs/{claim.job.pk}/", "staff")
    assert "812,000–820,000" in text and "at block 812,500 · 500 of 8,001 blocks · 1 of them failed" in text
    assert "Failed blocks: 812,345" in text and "host-1" in text
    assert [row.job for row in response.context["neighbours"]] == [near]
    assert "Pause" not in text


def test_a_waiting_job_names_the_command_that_starts_a_worker():
    job = job_start(wish=wish(waits=True))
    assert "python examples/backfill_worker.py blocks" in page(f"/jobs/{job.pk}/")[1]


def test_a_job_that_is_gone_is_404():
    client = signed_in("staff")
    assert client.get("/jobs/01939f2e-5c00-7000-8000-000000000002/").status_code == 404
    assert client.get("/jobs/explode/").status_code in (403, 404)
    assert client.get("/jobs/?after=no").status_code == 404


def test_the_chart_leaves_out_what_was_no_work():
    job = sql_job(0, 999)
    sql("DELETE FROM backfill_samples")
    now = timezone.now().replace(microsecond=0)
    for seconds, block, begins in ((0, 0, True), (10, 100, False), (3600, 100, True), (3620, 500, False)):
        sql(
            "INSERT INTO backfill_samples VALUES (%s, %s, %s, %s)",
            job.pk,
            now + timedelta(seconds=seconds),
            block,
            begins,
        )
    body = signed_in("staff").get(f"/jobs/{job.pk}/data/").json()
    assert (body["rates"], body["blocks"]) == ([None, 10.0, None, 20.0], [0, 100, 100, 500])
    assert body["times"][-1] - body["times"][0] == 3620


def test_coverage_names_the_missing_and_offers_to_start_them(settings):
    settings.CHAIN_TIP_BLOCK = 999
    sql_job(0, 499, status="completed")
    coverage.note_failed(BackfillJob.objects.get().pk, [7])
    sql_job(600, 699, 650)
    BackfillJob.objects.filter(status="completed").delete()
    response, text = page("/jobs/coverage/")
    (one,) = response.context["types"]
    assert (one["done"], one["percent"], one["at_work"], one["failed"], one["missing"]) == (
        549,
        54.9,
        50,
        1,
        401,
    )
    assert [each["text"] for each in one["ranges"]] == ["700–999", "500–599", "7"]
    assert "/jobs/start/?type=blocks&amp;first=500&amp;last=599" in response.content.decode()
    assert "the chain tip" in text


def test_a_start_is_previewed_and_then_done_with_who_and_why():
    sql_job(0, 49, status="completed")
    client = signed_in("ops")
    shown = client.get("/jobs/start/?type=blocks&first=20&last=119&why=gap")
    preview = shown.context["preview"]
    assert (preview["blocks"], preview["missing"], preview["pieces_text"]) == (100, 70, "50–119")
    assert len(preview["overlaps"]) == 1
    values = {"type": "blocks", "first": 20, "last": 119, "why": "gap"}
    refused = client.post("/jobs/start/", {**values, "mode": "whole"}, follow=True)
    assert messages(refused)[0].startswith("Nothing was started. The range overlaps 1 running")
    done = client.post("/jobs/start/", {**values, "mode": "missing"}, follow=True)
    made = BackfillJob.objects.get(start_block=50)
    assert (made.end_block, made.created_by, JobWork.objects.get(pk=made.pk).waits) == (119, "ops", True)
    assert done.redirect_chain[-1][0] == f"/jobs/{made.pk}/"
    event = JobEvent.objects.get(job_id=made.pk)
    assert (event.kind, event.actor, event.detail) == ("started", "ops", "gap")
    client.post("/jobs/start/", {**values, "mode": "overlap"})
    assert BackfillJob.objects.filter(start_block=20, end_block=119).exists()


@pytest.mark.parametrize(
    "bad",
    [{"first": "9", "last": "5"}, {"first": "-1"}, {"last": str(2**31)}, {"type": ""}, {"type": "x" * 51}],
)
def test_a_range_that_is_none_starts_nothing(bad):
    client = signed_in("ops")
    values = {"type": "blocks", "first": "0", "last": "9"} | bad
    assert client.get("/jobs/start/", values).context["preview"] is None
    answer = client.post("/jobs/start/", {**values, "mode": "whole"}, follow=True)
    assert messages(answer)[0].startswith("Nothing was started") and BackfillJob.objects.count() == 0


def test_chosen_jobs_are_asked_about_and_then_changed_each_for_itself():
    jobs = [sql_job(n * 100, n * 100 + 99) for n in range(3)]
    ended = sql_job(900, 999, status="completed")
    ids = [str(job.pk) for job in (*jobs[:2], ended)]
    client = signed_in("ops")
    asked = client.get("/jobs/pause/", {"job": ids})
    assert (
        "Pause 3 jobs?" in asked.content.decode() and BackfillJob.objects.filter(status="paused").count() == 0
    )
    done = client.post("/jobs/pause/", {"job": ids, "why": "disk full"}, follow=True)
    assert sorted(BackfillJob.objects.values_list("status", flat=True)) == [
        "completed",
        "paused",
        "paused",
        "running",
    ]
    assert sum("is paused." in each for each in messages(done)) == 2
    assert sum("was not paused: The job is completed" in each for each in messages(done)) == 1
    assert set(JobEvent.objects.filter(kind="paused").values_list("actor", "detail")) == {
        ("ops", "disk full")
    }


def test_cancel_says_whether_a_worker_still_has_to_stop():
    claim = job_begin(wish=wish(), holder="w")
    client = signed_in("ops")
    client.post("/jobs/cancel/", {"job": str(claim.job.pk), "why": "wrong node"})
    path = f"/jobs/{claim.job.pk}/"
    assert "it still has to stop" in client.get(path).content.decode()
    job_progress(job_id=claim.job.pk, report=Report(5, lease=claim.lease), actor="w")
    assert "has heard of it and stopped" in client.get(path).content.decode()
    retried = client.post("/jobs/retry/", {"job": str(claim.job.pk)}, follow=True)
    assert retried.context["job"].pk != claim.job.pk and retried.context["work"].retry_of == claim.job.pk


@pytest.mark.parametrize("kind", ["anonymous", "outsider", "staff", "moderators"])
def test_only_ops_change_jobs(kind):
    job = sql_job()
    client = signed_in(kind)
    for path in ("start", "pause", "resume", "cancel", "retry"):
        answer = client.post(
            f"/jobs/{path}/",
            {"job": str(job.pk), "type": "blocks", "first": 500, "last": 600, "mode": "whole"},
        )
        assert answer.status_code == (302 if kind == "anonymous" else 403)
    assert [each.status for each in BackfillJob.objects.all()] == ["running"]


def test_nothing_is_changed_without_a_token_of_the_form():
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person("ops"))
    job = sql_job()
    assert strict.post("/jobs/cancel/", {"job": str(job.pk)}).status_code == 403
    assert BackfillJob.objects.get().status == "running"


def test_the_list_costs_the_same_with_many_jobs(django_assert_max_num_queries):
    for n in range(60):
        sql_job(n * 10, n * 10 + 9, status="running" if n % 2 else "completed")
    client = signed_in("ops")
    with django_assert_max_num_queries(26):
        client.get("/jobs/?live=1")


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        ((540, 720), "9 to 12 min"), ((30, 50), "30 to 50 s"), ((80, 100), "1 to 2 min"), ((3600, 9000), "1 to 2.5 h"),
        ((500, 520), "8 to 9 min"), ((5400, 5401), "about 1.5 h"), (None, "–"), ((200_000, 300_000), "2.3 to 3.5 d"),
    ],
)  # fmt: skip
def test_a_time_left_reads_as_a_range(estimate, text):
    assert time_left_text(estimate) == text


def test_rates_and_ranges_read_short():
    rates = (None, 0.4512, 3.44, 41.3, 12_345)
    assert [rate_text(rate) for rate in rates] == ["–", "0.45/s", "3.4/s", "41/s", "12,345/s"]
    assert (range_text(812_000, 820_000), range_text(7, 7)) == ("812,000–820,000", "7")
    assert ranges_text([(n, n) for n in range(14)], limit=2) == "0, 1 and 12 more"


def test_the_list_is_exported_as_it_is_filtered():
    job = sql_job(0, 99, 50, created_by="=cmd()")
    sql_job(200, 299, status="completed")
    sql_job(300, 399, status="failed", error_message="no node", job_type="transactions")

    def exported(query=""):
        answer = signed_in("administrator" if query else "staff").get(f"/jobs/export.csv?{query}")
        return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    rows = exported()
    assert [(row["start_block"], row["state"], row["percent"]) for row in rows] == [
        ("0", "running", "50.0"), ("300", "failed", "0.0"), ("200", "completed", "100.0"),
    ]  # fmt: skip
    assert (rows[0]["id"], rows[0]["started_by"], rows[1]["error"]) == (str(job.pk), "'=cmd()", "no node")
    assert [row["start_block"] for row in exported("type=blocks&state=completed")] == ["200"]
