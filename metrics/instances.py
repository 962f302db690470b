"""Which instances a service has: those that its rows named lately."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from metrics.models import ServiceInstance

KNOWN_FOR = timedelta(hours=24)  # an instance not heard for longer is not missed any more
HANDOVER = timedelta(minutes=10)  # for so long a new instance and the one that it replaces may both report
LONGEST_NAME = 200
OVERLAP = timedelta(minutes=15)  # rows may come late, and clocks differ

# The rows of the last minutes, by idx_metrics_timestamp. In the order of the key: two at once never deadlock.
_NOTE = f"""
INSERT INTO metric_instances (service_name, instance_id, first_at, last_at)
SELECT service_name, instance_id, min("timestamp"), max("timestamp")
FROM (SELECT service_name, metric_metadata->>'instance_id' AS instance_id, "timestamp"
      FROM system_metrics WHERE "timestamp" >= %(since)s) AS named
WHERE instance_id <> '' AND length(instance_id) <= {LONGEST_NAME}
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (service_name, instance_id) DO UPDATE SET last_at = excluded.last_at
WHERE metric_instances.last_at < excluded.last_at
"""  # noqa: S608


def note(*, now: datetime) -> int:
    """Keep the instances that rows since the last call name, forget those silent for long; how many were heard.

    The first call, and one after a long pause, looks back KNOWN_FOR.
    """
    newest = ServiceInstance.objects.order_by("-last_at").values_list("last_at", flat=True).first()
    since = max(now - KNOWN_FOR, min(newest, now) - OVERLAP) if newest else now - KNOWN_FOR
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, {"since": since})
        heard = cursor.rowcount
    ServiceInstance.objects.filter(
        last_at__lt=now - timedelta(days=settings.RETENTION_INSTANCES_DAYS)
    ).delete()
    return heard


@dataclass(frozen=True)
class Heard:
    """When an instance was first heard, and last."""

    first: datetime
    last: datetime


def known(lasts: dict[str, datetime]) -> dict[str, dict[str, Heard]]:
    """Of each service the instances heard in the KNOWN_FOR before the moment given: {service: {instance: when}}."""
    oldest = min(lasts.values(), default=None)
    if oldest is None:
        return {}
    rows = ServiceInstance.objects.filter(service_name__in=lasts, last_at__gt=oldest - KNOWN_FOR)
    found: dict[str, dict[str, Heard]] = {}
    for row in rows:
        if row.last_at > lasts[row.service_name] - KNOWN_FOR:
            found.setdefault(row.service_name, {})[row.instance_id] = Heard(row.first_at, row.last_at)
    return found


def expected(
    heard: Mapping[str, Heard], *, now: datetime, silent_after: timedelta
) -> tuple[dict[str, datetime], int]:
    """({instance that should report: when it last did}, how many of them do).

    One that another replaced is not missed: a new instance was first heard when it fell silent, or later, as in every
    rolling deployment. Each new one replaces one, the nearest in time.
    """
    reporting = {name: each for name, each in heard.items() if now - each.last <= silent_after}
    missed = {name: each for name, each in heard.items() if name not in reporting}
    successions = sorted(
        (abs(new.first - old.last), old_name, new_name)
        for old_name, old in missed.items()
        for new_name, new in reporting.items()
        if new.first >= old.last - HANDOVER
    )
    taken: set[str] = set()
    for _, old_name, new_name in successions:
        if old_name in missed and new_name not in taken:
            taken.add(new_name)
            del missed[old_name]
    return {name: each.last for name, each in (reporting | missed).items()}, len(reporting)
