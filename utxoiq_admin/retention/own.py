"""Rows of our own tables that nobody needs for ever: deleted by age, in bounded batches, archived nowhere."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from metrics.sealing import prune_late
from utxoiq_admin.core.leases import HeldLease
from utxoiq_admin.retention.archiving import Place

BATCH = 5_000


@dataclass(frozen=True)
class Aged:
    """Rows of ours, in words, and the setting that says after how many days they go."""

    words: str
    days_setting: str

    @property
    def days(self) -> int:
        return int(getattr(settings, self.days_setting))


@dataclass(frozen=True)
class Own(Aged):
    """Those deleted here: rows of the model whose `time` is older than the setting, if they meet `only`."""

    model_label: str
    time: str
    only: Q | None = None

    def old(self, now: datetime) -> Q:
        age = Q(**{f"{self.time}__lt": now - timedelta(days=self.days)})
        return self.only & age if self.only else age


OWN = (
    Own(
        "runs of retention",
        "RETENTION_RUNS_DAYS",
        "retention.Run",
        "requested_at",
        Q(finished_at__isnull=False),
    ),
    Own("pauses of retention", "RETENTION_PAUSES_DAYS", "retention.Pause", "until"),
    # They explain gaps of charts, which are drawn from rollups long after the rows are gone.
    Own("silences of our own processes", "RETENTION_SILENCES_DAYS", "core.HeartbeatGap", "heard_again"),
    Own("lengths of the review queue", "RETENTION_QUEUE_SAMPLES_DAYS", "feedback.QueueSample", "at"),
    Own("sessions that ended", "RETENTION_SESSIONS_DAYS", "sessions.Session", "expire_date"),
    Own("skips that ended", "RETENTION_SKIPS_DAYS", "feedback.ReviewSkip", "until"),
)
# Deleted by the apps that write them.
ELSEWHERE = (
    Aged("runs of tasks", "RETENTION_TASK_RUNS_DAYS"),
    Aged("events of jobs that left", "RETENTION_JOB_EVENTS_DAYS"),
    Aged("instances that fell silent", "RETENTION_INSTANCES_DAYS"),
    Aged("counts of what tokens wrote", "RETENTION_TOKEN_USAGE_DAYS"),
    Aged("hourly and daily figures of metrics", "ROLLUPS_METRICS_DAYS"),
)


def tidy(*, now: datetime, lease: HeldLease, at: Place) -> list[str]:
    """Delete what is older than its setting, and names of late metrics that are gone. No faults to tell.

    A clock moved ahead ages the platform's rows only: it must end nobody's session.
    """
    now = min(now, timezone.now())
    for each in OWN:
        at(f"{each.words}: deleting rows older than {each.days} days", between=True)
        while _batch(each, now, lease) == BATCH:
            pass
    with transaction.atomic():
        lease.check()
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
