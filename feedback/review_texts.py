"""The insight itself: what the platform's insight API says, kept as last seen in `insight_texts`.

A moderator never waits longer than a second for it, and after a failure nobody asks again for some seconds: an API
that is down costs one request, not one an item. What was seen before is shown meanwhile, and said to be old.
"""

import json
import logging
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from django.conf import settings
from django.core import signing
from django.utils import timezone
from pydantic import AliasChoices, BaseModel, Field, ValidationError

from feedback.models import InsightReview, InsightText
from utxoiq_admin.core.schemas import Text

logger = logging.getLogger(__name__)
TIMEOUT = 1.0  # seconds, for all of it
PAUSE = 10.0  # seconds after a failure in which nobody asks
FRESH = timedelta(minutes=5)
MAX_BYTES = 262_144
SALT = "feedback.review_texts"
WARMED = 20  # of the queue's head: what comes up in the next minutes
_paused_until = 0.0  # by time.monotonic(), for this process


class Source(StrEnum):
    """How the text came to be on the page."""

    FRESH = "fresh"
    GONE = "gone"  # the platform has it no more
    UNREACHABLE = "unreachable"
    NOT_SET_UP = "not set up"


class Unreachable(Exception):
    """No answer, or none that can be read; the message is for the log."""


@dataclass(frozen=True)
class Seen:
    """An insight as it can be shown. Without a `headline` no text of it is known."""

    insight_id: str
    source: Source
    headline: str = ""
    summary: str = ""
    category: str = ""
    confidence: float | None = None
    evidence: list[dict[str, Any]] = field(default_factory=list)
    published_at: datetime | None = None
    seen_at: datetime | None = None

    def as_json(self) -> dict[str, Any] | None:
        """To be kept with a decision; None where no text was seen."""
        if not self.headline:
            return None
        times = {
            name: moment and moment.isoformat()
            for name, moment in (("published_at", self.published_at), ("seen_at", self.seen_at))
        }
        return asdict(self) | times | {"source": self.source.value}

    def signed(self) -> str:
        """The same for a page to carry: what comes back with a decision is what was on the page. "" for no text."""
        text = self.as_json()
        return signing.dumps(text, salt=SALT, compress=True) if text else ""


def as_seen(insight_id: str, signed: str) -> dict[str, Any] | None:
    """The text that a page carried of this insight. Raises ValueError for one that we did not sign, or of another."""
    if not signed:
        return None
    try:
        text: dict[str, Any] = signing.loads(signed, salt=SALT)
    except signing.BadSignature:
        raise ValueError("The text that was seen cannot be read.") from None
    if text.get("insight_id") != insight_id:
        raise ValueError("The text that was seen is another insight's.")
    return text


class Evidence(BaseModel):
    kind: Text = Field(max_length=50, validation_alias=AliasChoices("kind", "type"))
    value: Text | int = Field(validation_alias=AliasChoices("value", "id"))
    url: Text = Field("", max_length=2000)


class Answer(BaseModel):
    """What the insight API answers for one; names that it does not have are left out."""

    headline: Text = Field(min_length=1, validation_alias=AliasChoices("headline", "title"))
    summary: Text = ""
    category: Text = Field("", validation_alias=AliasChoices("category", "signal_type"))
    confidence: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    evidence: list[Evidence] = Field(default_factory=list, max_length=50)
    published_at: datetime | None = Field(
        None, validation_alias=AliasChoices("published_at", "created_at", "timestamp")
    )


class _NoRedirects(HTTPRedirectHandler):
    """The token is for the address that was set, and for no other."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = build_opener(_NoRedirects)


def text_of(insight_id: str) -> Seen:
    """The insight's text, asked for at most once in five minutes; never waits longer than TIMEOUT."""
    row = InsightText.objects.filter(pk=insight_id).first()
    now = timezone.now()
    if row and (row.is_demo or _is_fresh(row, now)):
        return _seen(insight_id, row, Source.GONE if row.gone_at else Source.FRESH)
    if not settings.INSIGHT_API_URL:
        return _seen(insight_id, row, Source.NOT_SET_UP)
    if time.monotonic() < _paused_until:
        return _seen(insight_id, row, Source.UNREACHABLE)
    try:
        answer = _ask(insight_id)
    except Unreachable as error:
        _pause(error)
        return _seen(insight_id, row, Source.UNREACHABLE)
    if answer is None:
        if row:
            row.gone_at, row.fetched_at = row.gone_at or now, now
            row.save(update_fields=["gone_at", "fetched_at"])
        return _seen(insight_id, row, Source.GONE)
    return _seen(insight_id, _keep(insight_id, answer, now), Source.FRESH)


