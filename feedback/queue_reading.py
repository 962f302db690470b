"""The lists of the queue: tabs, filters, a page of rows. All is read from `insight_reviews`, nothing computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from feedback.models import InsightFlag, InsightReview, ReviewEvent, ReviewSkip
from feedback.review_claims import ORDER, live_claims, live_skips
from feedback.review_models import DatabaseClock, Verdict
from feedback.review_texts import known_texts
from utxoiq_admin.core import cursors
from utxoiq_admin.core.schemas import is_storable

State = InsightReview.State
TABS = {
    "waiting": "waiting",
    "mine": "mine",
    "escalated": "escalated",
    "skipped": "skipped by all",
    "decided": "decided",
}
KINDS = ("inaccurate", "misleading", "spam", "other")
AGES = {"1h": ("over 1 h", 1), "6h": ("over 6 h", 6), "24h": ("over 24 h", 24), "72h": ("over 3 d", 72)}
FLAGS = ("5", "10", "20")
PAGE = 50
ON_SHIFT = timedelta(hours=24)  # who decided or skipped anything since then counts among "all"
DECIDED_ORDER = ("-decided_at", "-insight_id")


@dataclass(frozen=True)
class Wish:
    """Which rows somebody wants to see; what an address holds besides is not heard."""

    tab: str = "waiting"
    kind: str = ""
    age: str = ""
    flags: str = ""
    reason: str = ""
    verdict: str = ""
    find: str = ""
    after: str = ""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Wish":
        """From an address or a form; a value that no filter has counts as none."""
        text = {name: str(given.get(name, ""))[:200].strip() for name in cls.__dataclass_fields__}
        text = {name: value if is_storable(value) else "" for name, value in text.items()}
        offered = {"tab": TABS, "kind": KINDS, "age": AGES, "flags": FLAGS, "verdict": Verdict.values}
        for name, values in offered.items():
            if text[name] not in values:
                text[name] = ""
        return cls(**{**text, "tab": text["tab"] or "waiting"})

    @property
    def filtered(self) -> bool:
        return any((self.kind, self.age, self.flags, self.reason, self.verdict, self.find))

    def address(self, **changes: str) -> str:
        """This wish, changed, as the query of an address."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__} | {"after": ""} | changes
        return urlencode({name: value for name, value in values.items() if value and value != "waiting"})


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    review: InsightReview
    headline: str
    held_by: str = ""
    mine: bool = False
    skipped: bool = False


@dataclass(frozen=True)
class Listing:
    rows: list[Row] = field(default_factory=list)
    next: str = ""


def rows_of(moderator: User, wish: Wish) -> "QuerySet[InsightReview]":
    """The reviews of a tab that pass the filters. A search by id looks in every tab."""
    rows = InsightReview.objects.all()
    if wish.find:
        return rows.filter(insight_id__startswith=wish.find)
    rows = _of_tab(rows, moderator, wish.tab)
    if wish.tab == "decided":
        return _decided(rows, wish)
    if wish.kind:
        rows = rows.filter(**{f"{wish.kind}__gt": 0})
    if wish.age:
        rows = rows.filter(waiting_since__lt=DatabaseClock() - timedelta(hours=AGES[wish.age][1]))
    if wish.flags:
        rows = rows.filter(unjudged__gte=int(wish.flags))
    return _with_reason(rows, wish.reason)


def _decided(rows: "QuerySet[InsightReview]", wish: Wish) -> "QuerySet[InsightReview]":
    """The filters of decided ones: by the verdict and how long ago it was, since no flag of theirs is open."""
    if wish.verdict:
        rows = rows.filter(last_verdict=wish.verdict)
    if wish.age:
        rows = rows.filter(decided_at__lt=DatabaseClock() - timedelta(hours=AGES[wish.age][1]))
    return _with_reason(rows, wish.reason)


def _with_reason(rows: "QuerySet[InsightReview]", words: str) -> "QuerySet[InsightReview]":
    if not words:
        return rows
    flags = InsightFlag.objects.filter(insight_id=OuterRef("insight_id"), withdrawn_at=None)
    return rows.filter(Exists(flags.filter(flag_reason__icontains=words)))


