"""The state machine of jobs: one table, which `moves.move` hands to the statement that changes a job.

There are four states, those of the platform's description. A cancelled job is stored as failed with its reason; that it
was cancelled stands in its event and its `cancelled_at`.
"""

from enum import StrEnum

from backfill.models import BackfillJob

_S = BackfillJob.Status


class Verb(StrEnum):
    """What can be done to a job."""

    REPORT = "report"  # a worker tells how far it is
    COMPLETE = "complete"
    FAIL = "fail"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


# Verb -> state before -> state after; what is not here is refused and changes nothing.
MOVES: dict[Verb, dict[str, str]] = {
    # A worker goes on until it hears of the pause; what it did meanwhile is done.
    Verb.REPORT: {_S.RUNNING: _S.RUNNING, _S.PAUSED: _S.PAUSED},
    Verb.COMPLETE: {_S.RUNNING: _S.COMPLETED, _S.PAUSED: _S.COMPLETED},
    Verb.FAIL: {_S.RUNNING: _S.FAILED, _S.PAUSED: _S.FAILED},
    Verb.PAUSE: {_S.RUNNING: _S.PAUSED},
    Verb.RESUME: {_S.PAUSED: _S.RUNNING},
    Verb.CANCEL: {_S.RUNNING: _S.FAILED, _S.PAUSED: _S.FAILED},
}

# What a worker is told that calls about a job in this state.
COMMANDS = {_S.RUNNING: "continue", _S.PAUSED: "pause", _S.COMPLETED: "stop", _S.FAILED: "stop"}


def possible(verb: Verb, status: str) -> bool:
    """Whether a job in this state can be moved by this verb."""
    return status in MOVES[verb]
