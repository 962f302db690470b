"""What this machine and its servers do, as rows of `system_metrics`: one batch a minute.

The row of a series and minute has one name: its id is made of service, type, instance and minute, and its
timestamp is the start of the minute, so that a second run in the same minute comes to the same key (id, timestamp)
and the table itself refuses the twin. What cannot be read is a gap, never a zero.
"""

import logging
import socket
import time
import uuid
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from metrics.models import SystemMetric
from utxoiq_admin.monitoring.models import Reading
from utxoiq_admin.monitoring.sources import SOURCES, Sample, Value

logger = logging.getLogger(__name__)

# Older readings are no neighbour: their average would be drawn as if it were this minute's.
LONGEST_STEP = 300.0
# Without a usable reading (first start, long pause) the task makes its own, this far apart.
FIRST_STEP = 0.5
_NAMESPACE = uuid.UUID("6f1f62a5-4c0e-5d0b-9a39-0d7c5b0f1d9e")


def measure(*, now: datetime | None = None) -> int:
    """Write this minute's rows; return how many. Nothing is written twice, by whomever it is called."""
    instance = socket.gethostname()
    previous, _ = Reading.objects.get_or_create(instance=instance)
    samples, clock = _samples(), time.monotonic()
    before = previous.counters
    if not _is_neighbour(previous.clock, clock):
        before, earlier = _counters(samples), clock
        time.sleep(FIRST_STEP)
        samples, clock = _samples(), time.monotonic()
    else:
        earlier = previous.clock or clock
    minute = (now or timezone.now()).replace(second=0, microsecond=0)
    rows = [
        _row(service, value, instance, minute)
        for name, (service, _) in SOURCES.items()
        if name in samples
        for value in [*samples[name].values, *_steps(name, before, samples[name], clock - earlier)]
    ]
    return _write(instance, minute, clock, _counters(samples), rows)


def metric_id(service: str, metric_type: str, instance: str, minute: datetime) -> uuid.UUID:
    """The one id of this series and minute."""
    return uuid.uuid5(_NAMESPACE, f"{service}|{metric_type}|{instance}|{int(minute.timestamp())}")


@transaction.atomic
def _write(
    instance: str,
    minute: datetime,
    clock: float,
    counters: dict[str, dict[str, object]],
    rows: list[SystemMetric],
) -> int:
    reading = Reading.objects.select_for_update().get(instance=instance)
    if reading.minute == minute:
        return 0
    # A clock set back passes through minutes that have their rows already: those stay as they are.
    SystemMetric.objects.bulk_create(rows, ignore_conflicts=True)
    reading.minute, reading.clock, reading.counters = minute, clock, counters
    reading.save()
    return len(rows)


def _samples() -> dict[str, Sample]:
    """What each source says; one that is away is left out and named in the log."""
    samples = {}
    for name, (_, read) in SOURCES.items():
        try:
            samples[name] = read()
        except Exception as error:
            logger.warning("measurement.gap source=%s error=%s", name, error)
    return samples


def _counters(samples: dict[str, Sample]) -> dict[str, dict[str, object]]:
    return {
        name: {"epoch": sample.epoch, **sample.counters}
        for name, sample in samples.items()
        if sample.counters
    }


def _is_neighbour(earlier: float | None, clock: float) -> bool:
    return earlier is not None and 0 < clock - earlier <= LONGEST_STEP


def _steps(name: str, before: dict, sample: Sample, seconds: float) -> list[Value]:
    """What follows from the counters' steps since `before`: nothing when one of them began anew."""
    old = before.get(name)
    if not old or old["epoch"] != sample.epoch:
        return []
    step = {key: value - old.get(key, value) for key, value in sample.counters.items()}
    if any(value < 0 for value in step.values()):
        return []
    if name == "host":
        return _share("cpu", step["cpu_busy"], step["cpu_total"])
    if name == "postgres":
        rate = Value("transactions", step["transactions"] / seconds, "per_second")
        return [rate, *_share("cache_hit", step["blocks_hit"], step["blocks_hit"] + step["blocks_read"])]
    return []


def _share(metric_type: str, part: float, whole: float) -> list[Value]:
    """A percentage; a share of nothing is a gap."""
    return [Value(metric_type, min(100.0, 100 * part / whole), "percent")] if whole > 0 else []


def _row(service: str, value: Value, instance: str, minute: datetime) -> SystemMetric:
    return SystemMetric(
        id=metric_id(service, value.metric_type, instance, minute),
        service_name=service,
        metric_type=value.metric_type,
        metric_value=value.value,
        unit=value.unit,
        timestamp=minute,
        metric_metadata={"instance_id": instance},
    )
