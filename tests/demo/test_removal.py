"""Exactly the demo rows go; real rows of the same services, insights and jobs stay."""

from datetime import timedelta
from typing import Any

import pytest

from backfill.models import BackfillJob
from feedback.models import InsightFeedback, InsightText
from metrics.models import SystemMetric
from tests.demo.conftest import ANCHOR, NOW, TABLES, counts, digest, one
from utxoiq_admin.demo import removal, storage
from utxoiq_admin.demo.models import DemoState, TakenOver


def real_rows(insight_id: str = "ins-1") -> None:
    for metadata in ({"instance_id": "web-api-7d9f6b-x2k4q"}, None, {"demo": False}, {"demo": "true"}):
        SystemMetric.objects.create(
            service_name="web-api",
            metric_type="latency",
            metric_value=1.0,
            unit="ms",
            timestamp=ANCHOR,
            metric_metadata=metadata,
        )
    for user in ("demonstrator", "u-demo-1", "demo"):
        InsightFeedback.objects.create(insight_id=insight_id, user_id=user, rating=4)
    InsightText.objects.create(insight_id="ins-1", headline="Real", summary="Real.", category="fees")
    for creator in (None, "demo2", "ops"):
        BackfillJob.objects.create(
            job_type="blocks",
            start_block=1,
            end_block=2,
            current_block=1,
            status="running",
            created_by=creator,
        )


@pytest.mark.django_db
def test_removes_the_demo_rows_and_no_others(load: Any) -> None:
    real_rows()
    before = digest()
    state = load()
    assert digest() != before
    assert removal.remove_demo() == state.rows
    assert digest() == before
    assert DemoState.objects.get().state == "absent"


@pytest.mark.django_db
def test_real_feedback_on_a_demo_insight_stays(load: Any) -> None:
    load()
    real_rows(one("SELECT min(insight_id) FROM insight_texts"))
    removal.remove_demo()
    assert counts() == {
        "system_metrics": 4,
        "insight_feedback": 3,
        "insight_texts": 1,
        "backfill_jobs": 3,
    }


@pytest.mark.django_db
def test_deletes_in_bounded_batches(load: Any, monkeypatch: Any) -> None:
    load()
    batches: list[int] = []
    real = storage.delete_some

    def count(*arguments: Any) -> int:
        batches.append(real(*arguments))
        return batches[-1]

    monkeypatch.setattr(storage, "DELETE_ROWS", 100)
    monkeypatch.setattr(storage, "delete_some", count)
    removal.remove_demo()
    assert max(batches) == 100 and batches.count(100) > 3
    assert counts() == dict.fromkeys(TABLES, 0)


@pytest.mark.django_db
def test_killed_and_run_again_it_removes_the_rest(load: Any, monkeypatch: Any) -> None:
    load()
    real, left = storage.delete_metrics, [3]

    def fails_later(*arguments: Any) -> int:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(storage, "delete_metrics", fails_later)
    with pytest.raises(KeyboardInterrupt):
        removal.remove_demo()
    assert DemoState.objects.get().state == "removing"
    removal.remove_demo()
    assert counts() == dict.fromkeys(TABLES, 0)


@pytest.mark.django_db
def test_a_removal_asked_for_stops_the_load_under_way(load: Any) -> None:
    def ask(state: DemoState) -> None:
        if state.phase == "feedback":
            removal.request_removal()

    with pytest.raises(TakenOver):
        load(report=ask)
    assert DemoState.objects.get().state == "removing"
    removal.remove_demo()
    assert counts() == dict.fromkeys(TABLES, 0)


@pytest.mark.django_db
def test_demo_rows_of_a_clock_that_was_ahead_go_too(load: Any) -> None:
    load(now=NOW + timedelta(days=40))
    removal.remove_demo()
    assert counts() == dict.fromkeys(TABLES, 0)


@pytest.mark.django_db
def test_asking_without_demo_data_changes_nothing() -> None:
    assert removal.request_removal() is False
    DemoState.objects.create(state="absent")
    assert removal.request_removal() is False
    assert DemoState.objects.get().state == "absent"
