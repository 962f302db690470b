"""Celery's doors to `monitoring`."""

from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from utxoiq_admin.monitoring import measurements


@shared_task(name="monitoring.measure", expires=50)
def measure() -> None:
    """Each minute: what this machine and its servers do."""
    measurements.measure()


@worker_ready.connect
def measure_at_start(**_signal: Any) -> None:
    """The first point stands at once: beat sends its first message only a minute after it started."""
    measure.delay()
