"""Whose flags do not count at the moment, and the way to take that back."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views import View

from feedback import review_flaggers
from feedback.models import IgnoredFlagger
from feedback.review_models import DatabaseClock
from feedback.review_refusals import Refused, Why
from feedback.review_views import PERMISSION, ModeratorRequest
from utxoiq_admin.core.pages import Page
from utxoiq_admin.core.schemas import is_storable

SHOWN = 200
ENDED_SHOWN = 20


class IgnoredPage(Page):
    title = "Ignored flaggers"
    template_name = "feedback/review_ignored.html"
    permission_required = PERMISSION

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rows = IgnoredFlagger.objects.select_related("moderator", "ended_by")
        standing = list(rows.filter(ended_at=None, until__gt=DatabaseClock()).order_by("-at")[: SHOWN + 1])
        over = rows.exclude(pk__in=[row.pk for row in standing]).order_by("-at")[:ENDED_SHOWN]
        records = review_flaggers.records(row.user_id for row in standing)
        return super().get_context_data(
            standing=[(row, records[row.user_id]) for row in standing[:SHOWN]],
            more=len(standing) > SHOWN,
            limit=SHOWN,
            over=over,
            **kwargs,
        )


class HeedView(LoginRequiredMixin, PermissionRequiredMixin, View):
    """POST `user`: their flags count again, and the page says so."""

    permission_required = PERMISSION
    http_method_names = ["post"]

    def handle_no_permission(self) -> Any:
        self.raise_exception = self.request.user.is_authenticated
        return super().handle_no_permission()

    def post(self, given: HttpRequest) -> HttpResponse:
        request, user = cast(ModeratorRequest, given), given.POST.get("user", "")
        try:
            if not is_storable(user):
                raise Refused(Why.UNKNOWN, "Nobody has such an id. Nothing was changed.")
            review_flaggers.heed(moderator=request.user, user_id=user)
            messages.success(request, f"The flags of {user} count again.")
        except Refused as refusal:
            messages.warning(request, str(refusal))
        return redirect("review-ignored")
