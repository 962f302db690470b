"""Looking into the archive without restoring: rows of one object, and a search over several, as they stream by."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

from utxoiq_admin.core.json_numbers import AnyNumber
from utxoiq_admin.retention import storage
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.policies import POLICIES
from utxoiq_admin.retention.proof import Damaged, lines_of

SHOWN = 200  # rows of one object
FOUND = 500  # rows of a search
OBJECTS = 31  # objects of a search: a month of days
SECONDS = 12.0  # of reading, below what the web server waits for a page

# What a row can be looked for by: the table's columns, compared whole.
FIELDS = {
    "system_metrics": ("service_name", "metric_type"),
    "insight_feedback": ("insight_id", "user_id"),
    "backfill_jobs": ("id", "job_type"),
}


@dataclass(frozen=True)
class Wanted:
    """Column -> value, and the times between which the row's own time lies (either may be open)."""

    table: str
    values: dict[str, str] = field(default_factory=dict)
    start: datetime | None = None
    end: datetime | None = None

    def matcher(self) -> Callable[[bytes], dict[str, Any] | None]:
        """The row of a line if it is wanted. Lines without the words are not even parsed."""
        words = [json.dumps(value, ensure_ascii=False)[1:-1].encode() for value in self.values.values()]
        column = POLICIES[self.table].time

        def match(line: bytes) -> dict[str, Any] | None:
            if not all(word in line for word in words):
                return None
            row: dict[str, Any] = json.loads(line, cls=AnyNumber)
            if any(str(row.get(name)) != value for name, value in self.values.items()):
                return None
            if self.start or self.end:
                at = datetime.fromisoformat(row[column])
                if (self.start and at < self.start) or (self.end and at >= self.end):
                    return None
            return row

        return match


@dataclass
class Seen:
    """Rows that were found, how many lines were read for them, and why it ended before the end ("" if it did not)."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0
    objects: int = 0
    cut: str = ""
    faults: list[str] = field(default_factory=list)


def rows_of(archive: Archive, wanted: Wanted, *, limit: int = SHOWN) -> Seen:
    """The first `limit` rows of the object that are wanted. What fails is told in `faults`."""
    return _look([archive], wanted, limit)


def objects_for(wanted: Wanted) -> list[Archive]:
    """The objects that may hold such rows, by the manifests alone, newest first; one more than a search reads."""
    found = Archive.objects.with_object().filter(table=wanted.table)
    if wanted.start:
        found = found.filter(last_at__gte=wanted.start)
    if wanted.end:
        found = found.filter(first_at__lt=wanted.end)
    return list(found.order_by("-first_at", "-id")[: OBJECTS + 1])


def search(archives: list[Archive], wanted: Wanted) -> Seen:
    """Read at most OBJECTS objects, one line in memory at a time, for at most FOUND rows and SECONDS."""
    return _look(archives[:OBJECTS], wanted, FOUND)


def _look(archives: list[Archive], wanted: Wanted, limit: int) -> Seen:
    seen, match, until = Seen(), wanted.matcher(), time.monotonic() + SECONDS
    for archive in archives:
        seen.objects += 1
        try:
            with storage.opened(archive.key) as packed:
                for line in lines_of(packed):
                    seen.read += 1
                    try:
                        row = match(line)
                    except (ValueError, TypeError, AttributeError):
                        seen.faults.append(f"{archive.key}: line {seen.read:,} is no row of {archive.table}")
                        break
                    if row is not None:
                        seen.rows.append(row)
                    if len(seen.rows) >= limit:
                        seen.cut = f"the first {limit:,} rows are shown"
                    elif seen.read % 1000 == 0 and time.monotonic() > until:
                        seen.cut = f"it stopped after {SECONDS:.0f} s"
                    if seen.cut:
                        return seen
        except Damaged as error:
            seen.faults.append(f"{archive.key}: {error}")
        except storage.StorageFailed as error:
            seen.faults.append(str(error))
    return seen


def download(archive: Archive) -> Iterator[bytes]:
    """The object as it lies there. The first bytes are read before this returns. Raises StorageFailed."""
    parts = _parts(archive)
    return chain([next(parts, b"")], parts)


def _parts(archive: Archive) -> Iterator[bytes]:
    with storage.opened(archive.key) as packed:
        while chunk := packed.read(256 * 1024):
            yield chunk
