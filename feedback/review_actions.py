"""What moderators do on the queue's page. POST only; answers are JSON with the fragments that changed."""

import uuid
from typing import Any, cast

from django.http import Http404, HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.views import View

from feedback import (
    queue_reading,
    queue_words,
    review_claims,
    review_decisions,
    review_flaggers,
    review_rows,
    review_texts,
)
from feedback.models import InsightReview, ReviewEvent
from feedback.queue_reading import Wish
from feedback.review_decisions import BulkReport, Item
from feedback.review_input import (
    Malformed,
    field,
    ids_in,
    insight_of,
    json_of,
    note_of,
    parsed,
    seen_text,
    token_of,
    verdict_of,
)
from feedback.review_refusals import Refused
from feedback.review_views import MAX_ID, PERMISSION, ModeratorRequest, item_context, list_context
from utxoiq_admin.core.schemas import is_storable

SIGNED_OUT = "You are signed out. Sign in again in another tab; your note is kept, and nothing was decided."
NOT_ALLOWED = "Your account may not decide. Ask an administrator for the group moderators."


class Action(View):
    """POST by somebody who may decide. A refusal answers 409 with its reason and the item as it stands now."""

    http_method_names = ["post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not request.user.is_authenticated:
            return _error(401, "signed_out", SIGNED_OUT)
        if not request.user.has_perm(PERMISSION):
            return _error(403, "permission", NOT_ALLOWED)
        return super().dispatch(request, *args, **kwargs)

    def post(self, given: HttpRequest) -> JsonResponse:
        request = cast(ModeratorRequest, given)
        try:
            json_of(request, "wish", dict)  # read at the end too: what cannot be read changes nothing
            return JsonResponse(self.act(request))
        except (Malformed, Http404) as error:
            return _error(422, "malformed", str(error) or "Something that this needs was not sent.")
        except Refused as refusal:
            body: dict[str, Any] = {"error": {"why": refusal.why, "text": str(refusal)}}
            insight_id = request.POST.get("insight", "")
            if insight_id:
                body |= drawn(request, insight_id)
            return JsonResponse(body, status=409)

    def act(self, request: ModeratorRequest) -> dict[str, Any]:
        raise NotImplementedError


def _error(status: int, why: str, text: str) -> JsonResponse:
    return JsonResponse({"error": {"why": why, "text": text}}, status=status)


def drawn(request: ModeratorRequest, insight_id: str | None) -> dict[str, Any]:
    """The list and one item (None: the queue's end) as they stand now."""
    wish = Wish.of(json_of(request, "wish", dict))
    listing = render_to_string("feedback/review_list.html", list_context(request, wish), request)
    if insight_id is None:
        shown = render_to_string("feedback/review_end.html", {"wish": wish}, request)
        return {"list": listing, "item": shown, "insight": ""}
    shown = render_to_string("feedback/review_item.html", item_context(request, insight_id), request)
    return {"list": listing, "item": shown, "insight": insight_id}


def next_item(request: ModeratorRequest, after: InsightReview | None) -> str | None:
    """Claim the next one of the list that the page shows; its id, or None at the queue's end."""
    review_rows.refresh(wait=False)
    wish = Wish.of(json_of(request, "wish", dict))
    tab = wish.tab if wish.tab in ("waiting", "escalated") and not wish.find else "waiting"
    among = queue_reading.rows_of(request.user, Wish(**{**vars(wish), "tab": tab, "find": "", "after": ""}))
    claim = review_claims.claim_next(moderator=request.user, among=among, after=after)
    return claim.insight_id if claim else None


def done(event: ReviewEvent, words: str) -> dict[str, Any]:
    return {"event": event.pk, "insight": event.insight_id, "text": words}


class ClaimAction(Action):
    def act(self, request: ModeratorRequest) -> dict[str, Any]:
        insight_id = insight_of(request)
        review_claims.claim(moderator=request.user, insight_id=insight_id)
        return drawn(request, insight_id)


class NextAction(Action):
    def act(self, request: ModeratorRequest) -> dict[str, Any]:
        left = InsightReview.objects.filter(pk=field(request, "insight")).first()
        return drawn(request, next_item(request, left))


class RenewAction(Action):
    def act(self, request: ModeratorRequest) -> dict[str, Any]:
        until = review_claims.renew(moderator=request.user, token=parsed(request, "token", uuid.UUID))
        return {"until": until.isoformat() if until else None}


class ReleaseAction(Action):
    def act(self, request: ModeratorRequest) -> dict[str, Any]:
        give_back = review_claims.leave if request.POST.get("leaving") else review_claims.release
        give_back(moderator=request.user, token=parsed(request, "token", uuid.UUID))
        return {}


class SkipAction(Action):
    def act(self, request: ModeratorRequest) -> dict[str, Any]:
        insight_id = insight_of(request)
        left = InsightReview.objects.filter(pk=insight_id).first()
        review_claims.skip(moderator=request.user, insight_id=insight_id)
        return drawn(request, next_item(request, left)) | {
            "said": "Skipped for you until tomorrow; see “mine”."
        }


class DecideAction(Action):
    def act(self, request: ModeratorRequest) -> dict[str, Any]:
        insight_id = insight_of(request)
        left = InsightReview.objects.filter(pk=insight_id).first()
        event = review_decisions.decide(
            moderator=request.user,
            insight_id=insight_id,
            token=token_of(request),
            verdict=verdict_of(request),
            note=note_of(request),
            seen=ids_in(json_of(request, "seen", list)),
            text=seen_text(request, insight_id),
        )
        words = queue_words.verdict_line(event.verdict)
        return {"done": done(event, words)} | drawn(request, next_item(request, left))


class UndoAction(Action):
    """`event` undoes that decision; without it the moderator's own last one."""

    def act(self, request: ModeratorRequest) -> dict[str, Any]:
        own = None if request.POST.get("event") else review_decisions.own_last(request.user)
        if not request.POST.get("event") and own is None:
            raise Malformed("You have decided nothing that could be undone.")
        event_id = own.pk if own else parsed(request, "event", int)
        if not 0 < event_id < 2**63:
            raise Malformed("There is no such decision.")
        event = review_decisions.undo(moderator=request.user, event_id=event_id)
        said = f"Undone: {queue_words.verdict_line(event.verdict)}"
        try:
            review_claims.claim(moderator=request.user, insight_id=event.insight_id)
        except Refused as held:
            said += f". {held}"
        return drawn(request, event.insight_id) | {"said": said}


class IgnoreAction(Action):
    """`heed` takes it back."""

    def act(self, request: ModeratorRequest) -> dict[str, Any]:
        insight_id, user_id = insight_of(request), field(request, "user")
        if not 1 <= len(user_id) <= MAX_ID:
            raise Malformed("No flagger was named.")
        if request.POST.get("heed"):
            review_flaggers.heed(moderator=request.user, user_id=user_id)
            said = f"The flags of {user_id} count again."
        else:
            made = review_flaggers.ignore(moderator=request.user, user_id=user_id)
            said = f"The flags of {user_id} do not count until {made.until:%Y-%m-%d}."
        return drawn(request, insight_id) | {"said": said}


class BulkAction(Action):
    """Without a verdict: what would be decided, with the flags as they are now; with one: decides exactly that."""

    def act(self, request: ModeratorRequest) -> dict[str, Any]:
        chosen = json_of(request, "items", dict)
        if not chosen or len(chosen) > review_decisions.MAX_BULK:
            raise Malformed(f"Choose 1 to {review_decisions.MAX_BULK} insights.")
        if not all(1 <= len(key) <= MAX_ID and is_storable(key) for key in chosen):
            raise Malformed("An insight's id cannot be read.")
        if not request.POST.get("verdict"):
            return {
                "dialog": render_to_string("feedback/review_bulk.html", self._preview(list(chosen)), request)
            }
        known = review_texts.known_texts(list(chosen))
        texts = {key: review_texts.as_known(row) for key, row in known.items()}
        report = review_decisions.decide_bulk(
            moderator=request.user,
            items=[Item(key, ids_in(seen), texts.get(key)) for key, seen in chosen.items()],
            verdict=verdict_of(request),
            note=note_of(request),
        )
        return drawn(request, None) | {"report": _reported(report)}

    def _preview(self, insight_ids: list[str]) -> dict[str, Any]:
        review_rows.refresh(wait=False)
        texts = review_texts.known_texts(insight_ids)
        rows = [
            {
                "insight_id": key,
                "headline": texts[key].headline if key in texts else key,
                "seen": sorted(map(str, review_decisions.open_flags(key))),
            }
            for key in sorted(insight_ids)
        ]
        return {"rows": rows, "choices": queue_words.CHOICES}


def _reported(report: BulkReport) -> dict[str, Any]:
    return {
        "decided": [done(event, queue_words.verdict_line(event.verdict)) for event in report.decided],
        "refused": [{"insight": key, "text": str(refusal)} for key, refusal in report.refused],
    }
