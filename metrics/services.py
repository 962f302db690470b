"""What people decide about services."""

from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now

from metrics.catalogue import Service
from metrics.models import Retirement

NOTE_LENGTH = 500


class CannotRetire(ValueError):
    """The service was not retired; the message says why."""


def retire(*, service: Service | None, note: str, by: str, now: datetime) -> Retirement:
    """A silent service is not coming back, for the reason in `note`; it is not missed until it is heard.

    Raises CannotRetire for one that still reports (its next report would bring it back at once), one that is retired
    already, and without a note of 1 to NOTE_LENGTH characters.
    """
    note = note.strip()
    if service is None:
        raise CannotRetire("No such service has a row in the database.")
    if service.silent_since(now) is None:
        raise CannotRetire(f"{service.name} still reports: its next report would bring it back at once.")
    if not note or len(note) > NOTE_LENGTH or "\0" in note:
        raise CannotRetire(f"Say why in 1 to {NOTE_LENGTH} characters.")
    with transaction.atomic():
        standing = Retirement.objects.standing().select_for_update().filter(service_name=service.name)
        if any(each.counts(service.last) for each in standing):
            raise CannotRetire(f"{service.name} is retired already.")
        standing.update(ended_at=Now(), ended_by=by)  # it was heard since
        return Retirement.objects.create(service_name=service.name, note=note, retired_by=by)


def take_back(*, service_name: str, by: str) -> bool:
    """A retired service is missed again; False if it was not retired."""
    return bool(
        Retirement.objects.standing().filter(service_name=service_name).update(ended_at=Now(), ended_by=by)
    )
