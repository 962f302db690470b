"""The filters of the lists: choices that cost no query, a range of time, and the exact value that a link names."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from utxoiq_admin.core.time_range import EARLIEST, PRESETS, InvalidRange, parse_range


class ListFilter(SimpleListFilter):
    """A filter that always stands in the bar, whatever the table holds."""

    def has_output(self) -> bool:
        return True

    def named(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """The names as choices, and with them the one that filters: a list that it empties must not read "All"."""
        chosen = self.value()
        found = list(names)
        return [(name, name) for name in [*found, *([chosen] if chosen and chosen not in found else [])]]


class ChoiceFilter(ListFilter):
    """A filter with a fixed list of values on one column: its choices cost no query. Set `field` and `values`."""

    field = ""
    values: Sequence[tuple[str, str]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return self.values

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset if value is None else queryset.filter(**{self.field: value})


class ExactFilter(ListFilter):
    """Exactly one value of a column, which links name: it stands in the bar only while it filters. Set `field`."""

    field = ""

    def has_output(self) -> bool:
        return self.value() is not None

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value)] if (value := self.value()) is not None else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset if value is None else queryset.filter(**{self.field: value})


class RangeFilter(ListFilter):
    """A preset in `?range=`, or two moments in `?from=` and `?to=`. Set `field`; with a `default` it is always set."""

    title = "range"
    parameter_name = "range"
    field = ""
    default = ""

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name in ("from", "to"):
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]

    def expected_parameters(self) -> list[str | None]:
        return ["range", "from", "to"]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        presets = [(name, label) for name, (label, _) in PRESETS.items()]
        return presets if self.default else [("", "any time"), *presets]

    def choices(self, changelist: Any) -> Iterator[Any]:
        absolute = "from" in self.used_parameters or "to" in self.used_parameters
        if absolute:
            parts = (self.used_parameters.get(name) or "…" for name in ("from", "to"))
            yield {"selected": True, "query_string": "", "display": " to ".join(parts)}
        elif self.value() and self.value() not in PRESETS:
            yield {"selected": True, "query_string": "", "display": "not understood"}
        for name, label in self.lookup_choices:
            yield {
                "selected": not absolute and name == (self.value() or self.default),
                "query_string": changelist.get_query_string({"range": name or None}, ["from", "to"]),
                "display": label,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        named = {name: self.used_parameters.get(name) or "" for name in ("from", "to")}
        if not (self.value() or self.default or any(named.values())):
            return queryset
        everything_before = named["to"] and not self.default and f"{EARLIEST}-01-01"
        try:
            chosen = parse_range(
                preset=self.value() or "",
                start=named["from"] or everything_before or "",
                end=named["to"],
                default=self.default or next(reversed(PRESETS)),
                now=timezone.now(),
            )
        except InvalidRange as error:
            messages.error(request, f"Range not understood: {error}. Nothing is shown.")
            return queryset.none()
        # A preset ends at the newest row, which may be ahead of this machine's clock.
        upper = {} if chosen.preset else {f"{self.field}__lt": chosen.end}
        return queryset.filter(**{f"{self.field}__gte": chosen.start}, **upper)
