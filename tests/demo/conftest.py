"""A small demo: few series, few insights, the rest as it ships."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from utxoiq_admin.demo import loading, storage
from utxoiq_admin.demo.curves import SERIES
from utxoiq_admin.demo.models import DemoState

NOW = datetime.now(UTC).replace(hour=14, minute=7, second=33, microsecond=0)
ANCHOR = NOW.replace(second=0)
SHOWN = {"web-api-7d9f6b-x2k4q", "feature-engine-0", "utxoiq-ingestion-0", "legacy-indexer-1"}
FEW = [s for s in SERIES if s.metric_type == "latency" and s.instance in SHOWN]


@pytest.fixture(autouse=True)
def small_and_embedded(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EMBEDDED_DATABASE = True
    settings.STACK = {"database_url": "that of this test run"}
    monkeypatch.setattr(storage, "SERIES", FEW)
    monkeypatch.setattr(loading, "INSIGHTS_SLICE", 25)


@pytest.fixture
def load() -> Callable[..., DemoState]:
    def run(**changes: Any) -> DemoState:
        return loading.load_demo(**{"days": 4, "seed": 7, "now": NOW, "count": 60, **changes})

    return run


def rows(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def one(sql: str, *parameters: Any) -> Any:
    return rows(sql, *parameters)[0][0]


TABLES = {
    "system_metrics": "metric_metadata @> '{\"demo\": true}'",
    "insight_feedback": "user_id LIKE 'demo-%'",
    "insight_texts": "is_demo",
    "backfill_jobs": "created_by = 'demo'",
}


def counts() -> dict[str, int]:
    return {table: one(f"SELECT count(*) FROM {table}") for table in TABLES}


def digest() -> str:
    """Every column of every row of the four tables."""
    whole = hashlib.sha256()
    for table in TABLES:
        for (line,) in rows(f"SELECT t::text FROM {table} t ORDER BY 1"):
            whole.update(line.encode())
    return whole.hexdigest()
