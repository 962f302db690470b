"""The endpoints of the workers and of those who steer jobs, over HTTP."""

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from backfill.models import BackfillJob, JobEvent, JobWork
from tests.accounts.access import bearer, token
from tests.backfill.conftest import sql, sql_job

pytestmark = pytest.mark.django_db
BASE = "/api/v1/monitoring/backfill/"
RANGE = {"job_type": "blocks", "start_block": 0, "end_block": 99}


class Service:
    """A caller with a token for everything about jobs."""

    def __init__(self, client):
        self.client = client
        self.headers = bearer(token("backfill:write", "backfill:read", name="data-ingestion")[1])

    def post(self, path, body=None):
        data = json.dumps(body) if body is not None else ""
        return self.client.post(BASE + path, data, content_type="application/json", headers=self.headers)

    def get(self, path):
        return self.client.get(BASE + path, headers=self.headers)

    def start(self, **changes):
        return self.post("start", RANGE | changes)

    def progress(self, job, block=None, **body):
        body |= {} if block is None else {"current_block": block}
        return self.post(f"progress?job_id={job['id']}", body)


@pytest.fixture
def service(client):
    return Service(client)


def faults(answer):
    return answer.status_code, [(each["where"], each["what"]) for each in answer.json()["errors"]]


def test_a_started_job_runs_and_is_leased_to_its_starter(service):
    answer = service.start(created_by="nightly")
    job = answer.json()
    assert answer.status_code == 201
    assert (job["status"], job["current_block"], job["created_by"], job["missing"]) == (
        "running", 0, "nightly", [[0, 99]],
    )  # fmt: skip
    assert JobWork.objects.get().holder == "data-ingestion" and job["lease"] == str(
        JobWork.objects.get().lease
    )
    assert service.start(job_type="transactions").json()["created_by"] == "data-ingestion"


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"end_block": -1}, "body.end_block", "greater_than_equal"),
        ({"start_block": 100}, "body.end_block", "range"),
        ({"end_block": 2**31}, "body.end_block", "less_than_equal"),
        ({"start_block": True}, "body.start_block", "int_type"),
        ({"start_block": "1"}, "body.start_block", "int_type"),
        ({"job_type": ""}, "body.job_type", "string_too_short"),
        ({"job_type": "a\0"}, "body.job_type", "value_error"),
        ({"jobtype": "x"}, "body.jobtype", "extra_forbidden"),
    ],
)
def test_a_bad_start_is_refused_and_changes_nothing(service, changes, where, what):
    assert faults(service.start(**changes)) == (422, [(where, what)])
    assert BackfillJob.objects.count() == 0


def test_an_overlap_is_answered_with_the_jobs_in_the_way(service):
    first = service.start().json()
    answer = service.start(start_block=50, end_block=149)
    assert faults(answer) == (409, [("body", "overlap")])
    assert [job["id"] for job in answer.json()["jobs"]] == [first["id"]]
    assert service.start(start_block=50, end_block=149, allow_overlap=True).status_code == 201


def test_claims_go_from_the_oldest_until_there_is_none(service):
    sql("SELECT set_config('utxoiq.act', 'start', true)")
    waiting = sql_job(0, 99)
    assert service.post("claim?job_type=transactions").status_code == 204
    job = service.post("claim?job_type=blocks&worker=host-1").json()
    assert (job["id"], JobWork.objects.get().holder) == (str(waiting.pk), "host-1")
    assert service.post("claim").status_code == 204
    assert service.post("claim").content == b""


def test_progress_answers_what_to_do(service):
    job = service.start().json()
    answer = service.progress(job, 50, progress_percentage=99, lease=job["lease"]).json()
    assert answer == {
        "id": job["id"], "status": "running", "current_block": 50, "progress_percentage": 50.0, "applied": True,
        "command": "continue",
    }  # fmt: skip
    assert service.progress(job, 49).json()["applied"] is False
    assert (
        service.post(f"{job['id']}/pause", {"by": "ana", "reason": "disk full"}).json()["status"] == "paused"
    )
    assert service.progress(job, 51).json()["command"] == "pause"
    assert service.post(f"{job['id']}/resume").json()["status"] == "running"
    assert service.progress(job, status="completed").json() | {"command": "stop"} == {
        "id": job["id"], "status": "completed", "current_block": 99, "progress_percentage": 100.0, "applied": True,
        "command": "stop",
    }  # fmt: skip
    assert JobEvent.objects.get(kind="paused").actor == "ana"
    assert JobEvent.objects.get(kind="paused").detail == "disk full"


