"""Each example query of the platform's description runs on our tables, word for word, and answers rightly."""

import re
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from backfill.models import BackfillJob
from feedback.models import InsightFeedback
from metrics.models import SystemMetric
from metrics.partitions import ensure_months

pytestmark = pytest.mark.django_db

TEXT = (Path(__file__).parent / "example_queries.sql").read_text()
QUERIES = {
    title.strip(): sql.strip()
    for title, sql in re.findall(r"^-- (.+?)\n(.+?;)\n", TEXT, flags=re.DOTALL | re.MULTILINE)
}
JOB = uuid.UUID("01900000-0000-7000-8000-000000000001")


def answers(title: str) -> list[dict]:
    # The one placeholder that no uuid column can be compared with.
    sql = QUERIES[title].replace("job-uuid-here", str(JOB))
    with connection.cursor() as cursor:
        cursor.execute(sql)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture
def platform_rows():
    now = timezone.now()
    common = {"job_type": "blocks", "start_block": 1, "end_block": 100, "current_block": 41}
    BackfillJob.objects.create(id=JOB, status="running", progress_percentage=40, started_at=now, **common)
    BackfillJob.objects.create(status="failed", started_at=now - timedelta(hours=2), **common)
    BackfillJob.objects.create(status="failed", started_at=now - timedelta(hours=30), **common)
    for n, (rating, comment, flag) in enumerate(
        [(5, "good", None), (4, None, "spam"), (None, "hm", "inaccurate"), (4, None, "spam")]
    ):
        InsightFeedback.objects.create(
            insight_id="insight-123", user_id=f"u{n}", rating=rating, comment=comment, flag_type=flag,
            created_at=now - timedelta(minutes=n),
        )  # fmt: skip
    for minutes, value in [(1, 90.0), (2, 80.0), (70, 10.0)]:
        for kind in ("cpu", "latency"):
            SystemMetric.objects.create(
                service_name="web-api", metric_type=kind, metric_value=value, unit="percent",
                timestamp=now - timedelta(minutes=minutes),
            )  # fmt: skip
    return now


def test_the_file_holds_every_example():
    assert len(QUERIES) == 13


@pytest.mark.parametrize("title", QUERIES)
def test_it_runs(title, platform_rows):
    answers(title)


def test_jobs(platform_rows):
    assert [row["id"] for row in answers("Get all running backfill jobs")] == [JOB]
    assert answers("Get job progress")[0]["progress_percentage"] == 40
    failed = answers("Get failed jobs in last 24 hours")
    assert [row["status"] for row in failed] == ["failed"]


def test_feedback(platform_rows):
    stats = answers("Get feedback statistics for an insight")
    assert [
        (r["total_ratings"], float(r["average_rating"]), r["total_comments"], r["total_flags"]) for r in stats
    ] == [(3, pytest.approx(13 / 3), 2, 3)]
    assert [(r["rating"], r["count"]) for r in answers("Get rating distribution")] == [(4, 2), (5, 1)]
    assert [r["comment"] for r in answers("Get recent comments")] == ["good", "hm"]
    assert answers("Get flagged insights") == [
        {"insight_id": "insight-123", "flag_count": 3, "flag_types": ["inaccurate", "spam"]}
    ]


def test_metrics(platform_rows):
    assert [r["metric_value"] for r in answers("Get recent CPU metrics for a service")] == [90.0, 80.0]
    hours = answers("Aggregate metrics by hour")
    assert (min(r["min_value"] for r in hours), max(r["max_value"] for r in hours)) == (10.0, 90.0)
    assert [(r["service_name"], r["avg_cpu"]) for r in answers("Find services with high CPU usage")] == [
        ("web-api", 85.0)
    ]


def test_a_point_in_time(platform_rows):
    moment = timezone.datetime(2024, 1, 15, 14, 2, tzinfo=timezone.get_default_timezone())
    ensure_months([moment.date()])
    SystemMetric.objects.create(
        service_name="feature-engine", metric_type="cpu", metric_value=7, unit="percent", timestamp=moment,
        metric_metadata={"instance_id": "a"},
    )  # fmt: skip
    found = answers("Get all metrics for a service at a point in time")
    assert [(r["metric_type"], r["metric_value"]) for r in found] == [("cpu", 7.0)]
