"""Saved views: a person's own are listed, saved and deleted; anybody's is opened by its address."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views import View

from metrics.models import SavedView
from metrics.saved_views import InvalidView, delete_view, save_view
from metrics.views import PERMISSION


class Own(LoginRequiredMixin, PermissionRequiredMixin, View):
    permission_required = PERMISSION
    raise_exception = True


class SavedViewsView(Own):
    """GET lists the visitor's views; POST saves `query` under `name`."""

    def get(self, request: HttpRequest) -> JsonResponse:
        mine = SavedView.objects.filter(owner=cast(User, request.user))
        return JsonResponse({"views": [_as_json(view) for view in mine]})

    def post(self, request: HttpRequest) -> JsonResponse:
        name, query = (request.POST.get(key, "") for key in ("name", "query"))
        try:
            saved = save_view(owner=cast(User, request.user), name=name, query=query)
        except InvalidView as error:
            return JsonResponse({"error": str(error)}, status=422)
        return JsonResponse(_as_json(saved), status=201)


class OpenViewView(LoginRequiredMixin, PermissionRequiredMixin, View):
    """Anybody's view, for whoever may see charts."""

    permission_required = PERMISSION

    def get(self, request: HttpRequest, view: UUID) -> HttpResponse:
        saved = get_object_or_404(SavedView, pk=view)
        return redirect(f"{reverse('charts')}?{saved.query}")


class DeleteViewView(Own):
    http_method_names = ["post"]

    def post(self, request: HttpRequest, view: UUID) -> JsonResponse:
        if not delete_view(owner=cast(User, request.user), view=view):
            raise Http404("You have no such view.")
        return JsonResponse({})


def _as_json(view: SavedView) -> dict[str, Any]:
    return {
        "id": str(view.pk),
        "name": view.name,
        "query": view.query,
        "url": reverse("chart-view", args=[view.pk]),
        "delete": reverse("chart-view-delete", args=[view.pk]),
    }
