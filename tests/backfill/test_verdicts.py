"""What is learnt from samples, and what is said of a job: to the second."""

from datetime import UTC, datetime, timedelta

import pytest

from backfill.models import BackfillJob, JobWork
from backfill.pace import SHORTEST_INTERVAL, UNKNOWN_INTERVAL, UNKNOWN_MOVE, Pace, Point, pace
from backfill.standing import time_left
from backfill.verdicts import State, judge

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def points(*steps, begins=()):
    """From (seconds, blocks) of each step to samples that end now."""
    at, block, made = NOW - timedelta(seconds=sum(step[0] for step in steps)), 0, []
    made.append(Point(at, block, True))
    for place, (seconds, blocks) in enumerate(steps):
        at, block = at + timedelta(seconds=seconds), block + blocks
        made.append(Point(at, block, place in begins))
    return made


def test_an_even_rhythm_is_learnt():
    learnt = pace(points(*[(10, 400)] * 8))
    assert (learnt.interval, learnt.move_interval, learnt.now, learnt.usual, learnt.legs) == (
        10,
        10,
        40,
        40,
        8,
    )
    assert learnt.slow_since is None


def test_with_few_samples_nothing_is_usual_yet():
    learnt = pace(points(*[(10, 400)] * 3))
    assert (learnt.interval, learnt.usual, learnt.now) == (UNKNOWN_INTERVAL, None, 40)
    assert learnt.move_interval == UNKNOWN_MOVE
    assert pace([]) == Pace()


def test_an_uneven_rhythm_is_given_its_longer_interval_but_one_outlier_is_not_its_rhythm():
    assert pace(points((10, 1), (30, 1), (10, 1), (25, 1), (10, 1))).interval == 30
    assert pace(points(*[(10, 1)] * 20, (3600, 1), *[(10, 1)] * 14)).interval == 10
    assert pace(points(*[(0.3, 1)] * 10)).interval == SHORTEST_INTERVAL


def test_blocks_that_take_several_reports_have_a_longer_move_interval():
    learnt = pace(points(*[(5, 0), (5, 0), (5, 1)] * 5))
    assert (learnt.interval, learnt.move_interval, learnt.usual) == (5, 15, 1 / 15)


def test_what_lies_before_a_claim_or_a_resume_is_no_work():
    learnt = pace(points(*[(10, 100)] * 5, (7200, 0), *[(10, 100)] * 5, begins={5}))
    assert (learnt.interval, learnt.now, learnt.legs) == (10, 10, 10)


@pytest.mark.parametrize(
    ("steps", "slow"),
    [
        ([(10, 400)] * 8 + [(10, 40)], 10), ([(10, 400)] * 8 + [(10, 40)] * 3, 30),
        ([(10, 400)] * 8 + [(10, 140)], None),
        ([(10, 400), (10, 40)] * 8, None), ([(10, 400)] * 20 + [(10, 40), (10, 400)], None), ([(10, 40)] * 9, None),
    ],
    ids=["once", "for three reports", "a third is not slow", "always uneven", "it was over", "evenly slow"],
)  # fmt: skip
def test_slow_is_well_under_its_own_past(steps, slow):
    learnt = pace(points(*steps))
    assert learnt.slow_since == (ago(slow) if slow else None)


def test_a_job_that_was_faster_before_its_newest_samples_is_slow_too():
    learnt = pace(points(*[(10, 40)] * 20), whole=20.0)
    assert (learnt.slow_since, learnt.now) == (ago(200), 4)


def verdict(status="running", pace_=None, error=None, **work):
    job = BackfillJob(job_type="blocks", start_block=0, end_block=99, current_block=5, status=status)
    values = {"changed_at": ago(1000), "reported_at": ago(5), "moved_at": ago(5)} | work
    return judge(job, JobWork(**values), pace_ or Pace(10, 10, 40, 40, legs=9), NOW)


@pytest.mark.parametrize(
    ("work", "state", "since"),
    [
        ({}, State.RUNNING, 1000),
        ({"waits": True}, State.WAITING, 1000),
        ({"reported_at": ago(20), "moved_at": ago(20)}, State.RUNNING, 1000),
        ({"reported_at": ago(20.1), "moved_at": ago(20.1)}, State.SILENT, 20.1),
        ({"reported_at": ago(500), "changed_at": ago(3)}, State.RUNNING, 3),
        ({"moved_at": ago(15)}, State.STALLED, 15),
        ({"moved_at": ago(9)}, State.RUNNING, 1000),
        ({"moved_at": ago(500), "changed_at": ago(8)}, State.RUNNING, 8),
        ({"reported_at": None, "moved_at": None}, State.SILENT, 1000),
        ({"reported_at": ago(30), "moved_at": ago(60)}, State.SILENT, 30),
    ],
)
def test_the_verdicts_on_a_running_job(work, state, since):
    found = verdict(**work)
    assert (found.state, found.since) == (state, ago(since))


def test_a_first_block_that_takes_minutes_is_no_stall_yet():
    """Nobody knows how long a block of a new type takes; its worker reports, so it is not silent either."""
    assert verdict(pace_=pace([]), moved_at=ago(590)).state == State.RUNNING
    assert verdict(pace_=pace([]), moved_at=ago(610)).state == State.STALLED
    known = pace(points(*[(10, 0)] * 8))
    assert (known.interval, known.move_interval) == (10, UNKNOWN_MOVE)


def test_slow_is_said_only_of_what_moves():
    slow = Pace(10, 10, 4, 40, slow_since=ago(30), legs=9)
    assert verdict(pace_=slow).state == State.SLOW
    assert verdict(pace_=slow, reported_at=ago(60)).state == State.SILENT


def test_the_other_states():
    assert verdict("paused", paused_at=ago(7)).since == ago(7)
    assert verdict("completed", ended_at=ago(7)).state == State.COMPLETED
    assert verdict("failed", ended_at=ago(7)).state == State.FAILED


@pytest.mark.parametrize(
    ("work", "text"),
    [
        ({"holder": "w", "stop_confirmed_at": ago(1)}, "Its worker has heard of it and stopped."),
        ({"holder": "w"}, "Its worker has not called since: it still has to stop."),
        ({"reported_at": None}, "No worker had it."),
        ({}, "Its worker writes with SQL and is told nothing: stop it by hand."),
    ],
)
def test_a_cancelled_job_says_whether_a_worker_still_has_to_stop(work, text):
    found = verdict("failed", cancelled_at=ago(3), ended_at=ago(3), **work)
    assert (found.state, found.since, found.text) == (State.CANCELLED, ago(3), text)


def test_an_estimate_is_a_range_between_its_rates():
    assert time_left(4000, Pace(now=40, legs=20), 20, []) == (95.0, 210.0)
    assert time_left(4000, Pace(now=40, legs=3), 40, [10, 20, 30, 40]) == (
        95.0,
        pytest.approx(4000 / 17.5 * 1.05),
    )
    assert time_left(4000, Pace(now=40, legs=20), 40, [1, 1, 1]) == (95.0, 105.0)
    assert time_left(4000, Pace(), None, []) is None
