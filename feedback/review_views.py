"""The queue's page and its fragments. Looking claims nothing: what changes anything is in `review_actions`."""

from typing import Any, cast

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from feedback import queue_reading, queue_words, review_rows
from feedback.queue_item import Item, item
from feedback.queue_reading import Wish
from feedback.review_claims import live_claims
from feedback.review_models import Verdict
from utxoiq_admin.core.cursors import InvalidCursor
from utxoiq_admin.core.pages import Page
from utxoiq_admin.core.schemas import is_storable

PERMISSION = "feedback.decide_insightreview"
MAX_ID = 100


class ModeratorRequest(HttpRequest):
    """A request past the check of who may decide."""

    user: User


def list_context(request: ModeratorRequest, wish: Wish) -> dict[str, Any]:
    """What the tabs and the list are drawn from; a cursor that is none begins at the start."""
    review_rows.refresh(wait=False)
    try:
        found = queue_reading.listing(request.user, wish)
    except InvalidCursor:
        wish = Wish(**{**vars(wish), "after": ""})
        found = queue_reading.listing(request.user, wish)
    counts = queue_reading.counts(request.user)
    return {
        "wish": wish,
        "rows": found.rows,
        "next": wish.address(after=found.next) if found.next else "",
        "first": wish.address() if wish.after else None,
        "tabs": [
            (name, label, counts.get(name), wish.address(tab=name))
            for name, label in queue_reading.TABS.items()
        ],
        "now": timezone.now(),
    }


def item_context(request: ModeratorRequest, insight_id: str) -> dict[str, Any]:
    """What the item is drawn from. Raises Http404 for text that can be no id."""
    if not insight_id or len(insight_id) > MAX_ID or not is_storable(insight_id):
        raise Http404("No insight has such an id.")
    shown: Item = item(insight_id, request.user)
    return {"item": shown, "choices": queue_words.CHOICES}


class ReviewPage(Page):
    title = "Review"
    template_name = "feedback/review.html"
    permission_required = PERMISSION

    def get_template_names(self) -> list[str]:
        return ["feedback/review_list.html"] if "live" in self.request.GET else [self.template_name]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        request = cast(ModeratorRequest, self.request)
        wish = Wish.of(request.GET)
        context = list_context(request, wish)
        if "live" not in self.request.GET:
            chosen = self._chosen(request, context["rows"])
            context |= {"choices": queue_words.CHOICES, "chosen": chosen}
            if chosen:
                context |= item_context(request, chosen)
            context |= {
                "kinds": queue_reading.KINDS,
                "ages": queue_reading.AGES,
                "flag_steps": queue_reading.FLAGS,
                "verdicts": Verdict.choices,
            }
        return super().get_context_data(**context, **kwargs)

    def _chosen(self, request: ModeratorRequest, rows: list[queue_reading.Row]) -> str:
        """The item in the address, else what the visitor holds already, else the first of the list."""
        wanted = request.GET.get("item", "")
        if wanted and len(wanted) <= MAX_ID and is_storable(wanted):
            return wanted
        held = live_claims().filter(moderator=request.user).values_list("pk", flat=True).first()
        free = [row.review.pk for row in rows if not row.held_by or row.mine]
        return held or (free or [row.review.pk for row in rows] or [""])[0]


class ItemView(Page):
    """One item as a fragment, to look at."""

    permission_required = PERMISSION

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        context = item_context(cast(ModeratorRequest, request), request.GET.get("insight", ""))
        return render(request, "feedback/review_item.html", context)