def warm() -> int:
    """Ask for the texts at the head of the queue before a moderator waits for them; how many are known and fresh."""
    heads = InsightReview.objects.filter(state=InsightReview.State.WAITING).order_by(
        "-priority", "-insight_id"
    )
    found = 0
    for insight_id in heads.values_list("pk", flat=True)[:WARMED]:
        source = text_of(insight_id).source
        if source in (Source.UNREACHABLE, Source.NOT_SET_UP):
            break
        found += 1
    return found


def known_texts(insight_ids: list[str]) -> dict[str, InsightText]:
    """What is kept of these, without asking anybody."""
    return InsightText.objects.in_bulk(insight_ids)


def as_known(row: InsightText) -> dict[str, Any] | None:
    """What is kept of one, to be kept with a decision on a list that shows headlines."""
    return _seen(row.insight_id, row, Source.GONE if row.gone_at else Source.FRESH).as_json()


def original_url(insight_id: str) -> str:
    """Where users read it, by INSIGHT_URL_TEMPLATE; "" while that is not set."""
    return settings.INSIGHT_URL_TEMPLATE.replace("{insight_id}", quote(insight_id, safe=""))


def evidence_url(item: dict[str, Any]) -> str:
    """Where a piece of evidence can be looked at: its own address, or a block explorer's; "" for neither."""
    own, kind = str(item.get("url") or ""), item.get("kind")
    if urlsplit(own).scheme in ("http", "https"):
        return own
    if not settings.EXPLORER_URL or kind not in ("block", "tx", "address"):
        return ""
    return f"{settings.EXPLORER_URL.rstrip('/')}/{kind}/{quote(str(item.get('value', '')), safe='')}"


def _is_fresh(row: InsightText, now: datetime) -> bool:
    return row.fetched_at is not None and now - row.fetched_at < FRESH


def _seen(insight_id: str, row: InsightText | None, source: Source) -> Seen:
    if row is None:
        return Seen(insight_id, source)
    return Seen(
        insight_id=insight_id,
        source=source,
        headline=row.headline,
        summary=row.summary,
        category=row.category,
        confidence=row.confidence,
        evidence=row.evidence,
        published_at=row.published_at,
        seen_at=row.fetched_at,
    )


def _keep(insight_id: str, answer: Answer, now: datetime) -> InsightText:
    fields = {
        "headline": answer.headline[:300],
        "summary": answer.summary,
        "category": answer.category[:50],
        "confidence": answer.confidence,
        "evidence": [each.model_dump() for each in answer.evidence],
        "published_at": _in_utc(answer.published_at),
        "fetched_at": now,
        "gone_at": None,
    }
    return InsightText.objects.update_or_create(pk=insight_id, defaults=fields)[0]


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _ask(insight_id: str) -> Answer | None:
    """One GET; None where the API says that there is no such insight. Raises Unreachable."""
    end = time.monotonic() + TIMEOUT
    address = f"{settings.INSIGHT_API_URL.rstrip('/')}/{quote(insight_id, safe='')}"
    headers = {"Accept": "application/json"}
    if settings.INSIGHT_API_TOKEN:
        headers["Authorization"] = f"Bearer {settings.INSIGHT_API_TOKEN}"
    try:
        with _opener.open(Request(address, headers=headers), timeout=TIMEOUT) as response:  # noqa: S310
            body = b""
            while chunk := response.read1(65_536):
                body += chunk
                if len(body) > MAX_BYTES:
                    raise Unreachable(f"more than {MAX_BYTES} bytes")
                if time.monotonic() > end:
                    raise Unreachable("slower than a second")
    except HTTPError as error:
        if error.code in (404, 410):
            return None
        raise Unreachable(f"answered {error.code}") from None
    except (OSError, ValueError) as error:  # refused, timed out, no such host; an address that is none
        raise Unreachable(repr(error)) from None
    try:
        return Answer.model_validate(json.loads(body))
    except (ValidationError, ValueError, RecursionError) as error:
        raise Unreachable(f"no insight: {str(error)[:200]!r}") from None


def _pause(error: Unreachable) -> None:
    global _paused_until
    _paused_until = time.monotonic() + PAUSE
    logger.warning("insight_api_unreachable url=%s error=%s", settings.INSIGHT_API_URL, error)
