"""Verbs on service tokens. A secret leaves here once, as the return value of `token_create`."""

import logging
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from utxoiq_admin.accounts.models import SCOPES, ServiceToken, secret_digest

logger = logging.getLogger(__name__)
SECRET_BYTES = 32
LAST_USED_EVERY = timedelta(minutes=1)


def token_create(
    *, name: str, scopes: Iterable[str], expires: datetime | None, created_by: str
) -> tuple[ServiceToken, str]:
    """Make a token; return it with its secret, which nobody can read again. `expires` None: never.

    Raises ValidationError (name taken, unknown scope, expiry in the past), and stores nothing then.
    """
    # The prefix is drawn apart from the secret, so that showing it gives away none of the 256 bits.
    prefix = f"utxoiq_{secrets.token_hex(4)}"
    secret = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    token = ServiceToken(
        name=name.strip(),
        scopes=_in_order(scopes),
        digest=secret_digest(secret),
        prefix=prefix,
        created_at=timezone.now(),
        created_by=created_by,
        expires_at=expires,
    )
    token.full_clean()
    token.save(force_insert=True)
    logger.info("token_created name=%s scopes=%s by=%s", token.name, ",".join(token.scopes), created_by)
    return token, secret


def _in_order(scopes: Iterable[str]) -> list[str]:
    wanted = set(scopes)
    if unknown := sorted(wanted - set(SCOPES)):
        raise ValidationError(
            {"scopes": f"Unknown scope {', '.join(unknown)}. The known ones are: {', '.join(SCOPES)}."}
        )
    return [scope for scope in SCOPES if scope in wanted]


def token_revoke(*, token: ServiceToken, by: str) -> bool:
    """End the token's use for good, from the next request on; False when it was revoked already."""
    now = timezone.now()
    changed = ServiceToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now, revoked_by=by)
    token.refresh_from_db()
    if changed:
        logger.info("token_revoked name=%s by=%s", token.name, by)
    return changed == 1


def token_note_use(*, token: ServiceToken, now: datetime) -> None:
    """Remember that the token was used, at most once a minute; whatever goes wrong here fails no request."""
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USED_EVERY)
    if token.last_used_at and token.last_used_at > now - LAST_USED_EVERY:
        return
    try:
        # A transaction of its own, before the request's. A row that somebody else holds is skipped: they are
        # noting the same use, or revoking the token, and neither is worth a wait.
        with transaction.atomic():
            free = ServiceToken.objects.select_for_update(skip_locked=True).filter(stale, pk=token.pk)
            ServiceToken.objects.filter(pk__in=free.values("pk")).update(last_used_at=now)
    except DatabaseError as error:
        logger.warning("token_use_not_noted name=%s error=%s", token.name, type(error).__name__)
