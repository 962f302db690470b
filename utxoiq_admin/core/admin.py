"""Admin lists that open at once on tables of any size.

Pages are found by keyset (a cursor in the URL), never by OFFSET; the count is exact to COUNT_LIMIT and the
planner's estimate above; only columns with an index sort; rows are for looking at, not for editing.
"""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import DateTimeField, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from utxoiq_admin.core.csv_export import keyset_rows, stream_csv
from utxoiq_admin.core.cursors import InvalidCursor, page
from utxoiq_admin.core.display import count_text

COUNT_LIMIT = 10_000
SURELY_MORE = 5  # estimates of filters that go together can be wrong by some factor
EXPORT_LIMIT = 100_000
PAGE_SIZE = 50
AFTER, BEFORE = "after", "before"
NOT_UNDERSTOOD = (
    "The address asked for a page, filter or order that this list does not have. This is the whole list."
)


def bounded_count(queryset: QuerySet[Any]) -> tuple[int, bool]:
    """(rows, exact): counted up to COUNT_LIMIT, above that the planner's estimate for the same query.

    Where the planner expects far more than COUNT_LIMIT nothing is counted: reaching the limit through a filter that
    no index serves took 135 ms of a page of 230 on 26 million metrics.
    """
    if queryset.query.is_empty():
        return 0, True
    estimate = _estimate(queryset)
    if estimate > SURELY_MORE * COUNT_LIMIT:
        return estimate, False
    counted = queryset.order_by()[: COUNT_LIMIT + 1].count()
    return (counted, True) if counted <= COUNT_LIMIT else (max(estimate, counted), False)


def _estimate(queryset: QuerySet[Any]) -> int:
    sql, params = queryset.order_by().values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
        return int(cursor.fetchone()[0][0]["Plan"]["Plan Rows"])


class StrictChangeList(ChangeList):
    """A change list that is narrowed by its own filters only, and says so when an address asks for anything else.

    Django takes any column and lookup from an address (`?comment__regex=`, `?rating__range=1`): some of them cost a
    scan of the table, and some are answered 500.
    """

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        if any("\0" in value for values in request.GET.lists() for value in values[1]):
            raise IncorrectLookupParameters("a NUL character stands in the address")
        super().__init__(request, *args)
        if ERROR_FLAG in request.GET:
            messages.warning(request, NOT_UNDERSTOOD)

    def get_filters(self, request: HttpRequest) -> Any:
        found = super().get_filters(request)
        if unasked := found[2]:
            raise IncorrectLookupParameters(f"this list has no filter {', '.join(unasked)}")
        return found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        try:
            return super().get_queryset(request, exclude_parameters)
        except (ValueError, OverflowError) as error:  # a filter's value that its column cannot hold
            raise IncorrectLookupParameters(str(error)) from error


class KeysetChangeList(StrictChangeList):
    """A change list whose page is named by a cursor: `?after=` or `?before=`."""

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.cursor_after = request.GET.get(AFTER)
        self.cursor_before = request.GET.get(BEFORE)
        super().__init__(request, *args)
        self.title = self.opts.verbose_name_plural.capitalize()

    def get_filters_params(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        found = super().get_filters_params(params)
        return {key: value for key, value in found.items() if key not in (AFTER, BEFORE)}

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """A changed filter or order starts again at the first page: old cursors do not fit it."""
        new_params = dict(new_params or {})
        for key in (AFTER, BEFORE):
            new_params.setdefault(key, None)
        return super().get_query_string(new_params, remove)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        """The clicked column if it has an index, else the table's own order; the id breaks ties."""
        first = (super().get_ordering(request, queryset) or self.model_admin.keyset_order)[0]
        if first.lstrip("-") not in self.model_admin.sortable_by:
            return list(self.model_admin.keyset_order)
        return [first, "-id" if first.startswith("-") else "id"]

    def get_results(self, request: HttpRequest) -> None:
        backwards = self.cursor_before is not None
        try:
            found = page(
                self.queryset,
                order=self.queryset.query.order_by,
                cursor=self.cursor_before if backwards else self.cursor_after,
                direction="prev" if backwards else "next",
                size=self.list_per_page,
            )
        except InvalidCursor as error:
            raise IncorrectLookupParameters(str(error)) from error
        self.result_list = found.rows
        if found.next or found.prev:
            self.result_count, self.count_is_exact = bounded_count(self.queryset)
        else:
            self.result_count, self.count_is_exact = len(found.rows), True
        self.next_url = self.get_query_string({AFTER: found.next}) if found.next else ""
        self.previous_url = self.get_query_string({BEFORE: found.prev}) if found.prev else ""
        self.first_url = self.get_query_string() if self.cursor_after or self.cursor_before else ""
        self.full_result_count = self.result_count
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        self.has_filters = False  # the bar above the list shows them; the theme's slide-over stays away
        self.paginator = self.model_admin.get_paginator(request, self.result_list, self.list_per_page)

    @property
    def page_words(self) -> tuple[str, str]:
        """What the links to the page before and the page after are called: what the list is ordered by decides."""
        first = self.queryset.query.order_by[0]
        if not isinstance(self.opts.get_field(first.lstrip("-")), DateTimeField):
            return "Previous", "Next"
        return ("Newer", "Older") if first.startswith("-") else ("Older", "Newer")

    @property
    def count_text(self) -> str:
        noun = "row" if self.result_count == 1 else "rows"
        return f"{count_text(self.result_count, exact=self.count_is_exact)} {noun}"

    @property
    def export_limit(self) -> int | None:
        """How many rows an export stops at, if it would stop short."""
        return EXPORT_LIMIT if self.result_count > EXPORT_LIMIT else None


class LargeTableAdmin(ModelAdmin):
    """Base of the three tables' lists. Subclasses name `keyset_order`, `sortable_by` and `export_fields`."""

    change_list_template = "core/large_change_list.html"
    keyset_order: Sequence[str] = ("-id",)
    sortable_by: Sequence[str] = ()
    export_fields: Sequence[str] = ()
    empty_text = ""
    list_per_page = PAGE_SIZE
    list_fullwidth = True
    show_full_result_count = False
    show_facets = (
        ShowFacets.NEVER
    )  # a count for each choice of each filter: `?_facets=1` cost 2 s on a day of rows
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/", self.admin_site.admin_view(self.export_view), name=name), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """CSV of exactly what the list's filters show, in its order, up to EXPORT_LIMIT rows."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        self.request = request
        try:
            shown = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect("../?e=1")
        rows = keyset_rows(shown.queryset, order=shown.queryset.query.order_by, fields=self.export_fields)
        return stream_csv(self.opts.db_table, self.export_fields, rows, limit=EXPORT_LIMIT)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        extra = {
            "show_save": False,
            "show_save_and_continue": False,
            "show_close": False,
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, extra)
