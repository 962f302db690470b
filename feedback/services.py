"""Writing what a user says of an insight: one row for each pair, whoever else writes it at the same moment."""

from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from psycopg import sql

from feedback.models import InsightFeedback
from utxoiq_admin.core.cache import bump

_COLUMNS = [str(field.column) for field in InsightFeedback._meta.concrete_fields]

# clock_timestamp() is read once the row is locked: of two writers at once the later never leaves the older time.
_SAVE = """
INSERT INTO insight_feedback (insight_id, user_id, {names}) VALUES (%s, %s, {places})
ON CONFLICT (insight_id, user_id) DO UPDATE SET {changes}, updated_at = clock_timestamp()
RETURNING {returned}
"""


def feedback_save(
    *, insight_id: str, user_id: str, changes: Mapping[str, str | int | None]
) -> dict[str, Any]:
    """Store the changes in the pair's row, made if there is none; the row as it stands now, by column.

    `changes`: at least one of rating, comment, flag_type and flag_reason; None clears it. One statement: calls at
    once for one pair follow one another, and each keeps what it does not name. `created_at` stays, `updated_at` moves.
    Values are the door's to check; the table refuses a rating outside 1 to 5.
    """
    names = [sql.Identifier(name) for name in changes]
    statement = sql.SQL(_SAVE).format(
        names=sql.SQL(", ").join(names),
        places=sql.SQL(", ").join([sql.Placeholder()] * len(names)),
        changes=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(name) for name in names),
        returned=sql.SQL(", ").join(sql.Identifier(name) for name in _COLUMNS),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [insight_id, user_id, *changes.values()])
        row = dict(zip(_COLUMNS, cursor.fetchone(), strict=True))
    # The trigger tells too; this is only quicker, so that a caller reads what it has just written.
    transaction.on_commit(lambda: bump(f"insight:{insight_id}"))
    return row
