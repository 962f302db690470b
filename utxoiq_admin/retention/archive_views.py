"""The pages of the archive: its objects, one of them with its rows, a search over them, restoring."""

import json
import re
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views import View

from utxoiq_admin.core import cursors
from utxoiq_admin.core.csv_export import keyset_rows, stream_csv
from utxoiq_admin.core.enqueue import enqueue
from utxoiq_admin.core.models import TaskRun
from utxoiq_admin.core.pages import Page
from utxoiq_admin.core.time_range import InvalidRange, parse_moment
from utxoiq_admin.retention import looking, storage
from utxoiq_admin.retention.figures import timeline
from utxoiq_admin.retention.looking import FIELDS, OBJECTS
from utxoiq_admin.retention.models import Archive
from utxoiq_admin.retention.policies import POLICIES
from utxoiq_admin.retention.views import Action
from utxoiq_admin.retention.wishes import Times, archives_wanted, table_in, wanted_in

SIZE = 50
ORDER = ("-first_at", "-id")
HELD_DAYS = 7
EXPORT_LIMIT = 100_000
EXPORTED = (
    "table", "state", "first_at", "last_at", "rows", "bytes", "checksum", "sha256", "key", "verified_at", "deleted_at",
    "rows_deleted", "restored_at", "restored_by", "hold_until", "removed_at", "error",
)  # fmt: skip
LONGEST_HOLD = timedelta(days=366)
RESTORE_TASK = "retention.restore"
TIME = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)\+00:00$")
SHOWN_STATES = [state for state in Archive.State if state != Archive.State.WRITING]


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
        get, table, times = self.request.GET.get, table_in(self.request), Times.of(self.request)
        found, state = archives_wanted(self.request, times), get("state", "")
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
            chosen={"table": table, "state": state, **times.texts},
            refusal=times.refusal,
            export_url=f"{reverse('archives_export')}?{self.request.GET.urlencode()}",
            filtered=bool(table or state or any(times.texts.values())),
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
        times = Times.of(self.request)
        wanted = wanted_in(self.request, archive.table, times)
        viewable = archive.state in Archive.VIEWABLE
        seen = looking.rows_of(archive, wanted) if viewable and not times.refusal else None
        until = timezone.now() + timedelta(days=HELD_DAYS)
        return super().get_context_data(
            archive=archive,
            policy=POLICIES[archive.table],
            seen=seen,
            found=as_table(archive.table, seen.rows) if seen else None,
            fields=[(name, self.request.GET.get(name, "")) for name in FIELDS[archive.table]],
            chosen=times.texts,
            refusal=times.refusal,
            viewable=viewable,
            filtered=bool(times.refusal or wanted.values or wanted.start or wanted.end),
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
        times = Times.of(self.request)
        wanted = wanted_in(self.request, table, times)
        archives = [] if times.refusal else looking.objects_for(wanted)
        read = archives[:OBJECTS]
        seen = looking.search(read, wanted) if "read" in self.request.GET and read else None
        query = self.request.GET.copy()
        query["read"] = "1"
        return super().get_context_data(
            table=table,
            tables=list(POLICIES),
            fields=[(name, self.request.GET.get(name, "")) for name in FIELDS[table]],
            chosen=times.texts,
            refusal=times.refusal,
            archives=read,
            older_url=self._older(read[-1]) if len(archives) > OBJECTS else "",
            limit=OBJECTS,
            lines=sum(each.rows for each in read),
            bytes=sum(each.bytes for each in read),
            seen=seen,
            found=as_table(table, seen.rows) if seen else None,
            read_url=f"?{query.urlencode()}",
            **kwargs,
        )

    def _older(self, last: Archive) -> str:
        """The same question about the objects before the oldest of these."""
        query = self.request.GET.copy()
        query.pop("read", None)
        query["to"] = (last.first_at - timedelta(microseconds=1)).isoformat()
        return f"?{query.urlencode()}"


class ArchivesExport(LoginRequiredMixin, PermissionRequiredMixin, View):
    """CSV of the manifests that the list shows, up to EXPORT_LIMIT."""

    permission_required = "retention.view_archive"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        times = Times.of(request)
        if times.refusal:
            return HttpResponse(times.refusal, status=422, content_type="text/plain; charset=utf-8")
        rows = keyset_rows(archives_wanted(request, times), ORDER, EXPORTED, limit=EXPORT_LIMIT + 1)
        return stream_csv("archives", EXPORTED, rows, limit=EXPORT_LIMIT)


class Download(Page):
    """The object as it lies in the storage."""

    permission_required = "retention.view_archive"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        archive = get_object_or_404(Archive, pk=kwargs["pk"], state__in=Archive.VIEWABLE)
        try:
            parts = looking.download(archive)
        except storage.StorageFailed as error:
            messages.error(request, str(error))
            return redirect("archive", pk=archive.pk)
        response = StreamingHttpResponse(parts, content_type="application/gzip")
        response["Content-Disposition"] = f'attachment; filename="{archive.key.rpartition("/")[2]}"'
        if (
            archive.state != Archive.State.DAMAGED
        ):  # which may be shorter, and a download that ends early is none
            response["Content-Length"] = str(archive.bytes)
        response["Cache-Control"] = "no-store"
        return response


class RestoreArchive(Action):
    """Has a worker bring the rows back; the object's page says how it went."""

    permission_required = "retention.change_archive"

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        archive, now = get_object_or_404(Archive, pk=pk), timezone.now()
        try:
            until = parse_moment(request.POST.get("until", ""))
        except InvalidRange:
            until = now
        if not now < until <= now + LONGEST_HOLD:
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
