"""What each token wrote and why rows of it were rejected: the answer to "my metric does not show, why?".

Counted after the rows are stored, in a short transaction that does not wait for the disk: in the batch's own, the
token's row would stay locked while the batch is stored, and the token's batches would queue behind each other. So a
count may be lost with a killed process; the rows are not, and the table itself says how many there are.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Sum

from utxoiq_admin.accounts.models import ServiceToken, TokenRejection, TokenUsage

logger = logging.getLogger(__name__)
DAY = timedelta(hours=24)
KEEP_REASONS = 20
REASONS_PER_NOTE = 20  # a batch can be wrong in 10,000 ways

# A count is not worth waiting for: neither for the disk nor long for another writer of the same row.
_LIGHT = """SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '250ms', true)"""
_COUNT = f"""
WITH light AS MATERIALIZED ({_LIGHT})
INSERT INTO service_token_usage AS hours (token_id, hour, accepted, duplicate, rejected)
SELECT %s, %s, %s, %s, %s FROM light
ON CONFLICT (token_id, hour) DO UPDATE SET accepted = hours.accepted + excluded.accepted,
  duplicate = hours.duplicate + excluded.duplicate, rejected = hours.rejected + excluded.rejected
RETURNING xmax = 0
"""  # noqa: S608
_FORGET = "DELETE FROM service_token_usage WHERE token_id = %s AND hour < %s"
# In one order, so that two batches with the same reasons queue and do not deadlock.
_REASONS = """
INSERT INTO service_token_rejections AS known (token_id, field, reason, about, rows, first_at, last_at)
SELECT %s, field, reason, about, rows, %s, %s
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS new(field, reason, about, rows) ORDER BY 2, 3
ON CONFLICT (token_id, field, reason) DO UPDATE
SET about = excluded.about, rows = known.rows + excluded.rows, last_at = greatest(known.last_at, excluded.last_at)
"""
_FORGET_REASONS = """
DELETE FROM service_token_rejections WHERE token_id = %s AND id NOT IN (
  SELECT id FROM service_token_rejections WHERE token_id = %s ORDER BY last_at DESC, id DESC LIMIT %s)
"""


@dataclass(frozen=True)
class Rejection:
    """Why a row was not stored; `rows` is 0 for a body of which no row could be read."""

    field: str
    reason: str
    about: str = ""
    rows: int = 1


@dataclass(frozen=True)
class Usage:
    """Rows that a token wrote since `since`, and the reasons for its last rejections, newest first."""

    since: datetime
    accepted: int
    duplicate: int
    rejected: int
    reasons: list[TokenRejection]


def usage_note(
    *,
    token: ServiceToken,
    now: datetime,
    accepted: int = 0,
    duplicate: int = 0,
    rejections: Iterable[Rejection] = (),
) -> None:
    """Count what one request wrote. Whatever goes wrong here fails no request: its rows are stored."""
    rejections = list(rejections)
    counts = [accepted, duplicate, sum(each.rows for each in rejections)]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_COUNT, [token.pk, _hour(now), *counts])
            if cursor.fetchone()[0]:  # the hour's first request: nobody else tidies this token's rows
                cursor.execute(_FORGET, [token.pk, now - timedelta(days=settings.RETENTION_TOKEN_USAGE_DAYS)])
            if rejections:
                columns = zip(*_by_reason(rejections), strict=True)
                cursor.execute(_REASONS, [token.pk, now, now, *map(list, columns)])
                cursor.execute(_FORGET_REASONS, [token.pk, token.pk, KEEP_REASONS])
    except DatabaseError as error:
        logger.warning("token_usage_not_noted name=%s error=%s", token.name, type(error).__name__)


def usage_of(*, token: ServiceToken, now: datetime) -> Usage:
    """What the token wrote in the last 24 hours, the running one included as the 25th."""
    since = _hour(now) - DAY
    sums = TokenUsage.objects.filter(token=token, hour__gte=since).aggregate(
        accepted=Sum("accepted", default=0),
        duplicate=Sum("duplicate", default=0),
        rejected=Sum("rejected", default=0),
    )
    reasons = TokenRejection.objects.filter(token=token).order_by("-last_at", "-id")[:KEEP_REASONS]
    return Usage(since, reasons=list(reasons), **sums)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _by_reason(rejections: list[Rejection]) -> list[tuple[str, str, str, int]]:
    """(field, reason, about, rows), each pair of field and reason once, cut to what the columns hold."""
    found: dict[tuple[str, str], tuple[str, int]] = {}
    for each in rejections:
        key = (each.field[:150], each.reason[:500])
        if key in found or len(found) < REASONS_PER_NOTE:
            found[key] = (each.about[:250], found.get(key, ("", 0))[1] + each.rows)
    return [(*key, *value) for key, value in found.items()]
