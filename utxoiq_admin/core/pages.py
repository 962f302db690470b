"""What every page outside the admin has in common: sign-in, its own permission, the sidebar and the title."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.generic import TemplateView


class Page(LoginRequiredMixin, PermissionRequiredMixin, TemplateView):
    """A page of the application. Subclasses name `title`, `template_name` and `permission_required`.

    Without a session the visitor is sent to sign in; without the permission, answered 403.
    """

    title = ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            **admin.site.each_context(self.request), title=self.title, is_fullwidth="1", **kwargs
        )


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: which right is missing is for an administrator to grant, so the page says what to ask and whom."""
    from django.contrib.auth import get_user_model

    administrators = get_user_model().objects.filter(is_superuser=True, is_active=True).order_by("pk")[:5]
    context = {
        **(admin.site.each_context(request) if request.user.is_authenticated else {}),
        "title": "Not for your account",
        "administrators": [user.get_username() for user in administrators],
        "groups": [group.name for group in request.user.groups.all()]
        if request.user.is_authenticated
        else [],
        "reason": str(exception) if exception else "",
    }
    return render(request, "403.html", context, status=403)
