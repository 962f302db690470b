"""The state machine: every verb in every state, in the statement that changes the row."""

import pytest

from backfill.models import BackfillJob, JobEvent
from backfill.moves import Move, move
from backfill.states import MOVES, Verb
from tests.backfill.conftest import sql_job

pytestmark = pytest.mark.django_db
RUNNING, PAUSED, COMPLETED, FAILED = "running", "paused", "completed", "failed"
# Written out by hand, so that a slip in the table is seen.
EXPECTED = {
    ("report", RUNNING): RUNNING, ("report", PAUSED): PAUSED,
    ("complete", RUNNING): COMPLETED, ("complete", PAUSED): COMPLETED,
    ("fail", RUNNING): FAILED, ("fail", PAUSED): FAILED,
    ("pause", RUNNING): PAUSED,
    ("resume", PAUSED): RUNNING,
    ("cancel", RUNNING): FAILED, ("cancel", PAUSED): FAILED,
}  # fmt: skip
PAIRS = [(verb, status) for verb in Verb for status in BackfillJob.Status]


@pytest.mark.parametrize(("verb", "status"), PAIRS)
def test_every_verb_in_every_state(verb, status):
    job = sql_job(0, 99, 40, status=status, error_message="before")
    events = JobEvent.objects.count()
    moved = move(job.pk, Move(verb, "ana", block=50 if verb == "report" else None, error="after"))
    job.refresh_from_db()
    expected = EXPECTED.get((verb.value, status))
    if expected is None:
        assert moved is None
        assert (job.status, job.current_block, job.error_message) == (status, 40, "before")
        assert JobEvent.objects.count() == events
    else:
        assert moved is not None and moved.status == job.status == expected
        assert job.error_message == "after"
        assert JobEvent.objects.count() == events + (expected != status)


def test_no_pair_is_forgotten():
    assert len(PAIRS) == 24
    assert {
        (verb.value, str(state)): str(after) for verb in MOVES for state, after in MOVES[verb].items()
    } == EXPECTED


@pytest.mark.parametrize(
    ("last", "at", "percent"),
    [(99, 50, 50.0), (2, 1, 33.33), (2_147_483_647, 2_147_483_647, 99.99)],
)
def test_the_percentage_is_cut_and_below_100_until_the_end(last, at, percent):
    job = sql_job(0, last)
    assert move(job.pk, Move(Verb.REPORT, "w", block=at)).progress_percentage == percent
    done = move(job.pk, Move(Verb.COMPLETE, "w", block=0))
    assert (done.progress_percentage, done.current_block) == (100.0, last)
    assert done.completed_at is not None
