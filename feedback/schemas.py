"""What the feedback endpoints take and answer."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, Field, Strict

from feedback.models import InsightFeedback
from utxoiq_admin.core.schemas import Body, Storable, Text

MAX_COMMENT, MAX_REASON, MAX_ID = 1_000, 500, 100
PAGE, MAX_PAGE = 20, 200


def _says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("This says nothing; null clears what was said.")
    return text


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID), Storable]
Rating = Annotated[int, Strict(), Field(ge=1, le=5)]  # strict: true and "4" are no ratings
Comment = Annotated[str, Field(max_length=MAX_COMMENT), Storable, AfterValidator(_says_something)]
Reason = Annotated[str, Field(max_length=MAX_REASON), Storable, AfterValidator(_says_something)]


class PairIn(Body):
    insight_id: Id
    user_id: Id


class RatingIn(PairIn):
    rating: Rating | None = Field(description="1 to 5 stars; null takes the rating back.")


class CommentIn(PairIn):
    comment: Comment | None = Field(description="null takes the comment back.")


class FlagIn(PairIn):
    flag_type: InsightFeedback.Flag | None = Field(description="null withdraws the flag.")
    flag_reason: Reason | None = Field(None, description="Left out, it stays as it was; null clears it.")


class FeedbackOut(Schema):
    """All that one user says of one insight."""

    id: UUID
    insight_id: str
    user_id: str
    rating: int | None
    comment: str | None
    flag_type: str | None
    flag_reason: str | None
    created_at: datetime
    updated_at: datetime


class StatsOut(Schema):
    insight_id: str
    total_ratings: int
    average_rating: float | None
    rating_distribution: dict[str, int] = Field(description="How many gave 1 to 5 stars; all five are named.")
    total_comments: int
    total_flags: int
    flag_types: dict[str, int] = Field(description="How many flags of each word that was used.")


class CommentOut(Schema):
    user_id: str
    comment: str
    rating: int | None
    created_at: datetime
    updated_at: datetime


class CommentsOut(Schema):
    comments: list[CommentOut]
    next: str | None


class HistoryOut(Schema):
    feedback: list[FeedbackOut]
    next: str | None


class StatsQuery(Schema):
    insight_id: Id


class PageQuery(Schema):
    cursor: Text | None = Field(None, max_length=2000, description="`next` of the page before.")
    limit: int = Field(PAGE, ge=1, le=MAX_PAGE)


class CommentsQuery(PageQuery):
    insight_id: Id


class HistoryQuery(PageQuery):
    user_id: Id
