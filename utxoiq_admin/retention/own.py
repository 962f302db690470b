"""Rows of our own tables that nobody needs for ever: deleted by age, in bounded batches, archived nowhere."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from metrics.sealing import prune_late
from utxoiq_admin.core.leases import HeldLease

BATCH = 5_000


@dataclass(frozen=True)
class Own:
    """A table of ours: rows whose `time` is older than the setting go, if they meet `only`."""

    model_label: str
    time: str
    days_setting: str
    only: Q | None = None

    @property
    def days(self) -> int:
        return int(getattr(settings, self.days_setting))

    def old(self, now: datetime) -> Q:
        age = Q(**{f"{self.time}__lt": now - timedelta(days=self.days)})
        return self.only & age if self.only else age


OWN = (
    Own("retention.Run", "requested_at", "RETENTION_RUNS_DAYS", Q(finished_at__isnull=False)),
    Own("retention.Pause", "until", "RETENTION_RUNS_DAYS"),
)


def tidy(*, now: datetime, lease: HeldLease, at: Callable[[str], None]) -> list[str]:
    """Delete what is older than its setting, and names of late metrics that are gone. No faults to tell."""
    for each in OWN:
        at(f"{each.model_label}: deleting rows older than {each.days} days")
        while _batch(each, now, lease) == BATCH:
            pass
    prune_late()
    return []


@transaction.atomic
def _batch(each: Own, now: datetime, lease: HeldLease) -> int:
    lease.check()
    model = apps.get_model(each.model_label)
    oldest = model._default_manager.filter(each.old(now)).order_by(each.time)
    keys = list(oldest.select_for_update(skip_locked=True).values_list("pk", flat=True)[:BATCH])
    model._default_manager.filter(pk__in=keys).delete()
    return len(keys)
