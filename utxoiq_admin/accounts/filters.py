"""The filter of the token list."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from utxoiq_admin.accounts.models import ServiceToken


class TokenStateFilter(SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.label) for state in ServiceToken.State]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        now = timezone.now()
        return {
            "active": queryset.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None),
            "expired": queryset.filter(expires_at__lte=now, revoked_at=None),
            "revoked": queryset.filter(revoked_at__isnull=False),
        }.get(self.value() or "", queryset)
