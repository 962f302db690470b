"""When this application stood still: none of its processes could be heard, so nothing was taken in by it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from utxoiq_admin.core.heartbeats import SILENT_AFTER
from utxoiq_admin.core.liveness import PROCESSES
from utxoiq_admin.core.models import Heartbeat, HeartbeatGap

Stretch = tuple[datetime, datetime]


def standstills(start: datetime, end: datetime, *, now: datetime) -> list[Stretch]:
    """The stretches inside [start, end) in which worker, beat and listener were all silent, oldest first.

    All three at once: a database that was away counts (none of them could write), a worker that was away alone does
    not, since services could write on. A process that was never heard says nothing either way.
    """
    heard = dict(Heartbeat.objects.filter(name__in=PROCESSES).values_list("name", "at"))
    silences: dict[str, list[Stretch]] = {name: [] for name in heard}
    gaps = HeartbeatGap.objects.filter(name__in=heard, heard_again__gt=start, heard_until__lt=end).order_by(
        "heard_until"
    )
    for name, heard_until, heard_again in gaps.values_list("name", "heard_until", "heard_again"):
        silences[name].append((heard_until, heard_again))
    for name, at in heard.items():
        if now - at > timedelta(seconds=SILENT_AFTER):
            silences[name].append((at, now))
    common: list[Stretch] = [(start, end)] if heard else []
    for each in silences.values():
        common = overlaps(common, each)
    return common


def overlaps(some: Iterable[Stretch], others: Sequence[Stretch]) -> list[Stretch]:
    """The parts that stretches of both lists share, oldest first."""
    shared = ((max(one[0], other[0]), min(one[1], other[1])) for one in some for other in others)
    return sorted(each for each in shared if each[0] < each[1])
