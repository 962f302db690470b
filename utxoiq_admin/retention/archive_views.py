"""The pages of the archive: its objects, one of them with its rows, a search over them, restoring."""

import contextlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from utxoiq_admin.core import cursors
from utxoiq_admin.core.enqueue import enqueue
from utxoiq_admin.core.models import TaskRun
from utxoiq_admin.core.pages import Page
from utxoiq_admin.retention import looking, storage
from utxoiq_admin.retention.figures import timeline
from utxoiq_admin.retention.looking import FIELDS, OBJECTS, Wanted
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.policies import POLICIES
from utxoiq_admin.retention.views import Action

SIZE = 50
ORDER = ("-first_at", "-id")
HELD_DAYS = 7
LONGEST_HOLD = timedelta(days=366)
RESTORE_TASK = "retention.restore"
TIME = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)\+00:00$")
SHOWN_STATES = [state for state in Archive.State if state != Archive.State.WRITING]


def moment(text: str) -> datetime | None:
    """A date or a moment of an address, in UTC unless it says otherwise; None for nothing, or for no date."""
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(text.replace(" ", "T"))
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def end_of(text: str) -> datetime | None:
    """Where a range ends: a moment itself, a date with the end of its day, as whoever chooses a day means it."""
    found = moment(text)
    is_day = found is not None and len(text) == len("2026-01-31") and found.year < datetime.max.year
    return found + timedelta(days=1) if found and is_day else found


def wanted_in(request: HttpRequest, table: str) -> Wanted:
    """What the address asks for of a table's rows."""
    values = {name: request.GET.get(name, "").strip().replace("\0", "") for name in FIELDS[table]}
    return Wanted(
        table,
        {name: value for name, value in values.items() if value},
        moment(request.GET.get("from", "")),
        moment(request.GET.get("to", "")),
    )


def table_in(request: HttpRequest) -> str:
    table = request.GET.get("table", "")
    return table if table in POLICIES else ""


def as_table(table: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows for a page: time first, id last, else the columns in the table's order; values as text, times in UTC."""
    policy = POLICIES[table]
    names = [str(field.column) for field in policy.model._meta.concrete_fields]
    columns = [policy.time, *(name for name in names if name not in (policy.time, "id")), "id"]
    return {"columns": columns, "rows": [[_text(row.get(name)) for name in columns] for row in rows]}


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return TIME.sub(r"\1 \2", str(value))


class ArchivesPage(Page):
    title = "Archives"
    template_name = "retention/archives.html"
    permission_required = "retention.view_archive"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        get, table = self.request.GET.get, table_in(self.request)
        state, start, end = get("state", ""), moment(get("from", "")), end_of(get("to", ""))
        found = Archive.objects.all()
        found = found.filter(table=table) if table else found
        found = found.filter(state=state) if state in Archive.State.values else found
        found = found.filter(last_at__gte=start) if start else found
        found = found.filter(first_at__lt=end) if end else found
        try:
            page = cursors.page(found, order=ORDER, cursor=get("after"), size=SIZE)
        except cursors.InvalidCursor:
            page = cursors.page(found, order=ORDER, cursor=None, size=SIZE)
        return super().get_context_data(
            archives=page.rows,
            next_url=self._with(after=page.next) if page.next else "",
            first_url=self._with(after=None) if get("after") else "",
            tables=list(POLICIES),
            states=SHOWN_STATES,
            chosen={"table": table, "state": state, "from": get("from", ""), "to": get("to", "")},
            filtered=bool(table or state or start or end),
            timelines=[
                (name, months) for name in ([table] if table else POLICIES) if (months := timeline(name))
            ],
            place=storage.place(),
            **kwargs,
        )

    def _with(self, *, after: str | None) -> str:
        query = self.request.GET.copy()
        query.pop("after", None)
        if after:
            query["after"] = after
        return f"?{query.urlencode()}"


class ArchivePage(Page):
    title = "Archived object"
    template_name = "retention/archive.html"
    permission_required = "retention.view_archive"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        archive = get_object_or_404(Archive, pk=kwargs["pk"])
        wanted = wanted_in(self.request, archive.table)
        seen = looking.rows_of(archive, wanted) if archive.state in Archive.READABLE else None
        until = timezone.now() + timedelta(days=HELD_DAYS)
        return super().get_context_data(
            archive=archive,
            policy=POLICIES[archive.table],
            seen=seen,
            found=as_table(archive.table, seen.rows) if seen else None,
            fields=[(name, self.request.GET.get(name, "")) for name in FIELDS[archive.table]],
            chosen={"from": self.request.GET.get("from", ""), "to": self.request.GET.get("to", "")},
            filtered=bool(wanted.values or wanted.start or wanted.end),
            can_restore=archive.state in (Archive.State.ARCHIVED, Archive.State.RESTORED),
            restoring=TaskRun.objects.of(RESTORE_TASK).filter(args__archive=str(archive.pk)).first(),
            until=until.strftime("%Y-%m-%d"),
            **kwargs,
        )


class SearchPage(Page):
    """Rows of the archive: first by the manifests alone, then, when asked, by reading the objects."""

    title = "Search the archive"
    template_name = "retention/search.html"
    permission_required = "retention.view_archive"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        table = table_in(self.request) or "system_metrics"
        wanted = wanted_in(self.request, table)
        archives = looking.objects_for(wanted)
        read = archives[:OBJECTS]
        seen = looking.search(read, wanted) if "read" in self.request.GET and read else None
        query = self.request.GET.copy()
        query["read"] = "1"
        return super().get_context_data(
            table=table,
            tables=list(POLICIES),
            fields=[(name, self.request.GET.get(name, "")) for name in FIELDS[table]],
            chosen={"from": self.request.GET.get("from", ""), "to": self.request.GET.get("to", "")},
            archives=read,
            more=len(archives) > OBJECTS,
            limit=OBJECTS,
            lines=sum(each.rows for each in read),
            bytes=sum(each.bytes for each in read),
            seen=seen,
            found=as_table(table, seen.rows) if seen else None,
            read_url=f"?{query.urlencode()}",
            **kwargs,
        )


class Download(Page):
    """The object as it lies in the storage."""

    permission_required = "retention.view_archive"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        archive = get_object_or_404(Archive.objects.with_object(), pk=kwargs["pk"])
        try:
            parts = looking.download(archive)
        except storage.StorageFailed as error:
            messages.error(request, str(error))
            return redirect("archive", pk=archive.pk)
        response = StreamingHttpResponse(parts, content_type="application/gzip")
        response["Content-Disposition"] = f'attachment; filename="{archive.key.rpartition("/")[2]}"'
        response["Content-Length"] = str(archive.bytes)
        response["Cache-Control"] = "no-store"
        return response


class RestoreArchive(Action):
    """Has a worker bring the rows back; the object's page says how it went."""

    permission_required = "retention.change_archive"

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        archive, now = get_object_or_404(Archive, pk=pk), timezone.now()
        until = moment(request.POST.get("until", ""))
        if until is None or not now < until <= now + LONGEST_HOLD:
            messages.error(
                request, "Nothing was restored: choose until when the rows stay, within a year from now."
            )
        elif archive.state not in (Archive.State.ARCHIVED, Archive.State.RESTORED):
            messages.error(request, f"Nothing was restored: the object is {archive.state}.")
        else:
            args = {"archive": str(archive.pk), "until": until.isoformat(), "by": request.user.get_username()}
            enqueue(RESTORE_TASK, args=args, queue="long")
            messages.success(
                request, f"{archive.rows:,} rows are being restored; reload this page to see the result."
            )
        return redirect("archive", pk=archive.pk)
