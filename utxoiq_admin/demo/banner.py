"""What every page says about the demo data."""

from typing import Any

from django.http import HttpRequest

from utxoiq_admin.demo.models import DemoState


def banner(request: HttpRequest) -> dict[str, Any] | None:
    """`state`, `phase`, `percent`, `rows`, `interrupted`, `can_remove`; None while there is no demo data.

    One read of one row by its key.
    """
    state = DemoState.objects.filter(pk=1).exclude(state=DemoState.State.ABSENT).first()
    if state is None:
        return None
    return {
        "state": state.state,
        "phase": state.phase,
        "percent": round(state.percent),
        "rows": state.rows,
        "interrupted": state.interrupted,
        "can_remove": state.state != DemoState.State.REMOVING
        and request.user.has_perm("demo.change_demostate"),
    }
