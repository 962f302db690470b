"""Who may call the API: a service token with the scope, or a person who may see the same in the admin."""

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest
from django.utils import timezone
from ninja.security.base import AuthBase

from utxoiq_admin.accounts.models import SCOPES, ServiceToken
from utxoiq_admin.accounts.services import token_note_use
from utxoiq_admin.core.api import ApiError, Fault

# What a person must be allowed to see, to read by session what a token reads by scope. The health of the
# database is shown as metrics too.
READ_PERMISSIONS = {
    "metrics:read": "metrics.view_systemmetric",
    "feedback:read": "feedback.view_insightfeedback",
    "backfill:read": "backfill.view_backfilljob",
    "monitoring:read": "metrics.view_systemmetric",
    "retention:run": "retention.view_run",
}
CHALLENGE = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True)
class Caller:
    """Who is calling: exactly one of a token and a person's name."""

    name: str
    token: ServiceToken | None
    scopes: tuple[str, ...]


class ServiceAuth(AuthBase):
    """Lets in who holds `scope`; `permission` overrides what a person needs to read the same.

    Without a scope nobody gets in: an operation must say what it needs. `ServiceAuth.anybody()` asks for a
    usable token or a session, whatever they may do.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, scope: str | None = None, *, permission: str | None = None) -> None:
        if scope is not None and scope not in SCOPES:
            raise ValueError(f"{scope} is no scope; the known ones are {', '.join(SCOPES)}")
        super().__init__()
        self.scope, self.is_open_to_all_callers = scope, False
        self.permission = permission or READ_PERMISSIONS.get(scope or "")

    @classmethod
    def anybody(cls) -> "ServiceAuth":
        auth = cls()
        auth.is_open_to_all_callers = True
        return auth

    def __call__(self, request: HttpRequest) -> Caller:
        """The caller. Raises ApiError 401 for nobody known, 403 for somebody with too little."""
        if "Authorization" in request.headers:
            return self._by_token(_token(request.headers["Authorization"]))
        if not request.user.is_authenticated:
            raise _unauthorized("missing", "Send `Authorization: Bearer <service token>`.")
        return self._by_session(request)

    def _by_token(self, token: ServiceToken) -> Caller:
        token_note_use(token=token, now=timezone.now())
        if not self.is_open_to_all_callers and self.scope not in token.scopes:
            need = f"It needs {self.scope}." if self.scope else "It is open to no scope."
            raise _forbidden("scope", f"The token {token.prefix}… lacks a scope. {need}")
        return Caller(token.name, token, tuple(token.scopes))

    def _by_session(self, request: HttpRequest) -> Caller:
        if request.method != "GET":
            raise _forbidden("session", "A signed-in session may only read; send a service token to write.")
        may = request.user.has_perm
        if not self.is_open_to_all_callers and not (self.permission and may(self.permission)):
            need = (
                f"You need the permission {self.permission}."
                if self.permission
                else "It takes a service token."
            )
            raise _forbidden("permission", need)
        scopes = tuple(scope for scope, permission in READ_PERMISSIONS.items() if may(permission))
        return Caller(request.user.get_username(), None, scopes)


def _token(header: str) -> ServiceToken:
    kind, _, secret = header.partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise _unauthorized("malformed", "The header must read `Authorization: Bearer <service token>`.")
    token = ServiceToken.objects.with_secret(secret.strip()).first()
    if token is None:
        raise _unauthorized("unknown", "No such token. Ask an administrator for one.")
    return _usable(token, timezone.now())


def _usable(token: ServiceToken, now: datetime) -> ServiceToken:
    state = token.state(now)
    if state == ServiceToken.State.REVOKED:
        raise _unauthorized(
            "revoked", f"The token {token.prefix}… was revoked. Ask an administrator for another."
        )
    if state == ServiceToken.State.EXPIRED:
        raise _unauthorized(
            "expired", f"The token {token.prefix}… expired on {token.expires_at:%Y-%m-%d %H:%M} UTC."
        )
    return token


def _unauthorized(what: str, why: str) -> ApiError:
    return ApiError(401, Fault("header.Authorization", what, why), headers=CHALLENGE)


def _forbidden(what: str, why: str) -> ApiError:
    return ApiError(403, Fault("header.Authorization", what, why))
