"""Those who flag: how often they were right, and ignoring one of them for a while."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.functions import Now

from feedback import review_rows
from feedback.queue_models import IgnoredFlagger
from feedback.review_models import DatabaseClock
from feedback.review_refusals import Refused, Why
from feedback.review_sql import PRIOR_RIGHT, PRIOR_WRONG, RECORD

IGNORED_FOR = timedelta(days=30)

_RECORDS = f"""
SELECT u.user_id, r.right_before, r.wrong_before FROM unnest(%s::varchar[]) AS u(user_id)
CROSS JOIN LATERAL {RECORD.format("u")} r
"""  # noqa: S608


@dataclass(frozen=True)
class Record:
    """How a flagger's earlier flags were judged; those whose insight was already gone count for neither."""

    right: int = 0
    wrong: int = 0

    @property
    def judged(self) -> int:
        return self.right + self.wrong

    @property
    def chance(self) -> float:
        """That a flag of theirs is right: between 0 and 1, half for somebody unknown."""
        return (self.right + PRIOR_RIGHT) / (self.judged + PRIOR_RIGHT + PRIOR_WRONG)

    def __str__(self) -> str:
        if not self.judged:
            return "no flag judged before"
        return f"right in {self.right} of {self.judged} earlier flag{'' if self.judged == 1 else 's'}"


def records(user_ids: Iterable[str]) -> dict[str, Record]:
    """Each user's record, the unknown ones' included."""
    with connection.cursor() as cursor:
        cursor.execute(_RECORDS, [sorted(set(user_ids))])
        return {user: Record(right, wrong) for user, right, wrong in cursor.fetchall()}


def ignored(user_ids: Iterable[str]) -> dict[str, IgnoredFlagger]:
    """Those of them who are ignored now."""
    rows = IgnoredFlagger.objects.filter(user_id__in=set(user_ids), ended_at=None, until__gt=DatabaseClock())
    return {row.user_id: row for row in rows.select_related("moderator")}


@transaction.atomic
def ignore(*, moderator: User, user_id: str) -> IgnoredFlagger:
    """For 30 days this user's flags bring nothing into the queue; what others flagged stays there."""
    review_rows.lock()
    if user_id in ignored([user_id]):
        raise Refused(Why.DECIDED, f"{user_id} is ignored already.")
    made = IgnoredFlagger.objects.create(
        moderator=moderator, user_id=user_id, until=DatabaseClock() + IGNORED_FOR
    )
    made.refresh_from_db()
    review_rows.mark_all_of([user_id])
    return made


@transaction.atomic
def heed(*, moderator: User, user_id: str) -> None:
    """Take that back: their flags count again at once."""
    review_rows.lock()
    rows = IgnoredFlagger.objects.filter(user_id=user_id, ended_at=None, until__gt=DatabaseClock())
    if not rows.update(ended_at=Now(), ended_by=moderator):
        raise Refused(Why.UNKNOWN, f"{user_id} is not ignored. Nothing was changed.")
    review_rows.mark_all_of([user_id])
