"""The overview of services, and retiring one."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from metrics import catalogue, services
from metrics.overview import State, Verdict, overview
from metrics.overview_rows import row_of
from utxoiq_admin.core.pages import Page

VIEW = "metrics.view_systemmetric"
RETIRE = "metrics.add_retirement"
TAKE_BACK = "metrics.change_retirement"
# Name in the address -> (words, which states it shows).
FILTERS: dict[str, tuple[str, set[Verdict]]] = {
    "": ("all", set(Verdict)),
    "problems": ("with a problem", {v for v in Verdict if v < Verdict.WELL}),
    "silent": ("silent", {Verdict.SILENT}),
    "partly": ("not all instances", {Verdict.PARTLY}),
    "gone": ("gone or retired", {Verdict.GONE, Verdict.RETIRED}),
}


class ServicesPage(Page):
    """A row for each service, the worst first. `?q=` part of the name, `?state=` one of FILTERS."""

    title = "Services"
    template_name = "metrics/services.html"
    permission_required = VIEW

    def get_template_names(self) -> list[str]:
        return ["metrics/services_live.html"] if "live" in self.request.GET else [self.template_name]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = timezone.now()
        states = overview(now)
        found = [state for state in states if self._wanted(state)]
        rows = {group: [row_of(s, now) for s in found if s.verdict in group] for group in _GROUPS}
        present = [state for state in states if state.verdict <= Verdict.WELL]
        live = self.request.GET.copy()
        live["live"] = "1"
        return super().get_context_data(
            now=now,
            rows=rows[_PRESENT],
            gone=rows[_GONE],
            retired=rows[_RETIRED],
            total=len(states),
            present=len(present),
            problems=sum(state.verdict < Verdict.WELL for state in present),
            q=self.request.GET.get("q", ""),
            chosen=self.request.GET.get("state", ""),
            filters=[(name, words) for name, (words, _) in FILTERS.items()],
            live=f"?{live.urlencode()}",
            may_retire=self.request.user.has_perm(RETIRE),
            may_take_back=self.request.user.has_perm(TAKE_BACK),
            note_length=services.NOTE_LENGTH,
            **kwargs,
        )

    def _wanted(self, state: State) -> bool:
        text = self.request.GET.get("q", "").strip().lower()
        _, verdicts = FILTERS.get(self.request.GET.get("state", ""), FILTERS[""])
        return text in state.service.name.lower() and state.verdict in verdicts


_PRESENT = frozenset(verdict for verdict in Verdict if verdict <= Verdict.WELL)
_GONE, _RETIRED = frozenset({Verdict.GONE}), frozenset({Verdict.RETIRED})
_GROUPS = (_PRESENT, _GONE, _RETIRED)


@require_POST
@permission_required(RETIRE, raise_exception=True)
def retire(request: HttpRequest) -> HttpResponse:
    """`service` and `note`: it is not coming back."""
    name = request.POST.get("service", "")
    service = next((s for s in catalogue.services() if s.name == name), None)
    try:
        services.retire(
            service=service,
            note=request.POST.get("note", ""),
            by=request.user.get_username(),
            now=timezone.now(),
        )
    except services.CannotRetire as error:
        messages.error(request, f"Nothing was retired. {error}")
    else:
        messages.success(request, f"{name} is retired. It returns by itself when it is heard.")
    return redirect(reverse("services"))


@require_POST
@permission_required(TAKE_BACK, raise_exception=True)
def take_back(request: HttpRequest) -> HttpResponse:
    """`service`: it is missed again."""
    name = request.POST.get("service", "")
    if "\0" not in name and services.take_back(service_name=name, by=request.user.get_username()):
        messages.success(request, f"{name} is missed again while it is silent.")
    else:
        messages.error(request, "Nothing was changed: no such service is retired.")
    return redirect(reverse("services"))
