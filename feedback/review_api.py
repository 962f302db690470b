"""Moderators' decisions over HTTP, for the platform to act on."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Query, Router, Schema
from pydantic import Field

from feedback import review_feed
from feedback.models import ReviewEvent
from utxoiq_admin.accounts.api import CallerRequest
from utxoiq_admin.accounts.auth import ServiceAuth

PAGE, MAX_PAGE = 100, 1_000


class ReviewsIn(Schema):
    since: int = Field(0, ge=0, lt=2**63, description="`next` of the call before; 0 begins at the start.")
    limit: int = Field(PAGE, ge=1, le=MAX_PAGE)


class EventOut(Schema):
    id: int
    kind: Literal["decision", "undo"]
    insight_id: str
    verdict: Literal["inaccurate", "misleading", "spam", "nothing_wrong", "already_gone", "escalated"]
    upheld: bool | None = Field(
        description="Whether the flags were right; null where the verdict does not say."
    )
    moderator: str
    at: datetime
    note: str
    flag_ids: list[UUID] = Field(description="Exactly the flags that it judged, or that an undo gave back.")
    undoes: int | None = Field(description="The decision that is no longer in force.")


class ReviewsOut(Schema):
    events: list[EventOut]
    next: int = Field(description="Send it as `since`: it stays where it is until there are newer events.")
    more: bool


def reviews(request: CallerRequest, query: Query[ReviewsIn]) -> dict[str, Any]:
    """Decisions and undone decisions after `since`, in the order of their commits: none ever appears before `next`.

    An undo takes back the decision that `undoes` names. Repeat with `next` as often as you like.
    """
    found = review_feed.events_after(query.since, query.limit + 1)
    events = found[: query.limit]
    last = events[-1].pk if events else query.since
    if events and request.auth.token is not None:
        review_feed.note_fetch(through=last, reader=request.auth.name)
    return {"events": [_out(event) for event in events], "next": last, "more": len(found) > query.limit}


def _out(event: ReviewEvent) -> dict[str, Any]:
    names = ("id", "kind", "insight_id", "verdict", "upheld", "at", "note", "flag_ids")
    values = {name: getattr(event, name) for name in names}
    return values | {"moderator": event.moderator.get_username(), "undoes": event.undoes_id}


def add_to(router: Router) -> None:
    """Serve it on the router of the feedback API."""
    summary = "Moderators' decisions, oldest first"
    router.get("/reviews", response=ReviewsOut, auth=ServiceAuth("feedback:read"), summary=summary)(reviews)
