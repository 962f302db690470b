"""What retention's operations take and answer."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from utxoiq_admin.core.schemas import Body, Text


class RunIn(Body):
    """Which tables; all of them when left out."""

    tables: list[Text] | None = Field(None, max_length=10)


class TableOut(Schema):
    table: str
    state: str
    rows_verified: int
    rows_deleted: int
    rows_superseded: int
    bytes_archived: int
    bytes_freed: int
    partitions_dropped: int
    objects_removed: int
    seconds: float
    error: str


class RunOut(Schema):
    """A run. `state`: queued, running, succeeded, failed, stopped, crashed or skipped."""

    id: UUID
    url: str
    state: Literal["queued", "running", "succeeded", "failed", "stopped", "crashed", "skipped"]
    requested_at: datetime
    requested_by: str
    started_at: datetime | None
    heartbeat_at: datetime | None
    finished_at: datetime | None
    step: str
    error: str
    tables: list[TableOut]
