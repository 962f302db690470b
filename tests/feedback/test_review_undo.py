"""Random sequences of flags, decisions and their undoing: each undo finds the exact state from before.

Small here; `make stress` runs 300 sequences.
"""

import os

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback import review_decisions, review_rows
from feedback.models import InsightFeedback, InsightReview, JudgedFlag, ReviewClaim, ReviewEvent
from feedback.review_models import Verdict
from feedback.review_refusals import Refused
from tests.feedback.reviewing import decided, moderator

pytestmark = [pytest.mark.django_db, pytest.mark.stress]
RUNS = 300 if os.environ.get("STRESS") == "1" else 25
INSIGHTS, USERS = ["a", "b"], ["u", "v", "w", "x", "y"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("flag"), st.sampled_from(INSIGHTS), st.sampled_from(USERS)),
        st.tuples(st.just("decide"), st.sampled_from(INSIGHTS), st.sampled_from(list(Verdict))),
        st.tuples(st.just("decide"), st.sampled_from(INSIGHTS), st.sampled_from(list(Verdict))),
        st.tuples(st.just("undo"), st.sampled_from(INSIGHTS), st.none()),
    ),
    min_size=6,
    max_size=24,
)


class Rollback(Exception):
    pass


def state():
    """All that a decision may change, but for when it was computed."""
    review_rows.refresh()
    # Weights of the other insight depend on flaggers' records: points are part of the state.
    rows = {
        each["insight_id"]: {
            k: round(v, 6) if isinstance(v, float) else v for k, v in each.items() if k != "computed_at"
        }
        for each in InsightReview.objects.values()
    }
    return rows, sorted(JudgedFlag.objects.values_list("pk", "verdict", "event_id"))


def play(steps, boss):
    history: dict[str, list] = {
        insight: [] for insight in INSIGHTS
    }  # (event, state before it) still in force
    events = 0
    for action, insight, what in steps:
        if action == "flag":
            InsightFeedback.objects.get_or_create(
                insight_id=insight, user_id=what, defaults={"flag_type": "spam"}
            )
            review_rows.refresh()
            # What stood before this flag is no state to come back to any more.
            history = {name: [(event, None) for event, _ in made] for name, made in history.items()}
        elif action == "decide":
            before = state()
            try:
                event = decided(boss, insight, what, note="n")
            except Refused:
                ReviewClaim.objects.all().delete()
                assert state() == before
                continue
            events += 1
            other = {name: [(e, None) for e, _ in made] for name, made in history.items() if name != insight}
            history = other | {insight: [*history[insight], (event, before)]}
        elif history[insight]:
            event, before = history[insight].pop()
            # Of the stack only the newest is undone: older ones are refused and change nothing.
            for older, _ in history[insight]:
                with pytest.raises(Refused):
                    review_decisions.undo(moderator=boss, event_id=older.pk)
            review_decisions.undo(moderator=boss, event_id=event.pk)
            events += 1
            if before is not None:
                assert state() == before
            # The other's decisions were made while this one stood.
            history = {
                name: made if name == insight else [(e, None) for e, _ in made]
                for name, made in history.items()
            }
    assert ReviewEvent.objects.count() == events


@given(steps=STEPS)
@settings(
    max_examples=RUNS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_undoing_finds_the_exact_earlier_state(db, steps):
    with pytest.raises(Rollback), transaction.atomic():
        boss = moderator("boss")
        boss.is_superuser = True
        boss.save()
        play(steps, boss)
        raise Rollback
