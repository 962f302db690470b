"""The first page says the worst thing first, from live rows."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from backfill.models import BackfillJob, JobWork
from feedback.models import InsightFeedback, InsightText
from metrics.models import SystemMetric
from tests.accounts.access import signed_in
from utxoiq_admin.core.models import Heartbeat

pytestmark = pytest.mark.django_db


def job(**changes):
    values = {
        "job_type": "blocks", "start_block": 812000, "end_block": 820000, "current_block": 815000, "status": "running",
        "progress_percentage": 37, "started_at": timezone.now() - timedelta(hours=1),
    } | changes  # fmt: skip
    return BackfillJob.objects.create(**values)


@pytest.fixture
def alive():
    for name in ("worker", "beat", "listener", "metrics.refresh_rollups"):
        Heartbeat.objects.create(name=name, at=timezone.now() - timedelta(seconds=8))


def home(kind="staff", path="/"):
    response = signed_in(kind).get(path)
    return response, re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_with_nothing_wrong_all_is_well(alive):
    response, text = home()
    assert response.context["problems"] == []
    assert "All is well" in text
    assert "worker 8 s · " not in text and "worker 8 s" in text and "partitions to" in text
    assert [name for name in ("alerts", "backup") if name in text] == [
        "alerts",
        "backup",
    ]


def test_a_worker_never_heard_is_unknown_and_one_lost_is_broken():
    Heartbeat.objects.create(name="worker", at=timezone.now() - timedelta(minutes=5))
    response, text = home()
    assert [(c.name, c.level.name) for c in response.context["problems"]] == [
        ("worker", "BROKEN"), ("beat", "UNKNOWN"), ("listener", "UNKNOWN"),
    ]  # fmt: skip
    assert "3 problems" in text and "worker was last heard 5 min ago" in text


def test_the_worst_comes_first_and_the_longest_standing_of_equals(alive):
    now = timezone.now()
    job(status="failed", error_message="node refused\nstack", completed_at=now - timedelta(hours=3))
    silent = job()
    JobWork.objects.filter(pk=silent.pk).update(
        reported_at=now - timedelta(minutes=14), changed_at=now - timedelta(hours=1)
    )
    SystemMetric.objects.create(
        service_name="feature-engine", metric_type="cpu", metric_value=83, unit="percent",
        timestamp=now - timedelta(minutes=42),
    )  # fmt: skip
    response, text = home()
    assert [c.name for c in response.context["problems"]] == ["job failed", "service silent", "job silent"]
    assert "job blocks 812,000–820,000 failed: node refused" in text and "stack" not in text
    assert "feature-engine: no reports since" in text and "42 min ago" in text
    assert "job blocks 812,000–820,000: nothing heard for 14 min, at 37 %" in text


def test_a_failure_without_words_takes_no_page_down(alive):
    job(status="failed", error_message=" \n", completed_at=timezone.now())
    job(status="failed", error_message="\n\n node refused\nstack", completed_at=timezone.now())
    text = home()[1]
    assert "failed: no reason given" in text and "failed: node refused" in text and "stack" not in text


def test_a_failure_of_yesterday_morning_is_no_problem_of_today(alive):
    old = timezone.now() - timedelta(hours=30)
    job(status="failed", started_at=old, completed_at=old)
    assert home()[0].context["problems"] == []


def test_flagged_insights_show_their_headline_and_how_many_wait(alive):
    InsightText.objects.create(
        insight_id="i1", headline="Fees spike to 50 sat/vB", summary="…", category="fees"
    )
    for n in range(3):
        InsightFeedback.objects.create(insight_id="i1", user_id=f"u{n}", flag_type="spam")
    for n in range(2):
        InsightFeedback.objects.create(insight_id="i2", user_id=f"u{n}", flag_type="spam")
    response, text = home("moderators")
    assert (response.context["review"].count, len(response.context["review"].first)) == (1, 1)
    assert "1 waiting, oldest" in text
    assert "Fees spike to 50 sat/vB" in text and "3 flags" in text


def test_the_live_part_is_the_page_without_its_frame(alive):
    response, text = home(path="/?live=1")
    assert "<html" not in response.content.decode() and "All is well" in text


def test_the_page_costs_a_bounded_number_of_queries(alive, django_assert_max_num_queries):
    for n in range(30):
        job(status="failed", completed_at=timezone.now() - timedelta(minutes=n))
    client = signed_in("staff")
    with django_assert_max_num_queries(34):
        client.get("/")


def test_a_value_of_any_size_takes_no_page_down(alive):
    for value in (1.7e308, 1.7e308, -1e200):
        SystemMetric.objects.create(
            service_name="web-api",
            metric_type="cpu",
            metric_value=value,
            unit="percent",
            timestamp=timezone.now(),
        )
    response, text = home()
    assert response.status_code == 200
    assert "6.67e+299 %" in text