def _of_tab(rows: "QuerySet[InsightReview]", moderator: User, tab: str) -> "QuerySet[InsightReview]":
    if tab == "mine":
        # By key: a condition on every row would read all that was ever flagged.
        held = list(live_claims().filter(moderator=moderator).values_list("insight_id", flat=True))
        skipped = list(live_skips().filter(moderator=moderator).values_list("insight_id", flat=True))
        return rows.filter(Q(pk__in=held) | Q(pk__in=skipped, state=State.WAITING))
    if tab == "skipped":
        return _skipped_by_all(rows.filter(state=State.WAITING))
    return rows.filter(state=tab)


def _skipped_by_all(rows: "QuerySet[InsightReview]") -> "QuerySet[InsightReview]":
    """Whom nobody on shift will be offered: each of those who worked in the last day has skipped it."""
    worked = ReviewEvent.objects.filter(at__gt=DatabaseClock() - ON_SHIFT).order_by().values_list("moderator")
    people = set(worked.union(live_skips().values_list("moderator")))
    if not people:
        return rows.none()
    skips = ReviewSkip.objects.filter(until__gt=DatabaseClock()).values("insight_id")
    by_all = skips.annotate(people=Count("moderator")).filter(people__gte=len(people))
    return rows.filter(insight_id__in=by_all.values("insight_id"))


def counts(moderator: User) -> dict[str, int]:
    """How many stand in each tab that names a number."""
    found = dict(
        InsightReview.objects.filter(state__in=(State.WAITING, State.ESCALATED))
        .values_list("state")
        .annotate(n=Count("*"))
        .order_by()
    )
    return {
        "waiting": found.get(State.WAITING, 0),
        "mine": _of_tab(InsightReview.objects.all(), moderator, "mine").count(),
        "escalated": found.get(State.ESCALATED, 0),
        "skipped": _of_tab(InsightReview.objects.all(), moderator, "skipped").count(),
    }


def listing(moderator: User, wish: Wish) -> Listing:
    """A page of rows in the order of the tab. Raises cursors.InvalidCursor."""
    decided = wish.tab == "decided" and not wish.find
    found: cursors.Page[InsightReview] = _page(rows_of(moderator, wish), wish, decided=decided)
    ids = [row.pk for row in found.rows]
    texts = known_texts(ids)
    held = {c.insight_id: c.moderator for c in live_claims().filter(pk__in=ids).select_related("moderator")}
    skipped = set(
        live_skips().filter(moderator=moderator, insight_id__in=ids).values_list("insight_id", flat=True)
    )
    rows = [
        Row(
            review=row,
            headline=texts[row.pk].headline if row.pk in texts else "",
            held_by=held[row.pk].get_username() if row.pk in held else "",
            mine=row.pk in held and held[row.pk] == moderator,
            skipped=row.pk in skipped,
        )
        for row in found.rows
    ]
    return Listing(rows, found.next or "")


def _page(rows: "QuerySet[InsightReview]", wish: Wish, *, decided: bool) -> "cursors.Page[InsightReview]":
    if not decided:
        return cursors.page(rows, order=ORDER, cursor=wish.after or None, size=PAGE)
    # A decided row has its time; only the column may be empty, for those in other states.
    place = cursors.decode(wish.after) if wish.after else None
    rows = rows.order_by(*DECIDED_ORDER)
    if place is not None:
        if len(place) != 2 or not (isinstance(place[0], datetime) and isinstance(place[1], str)):
            raise cursors.InvalidCursor(
                "The cursor belongs to another list. Leave it out to begin at the start."
            )
        rows = rows.filter(Q(decided_at__lt=place[0]) | Q(decided_at=place[0], insight_id__lt=place[1]))
    found = list(rows[: PAGE + 1])
    more = cursors.place(found[PAGE - 1], DECIDED_ORDER) if len(found) > PAGE else None
    return cursors.Page(found[:PAGE], more, None)
