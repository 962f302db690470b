"""What an address of the archive's pages asks for. A time that is none is refused, not ignored."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.http import HttpRequest

from utxoiq_admin.core.time_range import InvalidRange, parse_moment
from utxoiq_admin.retention.looking import FIELDS, Wanted
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.policies import POLICIES


@dataclass(frozen=True)
class Times:
    """start <= t < end, either open; the words as they were typed, and why they are refused ("" when they are not)."""

    start: datetime | None
    end: datetime | None
    texts: dict[str, str]
    refusal: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> "Times":
        """What `from` and `to` of the address say, in UTC unless they say otherwise."""
        texts = {name: request.GET.get(name, "").strip() for name in ("from", "to")}
        try:
            start = parse_moment(texts["from"]) if texts["from"] else None
            end = end_of(texts["to"]) if texts["to"] else None
            if start and end and start >= end:
                raise InvalidRange("the range ends before it starts")
        except InvalidRange as error:
            return cls(None, None, texts, f"{str(error)[:1].upper()}{str(error)[1:]}.")
        return cls(start, end, texts)


def end_of(text: str) -> datetime:
    """Where a range ends: a moment itself, a date with the end of its day, as whoever chooses a day means it.

    Raises InvalidRange.
    """
    found = parse_moment(text)
    return found + timedelta(days=1) if len(text) == len("2026-01-31") else found


def table_in(request: HttpRequest) -> str:
    """The table that the address names, "" for none or none of ours."""
    table = request.GET.get("table", "")
    return table if table in POLICIES else ""


def wanted_in(request: HttpRequest, table: str, times: Times) -> Wanted:
    """What the address asks for of a table's rows."""
    values = {name: request.GET.get(name, "").strip().replace("\0", "") for name in FIELDS[table]}
    return Wanted(table, {name: value for name, value in values.items() if value}, times.start, times.end)


def archives_wanted(request: HttpRequest, times: Times) -> "QuerySet[Archive]":
    """The manifests that the address asks for; none for times that are refused."""
    table, state = table_in(request), request.GET.get("state", "")
    found = Archive.objects.none() if times.refusal else Archive.objects.all()
    found = found.filter(table=table) if table else found
    found = found.filter(state=state) if state in Archive.State.values else found
    found = found.filter(last_at__gte=times.start) if times.start else found
    return found.filter(first_at__lt=times.end) if times.end else found
