"""`insight_reviews` under any writer of flags: triggers mark insights, whoever holds the queue's lock computes them.

One advisory lock, held until the transaction ends, stands before everything that writes the moderators' tables:
claims, decisions, undoing, refreshing. Each takes milliseconds, and a few hundred moderators would not fill it; in
return no two of them can meet halfway (two people who swap items, a decision against a refresher's older look), and
the ids of events follow the order of their commits. Writers of feedback never take it: they only leave marks.

Safety, as in the rollups of metrics:
- The lock is taken in a statement of its own; the statement after it has a younger snapshot, which sees all that the
  holder before did. READ COMMITTED only, anything else is refused.
- Marks are taken first and their insights computed after, in one transaction. A flag commits with its mark: what the
  computing does not see has a mark that was not taken, and is computed next time.
- Marks have no unique key: with one, two writers of feedback would wait for each other, and deadlock in twos.
"""

from collections.abc import Iterable

from django.conf import settings
from django.db import connection, transaction

from feedback.queue_models import QueueSample, ReviewMark
from feedback.review_models import InsightReview
from feedback.review_sql import COMPUTE

BATCH = 500  # insights a pass: some 50 ms in which nobody claims or decides
LOCK = 7_021_010  # the number has no meaning beyond being ours

_TAKE = """
WITH taken AS (
  DELETE FROM review_marks WHERE ctid = ANY(ARRAY(SELECT ctid FROM review_marks LIMIT %s)) RETURNING insight_id)
SELECT (SELECT count(*) FROM taken), array_agg(DISTINCT insight_id) FROM taken
"""
# What time alone changes: ratings since, flaggers whose 30 days are over, a threshold that was set anew.
_SWEEP = """
INSERT INTO review_marks SELECT insight_id FROM insight_reviews
WHERE state = 'waiting' OR state <> 'escalated' AND counted >= %(threshold)s
UNION SELECT f.insight_id FROM ignored_flaggers i JOIN insight_flags f ON f.user_id = i.user_id
WHERE i.until BETWEEN clock_timestamp() - interval '1 day' AND clock_timestamp()
"""


class SnapshotTooOld(RuntimeError):
    """The queue was to be written in a transaction whose snapshot is older than its statements."""


def lock(*, wait: bool = True) -> bool:
    """Be the only one who writes the moderators' tables until the transaction ends; False if another is.

    Call it before the statement that reads what is to be changed. Raises SnapshotTooOld.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "The queue's lock lasts as long as its transaction: open one."
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_isolation')")
        if cursor.fetchone()[0] != "read committed":
            raise SnapshotTooOld("The queue is written in READ COMMITTED only: see feedback/review_rows.py.")
        if wait:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            return True
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def compute(insight_ids: Iterable[str]) -> None:
    """Make the rows of these insights from their flags and decisions; the lock must be held."""
    if ids := sorted(set(insight_ids)):
        with connection.cursor() as cursor:
            cursor.execute(COMPUTE, {"ids": ids, "threshold": settings.FLAG_THRESHOLD})


def refresh(*, wait: bool = True, batch: int = BATCH) -> int:
    """Compute every insight that is marked, in passes of their own transactions; how many marks were taken.

    With `wait=False` it leaves the work to another that is at it. Nothing marked costs one look at an empty table.
    """
    done = 0
    while ReviewMark.objects.exists():
        with transaction.atomic():
            if not lock(wait=wait):
                break
            with connection.cursor() as cursor:
                cursor.execute(_TAKE, [batch])
                marks, ids = cursor.fetchone()
            compute(ids or ())
        done += marks
    return done


def mark(insight_ids: Iterable[str]) -> None:
    """Have the rows of these insights computed again."""
    ids = sorted(set(insight_ids))
    if ids:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO review_marks SELECT unnest(%s::varchar[])", [ids])


def mark_all_of(user_ids: Iterable[str]) -> None:
    """Have the open insights that these users flagged computed again: what their flags weigh has changed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO review_marks SELECT DISTINCT f.insight_id FROM insight_flags f JOIN insight_reviews r "
            "USING (insight_id) WHERE f.user_id = ANY(%s::varchar[]) AND f.withdrawn_at IS NULL AND r.unjudged > 0",
            [list(user_ids)],
        )


def measure() -> str:
    """Every five minutes: what time alone changed, then how long the queue is; the figure in words."""
    with connection.cursor() as cursor:
        cursor.execute(_SWEEP, {"threshold": settings.FLAG_THRESHOLD})
    refresh()
    rows = InsightReview.objects
    waiting = rows.filter(state=InsightReview.State.WAITING)
    oldest = waiting.order_by("waiting_since").values_list("waiting_since", flat=True).first()
    escalated = rows.filter(state=InsightReview.State.ESCALATED).count()
    sample = QueueSample.objects.create(waiting=waiting.count(), escalated=escalated, oldest_since=oldest)
    return f"{sample.waiting} waiting, {sample.escalated} escalated"
