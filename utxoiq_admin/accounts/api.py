"""A token asks about itself."""

from datetime import datetime
from typing import Literal

from django.http import HttpRequest
from ninja import Router, Schema

from utxoiq_admin.accounts.auth import Caller, ServiceAuth

router = Router(tags=["tokens"])


class Whoami(Schema):
    kind: Literal["token", "person"]
    name: str
    scopes: list[str]
    expires_at: datetime | None


class CallerRequest(HttpRequest):
    """A request that ServiceAuth let in."""

    auth: Caller


@router.get("/whoami", auth=ServiceAuth.anybody(), response=Whoami, summary="Check a token")
def whoami(request: CallerRequest) -> Whoami:
    """Whose token this is, what it may do, and until when (null: no expiry)."""
    caller = request.auth
    return Whoami(
        kind="token" if caller.token else "person",
        name=caller.name,
        scopes=list(caller.scopes),
        expires_at=caller.token.expires_at if caller.token else None,
    )