@pytest.mark.parametrize(
    ("body", "where", "what"),
    [
        ({}, "body", "value_error"),
        ({"status": "running"}, "body", "value_error"),
        ({"current_block": 100}, "body.current_block", "range"),
        ({"current_block": 1.5}, "body.current_block", "int_type"),
        ({"current_block": 5, "failed_blocks": [200]}, "body.failed_blocks", "range"),
        ({"current_block": 5, "status": "cancelled"}, "body.status", "literal_error"),
        ({"current_block": 5, "failed_blocks": list(range(10_001))}, "body.failed_blocks", "too_long"),
    ],
)
def test_a_bad_report_is_refused_and_changes_nothing(service, body, where, what):
    job = service.start().json()
    before = BackfillJob.objects.values().get()
    assert faults(service.progress(job, **body)) == (422, [(where, what)])
    assert BackfillJob.objects.values().get() == before
    assert service.get(job["id"]).json()["failed_blocks"] == []


def test_a_job_that_is_not_there(service):
    nowhere = {"id": str(uuid.uuid4())}
    assert faults(service.progress(nowhere, 5)) == (404, [("query.job_id", "not_found")])
    assert faults(service.get(nowhere["id"])) == (404, [("path.job_id", "not_found")])
    for verb in ("pause", "resume", "cancel", "retry"):
        assert faults(service.post(f"{nowhere['id']}/{verb}")) == (404, [("path.job_id", "not_found")])
    assert service.get("no-id").status_code == 422


def test_what_a_state_forbids_is_a_conflict(service):
    job = service.start().json()
    assert faults(service.post(f"{job['id']}/resume")) == (409, [("path.job_id", "state")])
    assert faults(service.post(f"{job['id']}/retry")) == (409, [("path.job_id", "state")])
    service.progress(job, status="completed")
    for verb in ("pause", "resume", "cancel"):
        assert faults(service.post(f"{job['id']}/{verb}")) == (409, [("path.job_id", "state")])
    assert faults(service.post(f"{job['id']}/retry")) == (409, [("path.job_id", "nothing_missing")])


def test_cancel_and_retry(service):
    job = service.start().json()
    service.progress(job, 40, failed_blocks=[3])
    assert service.post(f"{job['id']}/cancel", {"reason": "wrong node"}).json()["error_message"] == (
        "Cancelled by data-ingestion: wrong node"
    )
    assert service.progress(job, 41).json()["command"] == "stop"
    retried = service.post(f"{job['id']}/retry")
    made = retried.json()
    assert retried.status_code == 201
    assert (made["start_block"], made["end_block"], made["status"]) == (3, 99, "running")
    assert service.post("claim").json()["missing"] == [[3, 3], [40, 99]]
    again = service.post(f"{job['id']}/retry")
    assert again.status_code == 409 and [each["id"] for each in again.json()["jobs"]] == [made["id"]]


def test_one_job_as_it_stands(service):
    job = service.start().json()
    service.progress(job, 10, failed_blocks=[3, 4])
    shown = service.get(job["id"]).json()
    assert (shown["state"], shown["holder"], shown["failed_blocks"], shown["current_block"]) == (
        "running", "data-ingestion", [[3, 4]], 10,
    )  # fmt: skip
    assert shown["last_report"] is not None and shown["usual_interval"] is None


def test_jobs_are_listed_by_filter_and_cursor(service):
    now = timezone.now()
    for n in range(5):
        sql_job(n * 10, n * 10 + 9, started_at=now - timedelta(hours=n), created_by="a" if n % 2 else "b")
    sql_job(0, 9, job_type="transactions", status="failed", started_at=now)
    answer = service.get("status?job_type=blocks&limit=3").json()
    assert [job["start_block"] for job in answer["jobs"]] == [0, 10, 20]
    rest = service.get(f"status?job_type=blocks&limit=3&cursor={answer['next']}").json()
    assert ([job["start_block"] for job in rest["jobs"]], rest["next"]) == ([30, 40], None)
    assert [job["job_type"] for job in service.get("status?status=failed").json()["jobs"]] == ["transactions"]
    assert len(service.get("status?created_by=a").json()["jobs"]) == 2
    assert faults(service.get("status?cursor=no")) == (422, [("query.cursor", "cursor")])
    assert service.get("status?status=cancelled").status_code == 422


def test_a_report_over_http_costs_three_statements(service, django_assert_num_queries):
    """The token, its last use, and the report."""
    job = service.start().json()
    service.progress(job, 1)
    with django_assert_num_queries(2):
        service.progress(job, 2)


def test_nothing_says_a_hundred_percent_of_a_job_that_is_not_completed(service):
    job = service.start(start_block=0, end_block=99_999).json()
    answer = service.progress(job, 99_999).json()
    assert (answer["status"], answer["progress_percentage"]) == ("running", 99.99)
    sql("UPDATE backfill_jobs SET current_block = 100000, progress_percentage = 100 WHERE id = %s", job["id"])
    assert service.get(job["id"]).json()["progress_percentage"] == 99.99
    assert service.get("status").json()["jobs"][0]["progress_percentage"] == 99.99
