"""What the backfill endpoints take and answer."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, ConfigDict, Field, Strict, model_validator

from backfill.reports import Claim
from backfill.services import MAX_BLOCK
from backfill.standing import Standing
from utxoiq_admin.core.schemas import Body, Storable

MAX_FAILED = 10_000  # failed blocks in one report
MAX_MISSING = 1_000  # ranges that a claim lists

# Strict: true and "12" are no heights.
Block = Annotated[int, Strict(), Field(ge=0, le=MAX_BLOCK)]
JobType = Annotated[str, Field(min_length=1, max_length=50), Storable]


def _in_utc(moment: datetime) -> datetime:
    """A time without a zone is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class StartIn(Body):
    job_type: JobType
    start_block: Block
    end_block: Block = Field(description="Included.")
    created_by: Annotated[str, Field(min_length=1, max_length=100), Storable] | None = Field(
        None, description="By default the token's name."
    )
    allow_overlap: bool = Field(False, description="Start it although another job has some of the blocks.")


class ProgressIn(Body):
    current_block: Block | None = Field(
        None,
        description="The block being worked on: those below it are done. Required while the job goes on.",
    )
    status: Literal["running", "paused", "completed", "failed"] | None = None
    error_message: Annotated[str, Field(max_length=10_000), Storable] | None = None
    estimated_completion: Annotated[datetime, AfterValidator(_in_utc)] | None = None
    failed_blocks: Annotated[list[Block], Field(max_length=MAX_FAILED)] = Field(
        [], description="Blocks that could not be done: they stay missing until another job does them."
    )
    lease: UUID | None = Field(None, description="What the claim gave: tells a worker that it was replaced.")
    progress_percentage: float | None = Field(None, description="Accepted and ignored: it is computed here.")

    @model_validator(mode="after")
    def _has_a_block(self) -> "ProgressIn":
        if self.current_block is None and self.status not in ("completed", "failed"):
            raise ValueError("Name the current_block, unless the job has completed or failed.")
        return self


class DecisionIn(Body):
    by: Annotated[str, Field(max_length=100), Storable] | None = Field(
        None, description="By default the token's name."
    )
    reason: Annotated[str, Field(max_length=1_000), Storable] = ""
    allow_overlap: bool = Field(False, description="Of resume: although another job has some of the blocks.")


class JobOut(Schema):
    """The table's columns."""

    id: UUID
    job_type: str
    start_block: int
    end_block: int
    current_block: int
    status: str
    progress_percentage: float = Field(
        validation_alias="share", description="Of the blocks behind it; 100 only when it is completed."
    )
    estimated_completion: datetime | None
    error_message: str | None
    started_at: datetime
    completed_at: datetime | None
    created_by: str | None

    model_config = ConfigDict(populate_by_name=True)


class ClaimOut(JobOut):
    """A job with its lease, and what of it nobody has done yet, as [first, last]; the first 1,000 ranges."""

    lease: UUID
    lease_until: datetime
    missing: list[tuple[int, int]]


class ProgressOut(Schema):
    id: UUID
    status: str
    current_block: int
    progress_percentage: float
    applied: bool
    command: Literal["continue", "pause", "stop"]


class StateOut(JobOut):
    """The job as it stands: `state` is the status, or what it hides (silent, stalled, slow, …), since when and why."""

    state: str
    since: datetime | None
    note: str
    holder: str
    last_report: datetime | None
    rate_now: float | None
    rate_whole: float | None
    usual_interval: float | None
    seconds_left: tuple[float, float] | None
    failed_blocks: list[tuple[int, int]]


class JobsOut(Schema):
    jobs: list[JobOut]
    next: str | None


class FaultOut(Schema):
    where: str
    what: str
    why: str


class OverlapOut(Schema):
    errors: list[FaultOut]
    jobs: list[JobOut]


def claim_out(claim: Claim, missing: list[tuple[int, int]]) -> ClaimOut:
    job = JobOut.from_orm(claim.job).dict()
    return ClaimOut(**job, lease=claim.lease, lease_until=claim.lease_until, missing=missing[:MAX_MISSING])


def state_out(standing: Standing, failed: list[tuple[int, int]]) -> StateOut:
    known: dict[str, Any] = {
        "state": standing.verdict.state.value,
        "since": standing.verdict.since,
        "note": standing.verdict.text,
        "holder": standing.work.holder,
        "last_report": standing.work.reported_at,
        "rate_now": standing.rate_now,
        "rate_whole": standing.rate_whole,
        "usual_interval": standing.pace.interval if standing.pace.legs else None,
        "seconds_left": standing.estimate,
        "failed_blocks": failed[:MAX_MISSING],
    }
    return StateOut(**JobOut.from_orm(standing.job).dict(), **known)
