"""The button of the demo banner."""

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from utxoiq_admin.demo import removal, tasks


@require_POST
@permission_required("demo.change_demostate", raise_exception=True)
def remove(request: HttpRequest) -> HttpResponse:
    """Start the removal; the banner then shows how far it is."""
    with transaction.atomic():
        if removal.request_removal():
            # A lost message costs only time: the minute's task takes up a removal that stands still.
            transaction.on_commit(_send, robust=True)
            messages.success(request, "Demo data is being removed. Rows of your own stay as they are.")
        else:
            messages.info(request, "There is no demo data to remove, or it is being removed already.")
    return redirect(_back(request))


def _send() -> None:
    tasks.remove.apply_async(queue="long")


def _back(request: HttpRequest) -> str:
    """The page with the button, if it is one of ours."""
    target = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if ours else resolve_url("home")
