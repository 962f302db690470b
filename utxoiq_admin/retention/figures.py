"""What each table keeps where: the figures of the retention page."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q, Sum
from django.db.models.functions import TruncMonth

from utxoiq_admin.core.database import table_sizes
from utxoiq_admin.retention.models import Archive, Run, RunTable
from utxoiq_admin.retention.policies import POLICIES, Policy

FOR_EVER_DAYS = 730  # how long "for ever" is drawn
ENDED = (Run.State.SUCCEEDED, Run.State.FAILED, Run.State.STOPPED, Run.State.CRASHED)


@dataclass(frozen=True)
class Kept:
    """One table: rows in the database (the planner's estimate), objects in the archive, objects removed."""

    policy: Policy
    cutoff: datetime
    rows: int | None
    bytes: int
    objects: int
    archived_rows: int
    archived_bytes: int
    archived_from: datetime | None
    archived_to: datetime | None
    restored: int
    removed: int
    problems: int
    last: RunTable | None

    @property
    def database_share(self) -> float:
        """Percent of the bar for the time in the database; the rest is the time in the archive."""
        archive = self.policy.archive_days or FOR_EVER_DAYS
        return round(100 * self.policy.days / (self.policy.days + archive), 1)


def kept(now: datetime) -> list[Kept]:
    """A line for each table, from the catalogue and the manifests; no row of a big table is read."""
    sizes = {size.table: size for size in table_sizes()}
    sums = {row["table"]: row for row in _sums()}
    empty = dict.fromkeys(("found", "rows", "bytes", "restored", "removed", "problems"), 0)
    lines = []
    for table, policy in POLICIES.items():
        size: Any = sizes.get(table)
        found: dict[str, Any] = {**empty, "first": None, "last": None, **sums.get(table, {})}
        lines.append(
            Kept(
                policy=policy,
                cutoff=policy.cutoff(now),
                rows=size.rows if size else None,
                bytes=size.bytes if size else 0,
                objects=found["found"],
                archived_rows=found["rows"] or 0,
                archived_bytes=found["bytes"] or 0,
                archived_from=found["first"],
                archived_to=found["last"],
                restored=found["restored"],
                removed=found["removed"],
                problems=found["problems"],
                last=RunTable.objects.filter(table=table, run__state__in=ENDED)
                .order_by("-run__requested_at")
                .first(),
            )
        )
    return lines


def _sums() -> Iterable[Any]:
    state, states = "state__in", Archive.State
    there = Q(**{state: Archive.READABLE})
    return (
        Archive.objects.order_by()
        .values("table")
        .annotate(
            found=Count("pk", filter=there),
            rows=Sum("rows", filter=there),
            bytes=Sum("bytes", filter=there),
            first=Min("first_at", filter=there),
            last=Max("last_at", filter=there),
            restored=Count("pk", filter=Q(state=states.RESTORED)),
            removed=Count("pk", filter=Q(state=states.REMOVED)),
            problems=Count("pk", filter=Q(state=states.DAMAGED)),
        )
    )


@dataclass(frozen=True)
class Month:
    """A month of one table in the archive, for the timeline; `share` is of the fullest month, in percent."""

    start: datetime
    rows: int
    share: int


def timeline(table: str) -> list[Month]:
    """Archived rows by the month of their own time, oldest first, months without any included; at most ten years."""
    found = (
        Archive.objects.with_object()
        .filter(table=table)
        .order_by()
        .values(month=TruncMonth("first_at"))
        .annotate(rows=Sum("rows"))
        .order_by("-month")[:120]
    )
    counts = {row["month"]: row["rows"] for row in found}
    if not counts:
        return []
    most, month, last = max(counts.values()), min(counts), max(counts)
    months = []
    while month <= last:
        rows = counts.get(month, 0)
        months.append(Month(month, rows, max(4, round(100 * rows / most)) if rows else 0))
        month = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    return months
