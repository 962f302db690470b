"""What the charts' page is told about a range: jobs as marks, gaps with their cause, by permission, within limits."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from backfill.models import BackfillJob
from metrics.models import SystemMetric
from tests.accounts.access import signed_in
from utxoiq_admin.core.models import Heartbeat, HeartbeatGap
from utxoiq_admin.retention.models import Archive, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    return timezone.now().replace(microsecond=0)


def ask(client, start, end, *services, **more):
    query = {"start": start.isoformat(), "end": end.isoformat(), "service": services, **more}
    return client.get(f"/charts/annotations/?{urlencode(query, doseq=True)}")


def job(**changes):
    values = {"job_type": "blocks", "start_block": 1, "end_block": 9, "current_block": 9, "status": "running"}
    return BackfillJob.objects.create(**values | changes)


def report(moments, service="web-api"):
    SystemMetric.objects.bulk_create(
        SystemMetric(
            service_name=service, metric_type="cpu", metric_value=1, unit="percent", timestamp=moment
        )
        for moment in moments
    )


def test_a_job_is_marked_where_it_started_finished_and_failed(now):
    minute = timedelta(minutes=1)
    done = job(status="completed", started_at=now - 50 * minute, completed_at=now - 20 * minute)
    job(
        status="failed", started_at=now - 90 * minute, completed_at=now - 10 * minute,
        error_message="node refused\nstack",
    )  # fmt: skip
    job(status="failed", started_at=now - 40 * minute, completed_at=now - 30 * minute, error_message="  ")
    job(started_at=now - 5 * minute)
    job(status="completed", started_at=now - 200 * minute, completed_at=now - 61 * minute)
    answer = ask(signed_in("staff"), now - 60 * minute, now).json()
    assert [
        ((now - timezone.datetime.fromisoformat(m["at"])) / minute, m["kind"], m["level"]) for m in answer["marks"]
    ] == [
        (50, "job_started", "info"), (40, "job_started", "info"), (30, "job_failed", "bad"),
        (20, "job_finished", "ok"), (10, "job_failed", "bad"), (5, "job_started", "info"),
    ]  # fmt: skip
    assert answer["marks"][0]["url"] == f"/jobs/{done.pk}/"
    assert [m["label"] for m in answer["marks"][2:5]] == [
        "job blocks 1–9 failed: no reason given", "job blocks 1–9 finished", "job blocks 1–9 failed: node refused",
    ]  # fmt: skip
    assert answer["older_marks_left_out"] is False and answer["gaps"] == []


def test_who_may_see_metrics_but_no_jobs_gets_no_job(now):
    job(started_at=now - timedelta(minutes=5))
    user = User.objects.create_user("curious")
    user.user_permissions.add(Permission.objects.get(codename="view_systemmetric"))
    client = Client()
    client.force_login(user)
    assert ask(client, now - timedelta(hours=1), now).json()["marks"] == []


def test_a_gap_says_whether_the_service_or_this_application_was_away(now):
    minutes = [now - timedelta(minutes=n) for n in range(180, 0, -1)]
    report([m for n, m in enumerate(minutes) if not (20 <= n < 61 or 100 <= n < 130)])
    for name in ("worker", "beat", "listener"):
        Heartbeat.objects.create(name=name, at=now)
        HeartbeatGap.objects.create(name=name, heard_until=minutes[100], heard_again=minutes[129])
    answer = ask(signed_in("staff"), now - timedelta(hours=3), now, "web-api").json()
    assert answer["gaps"] == [
        {
            "service": "web-api", "start": minutes[19].isoformat(), "end": minutes[61].isoformat(),
            "cause": "silent", "text": "web-api was silent for 42 min", "url": "",
        },
        {
            "service": "web-api", "start": minutes[99].isoformat(), "end": minutes[130].isoformat(),
            "cause": "not_ingesting", "url": "",
            "text": "this application, or its database, was not running: nothing was taken in",
        },
    ]  # fmt: skip


def test_what_retention_did_is_marked_and_what_it_took_away_explains_a_gap(now):
    minute = timedelta(minutes=1)
    minutes = [now - n * minute for n in range(180, 0, -1)]
    report([m for n, m in enumerate(minutes) if not 20 <= n < 100])
    for state, ago in (("succeeded", 30), ("failed", 20), ("stopped", 10), ("skipped", 5)):
        Run.objects.create(
            state=state, open=None, trigger="schedule", requested_by="beat", tables=["system_metrics"],
            started_at=now - (ago + 1) * minute, finished_at=now - ago * minute,
        )  # fmt: skip
    for table, state, first, last in (
        ("system_metrics", "archived", 20, 59),
        ("system_metrics", "verified", 60, 99),
        ("backfill_jobs", "archived", 60, 99),
    ):  # fmt: skip
        Archive.objects.create(
            table=table, key=f"{table}/{state}", state=state, first_at=minutes[first], last_at=minutes[last], rows=1,
            bytes=1, checksum="0" * 32, verified_at=now,
        )  # fmt: skip
    answer = ask(signed_in("staff"), now - timedelta(hours=3), now, "web-api").json()
    assert [(mark["label"], mark["level"]) for mark in answer["marks"]] == [
        ("retention succeeded", "ok"), ("retention failed", "bad"), ("retention stopped", "warn"),
    ]  # fmt: skip
    assert answer["gaps"][0]["url"].startswith("/archives/?table=system_metrics&from=20")
    assert [(gap["start"], gap["end"], gap["cause"], gap["text"]) for gap in answer["gaps"]] == [
        (
            minutes[19].isoformat(),
            minutes[59].isoformat(),
            "archived",
            "rows of this time are in the archive",
        ),
        (
            minutes[59].isoformat(),
            minutes[100].isoformat(),
            "silent",
            "web-api was silent for 41 min",
        ),
    ]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("start=2026-11-01&end=2026-11-24&step=60", "A range may have at most 2,000 buckets."),
        ("start=2026-11-23&end=2026-11-24&step=61", "“61” is no width of buckets."),
        ("", "“” is no time: write it like 2026-11-24T14:00Z."),
        ("start=yesterday&end=2026-11-24", "“yesterday” is no time: write it like 2026-11-24T14:00Z."),
        ("start=2026-11-24&end=2026-11-24", "The range ends before it starts."),
        ("start=2020-11-24&end=2026-11-24", "A range may have at most 800 days."),
        ("start=2026-11-23&end=2026-11-24&x=" + "&service=s".join(map(str, range(22))), "Name at most 20 services."),
        ("start=2026-11-23&end=2026-11-24&service=a%00", "No service has such a name."),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_with_the_reason(query, why):
    response = signed_in("staff").get(f"/charts/annotations/?{query}")
    assert (response.status_code, response.json()) == (422, {"error": why})


def test_the_cost_does_not_grow_with_jobs(now, django_assert_max_num_queries):
    BackfillJob.objects.bulk_create(
        BackfillJob(
            job_type="blocks", start_block=1, end_block=9, current_block=9, status="completed",
            started_at=now - timedelta(minutes=n), completed_at=now - timedelta(minutes=n - 1),
        )
        for n in range(1, 400)
    )  # fmt: skip
    client = signed_in("staff")
    with django_assert_max_num_queries(11):
        answer = ask(client, now - timedelta(days=1), now, "web-api").json()
    assert (len(answer["marks"]), answer["older_marks_left_out"]) == (200, True)
