"""Saving charts under a name, and forgetting them. Whoever may see charts may open anybody's by its address."""

from uuid import UUID

from django.contrib.auth.models import User
from django.http import QueryDict
from django.utils import timezone

from metrics.models import SavedView

# What the address of a charts page is made of; all else is left out of what is saved.
KEYS = ("service", "type", "by", "from", "to", "compare", "tz", "p95", "threshold", "only", "table")
MOST = 100  # views of one person
LONGEST = 4_000  # characters of a query: addresses beyond that break elsewhere
LONGEST_NAME = 80


class InvalidView(ValueError):
    """Why a view cannot be saved, for the person who asked."""


def save_view(*, owner: User, name: str, query: str) -> SavedView:
    """Keep the query under the owner's name for it; the one that had the name is replaced. Raises InvalidView."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or "\0" in name:
        raise InvalidView(f"A name has at least 1 and at most {LONGEST_NAME} characters.")
    if len(query) > LONGEST:
        raise InvalidView(f"This view chooses too much to be saved: {LONGEST:,} characters are the limit.")
    kept = cleaned(query)
    if not kept:
        raise InvalidView("There is nothing chosen to save.")
    mine = SavedView.objects.filter(owner=owner)
    if mine.count() >= MOST and not mine.filter(name=name).exists():
        raise InvalidView(f"You have {MOST} views, which is the limit. Delete one first.")
    made, _ = SavedView.objects.update_or_create(
        owner=owner, name=name, defaults={"query": kept, "saved_at": timezone.now()}
    )
    return made


def delete_view(*, owner: User, view: UUID) -> bool:
    """Forget a view of the owner's; False if there is none."""
    deleted, _ = SavedView.objects.filter(owner=owner, pk=view).delete()
    return bool(deleted)


def cleaned(query: str) -> str:
    """The query with nothing in it but what a charts page knows."""
    given, kept = QueryDict(query), QueryDict(mutable=True)
    for key in KEYS:
        values = [value for value in given.getlist(key) if "\0" not in value]
        if values:
            kept.setlist(key, values)
    return kept.urlencode()
