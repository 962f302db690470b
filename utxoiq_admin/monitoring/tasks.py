"""Celery's doors to `monitoring`."""

from typing import Any

from celery.signals import worker_ready

from utxoiq_admin.core.task_runs import recorded
from utxoiq_admin.monitoring import measurements


@recorded("monitoring.measure", expires=50)
def measure() -> str:
    """Each minute: what this machine and its servers do."""
    return f"{measurements.measure()} rows"


@worker_ready.connect
def measure_at_start(**_signal: Any) -> None:
    """The first point stands at once: beat sends its first message only a minute after it started."""
    measure.delay()
