"""Feedback over HTTP: services write what users say, and read it with its figures."""

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router

from feedback import review_api
from feedback.models import InsightFeedback
from feedback.schemas import (
    CommentIn,
    CommentsOut,
    CommentsQuery,
    FeedbackOut,
    FlagIn,
    HistoryOut,
    HistoryQuery,
    PairIn,
    RatingIn,
    StatsOut,
    StatsQuery,
)
from feedback.services import feedback_save
from feedback.stats import stats_of
from utxoiq_admin.accounts.auth import ServiceAuth
from utxoiq_admin.core.api import ApiError, Fault
from utxoiq_admin.core.cursors import InvalidCursor, Page

router = Router(tags=["feedback"])
WRITE: dict[str, Any] = {"auth": ServiceAuth("feedback:write"), "response": FeedbackOut}
READ: dict[str, Any] = {"auth": ServiceAuth("feedback:read")}


@router.post("/rate", summary="Rate an insight", **WRITE)
def rate(request: HttpRequest, body: RatingIn) -> dict[str, Any]:
    """Set or take back a user's rating; answers all that the user says of the insight. A repeat is safe."""
    return _saved(body)


@router.post("/comment", summary="Comment on an insight", **WRITE)
def comment(request: HttpRequest, body: CommentIn) -> dict[str, Any]:
    """Set or take back a user's comment; answers all that the user says of the insight. A repeat is safe."""
    return _saved(body)


@router.post("/flag", summary="Flag an insight", **WRITE)
def flag(request: HttpRequest, body: FlagIn) -> dict[str, Any]:
    """Set or withdraw a user's flag. The same flag again is no new one; another word replaces the first."""
    return _saved(body)


def _saved(body: PairIn) -> dict[str, Any]:
    """Only the fields that were sent change."""
    sent = body.model_dump(exclude={"insight_id", "user_id"}, exclude_unset=True)
    return feedback_save(insight_id=body.insight_id, user_id=body.user_id, changes=sent)


@router.get("/stats", response=StatsOut, summary="Figures of an insight", **READ)
def stats(request: HttpRequest, query: Query[StatsQuery]) -> dict[str, Any]:
    """Right within a second of any write. An insight nobody spoke of has zeros and no average."""
    return stats_of(query.insight_id)


@router.get("/comments", response=CommentsOut, summary="Comments on an insight, newest first", **READ)
def comments(request: HttpRequest, query: Query[CommentsQuery]) -> dict[str, Any]:
    """`next` is the cursor of the comments before these."""
    try:
        page = InsightFeedback.objects.comments_on(query.insight_id, cursor=query.cursor, size=query.limit)
    except InvalidCursor as error:
        raise _bad_cursor(error) from None
    return {"comments": page.rows, "next": page.next}


@router.get("/user", response=HistoryOut, summary="All that one user said, newest first", **READ)
def history(request: HttpRequest, query: Query[HistoryQuery]) -> dict[str, Any]:
    """By when it was first said; `next` is the cursor of what came before."""
    try:
        page: Page[InsightFeedback] = InsightFeedback.objects.of_user(
            query.user_id, cursor=query.cursor, size=query.limit
        )
    except InvalidCursor as error:
        raise _bad_cursor(error) from None
    return {"feedback": page.rows, "next": page.next}


def _bad_cursor(error: InvalidCursor) -> ApiError:
    return ApiError(422, Fault("query.cursor", "cursor", str(error)))


review_api.add_to(router)
