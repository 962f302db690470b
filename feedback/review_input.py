"""What the queue's page sends with an action, read or refused."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from feedback import review_decisions, review_texts
from feedback.review_models import Verdict
from feedback.review_views import MAX_ID
from utxoiq_admin.core.schemas import is_storable


class Malformed(Exception):
    """The page did not send what an action needs."""


def field(request: HttpRequest, name: str) -> str:
    """A field of the form. Raises Malformed for text that cannot be stored."""
    value = request.POST.get(name, "")
    if not is_storable(value):
        raise Malformed(f"{name} holds characters that cannot be stored.")
    return value


def insight_of(request: HttpRequest) -> str:
    value = field(request, "insight")
    if not 1 <= len(value) <= MAX_ID:
        raise Malformed("No insight was named.")
    return value


def token_of(request: HttpRequest) -> uuid.UUID | None:
    return parsed(request, "token", uuid.UUID) if request.POST.get("token") else None


def parsed(request: HttpRequest, name: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(field(request, name))
    except ValueError:
        raise Malformed(f"{name} is missing or cannot be read.") from None


def json_of(request: HttpRequest, name: str, kind: type) -> Any:
    """A field that holds JSON of this kind; empty when it is not there."""
    text = request.POST.get(name)
    try:
        value = json.loads(text) if text else kind()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise Malformed(f"{name} cannot be read.")
    return value


def ids_in(values: Any) -> frozenset[uuid.UUID]:
    try:
        return frozenset(uuid.UUID(str(each)) for each in values)
    except (ValueError, TypeError):
        raise Malformed("The flags that were seen cannot be read.") from None


def verdict_of(request: HttpRequest) -> Verdict:
    return Verdict(parsed(request, "verdict", Verdict))


def note_of(request: HttpRequest) -> str:
    note = field(request, "note")
    if len(note) > review_decisions.MAX_NOTE:
        raise Malformed(f"A note has at most {review_decisions.MAX_NOTE:,} characters. Nothing was decided.")
    return note


def seen_text(request: HttpRequest, insight_id: str) -> dict[str, Any] | None:
    """The text as it stood on the page. Raises Malformed for one that this page never showed."""
    try:
        return review_texts.as_seen(insight_id, field(request, "text"))
    except ValueError as error:
        raise Malformed(str(error)) from None
