"""Insights, feedback and jobs as they follow from a plan, without a database."""

from collections import Counter
from datetime import timedelta

from feedback.models import InsightFeedback
from tests.demo.conftest import ANCHOR
from utxoiq_admin.demo.insights import Insight, insight, published
from utxoiq_admin.demo.jobs import jobs_at
from utxoiq_admin.demo.plan import Plan, chain_tip
from utxoiq_admin.demo.voices import BRIGADE, BRIGADE_WITHIN, brigaded, feedback_of

PLAN = Plan(seed=1, anchor=ANCHOR, days=90)
ALL = [insight(PLAN, -number) for number in range(PLAN.insights)]
SAID = {i.insight_id: [row for row in feedback_of(PLAN, i) if row[7] <= ANCHOR] for i in ALL}


def flags(about: Insight) -> int:
    return sum(row[5] is not None for row in SAID[about.insight_id])


def test_insights_spread_over_the_days_newest_first() -> None:
    moments = [i.published_at for i in ALL]
    assert moments == sorted(moments, reverse=True) and len({i.insight_id for i in ALL}) == 2_000
    assert ANCHOR - timedelta(days=90) <= moments[-1] and moments[0] <= ANCHOR < published(PLAN, 1)


def test_texts_are_complete_and_varied() -> None:
    assert len({i.headline for i in ALL}) > 1_700
    assert {"mempool", "exchange", "miner", "whale", "fees", "lightning"} < {i.category for i in ALL}
    for i in ALL:
        assert "{" not in i.headline + i.summary and len(i.headline) <= 300
        assert i.summary.count(". ") in range(6) and i.summary.endswith(".")
        assert i.evidence[0] == {"kind": "block", "value": chain_tip(i.published_at)}
        assert all(e["kind"] == "tx" and len(e["value"]) == 64 for e in i.evidence[1:]) and i.evidence[1:]


def test_some_twenty_thousand_voices_mostly_content() -> None:
    said = [row for rows in SAID.values() for row in rows]
    assert 18_500 < len(said) < 21_500
    assert len({(row[1], row[2]) for row in said}) == len(said), "one feedback per user and insight"
    ratings = Counter(row[3] for row in said)
    assert ratings[5] > ratings[4] > ratings[3] > ratings[2] > 0 and ratings[None] > 100
    comments = Counter(row[4] for row in said if row[4])
    assert sum(comments.values()) > 3_000 and len(comments) > 1_000
    assert all(row[3] or row[4] or row[5] for row in said), "nobody says nothing"


def test_about_forty_insights_reach_three_flags_of_every_kind() -> None:
    reached = [i for i in ALL if flags(i) >= 3]
    assert 36 <= len(reached) <= 40
    kinds = Counter(i.kind for i in reached)
    assert kinds["wrong"] >= 10 and kinds["fine"] >= 10 and kinds["spam"] >= 5
    assert sum(1 <= flags(i) <= 2 for i in ALL) > 100
    words = {row[5] for rows in SAID.values() for row in rows if row[5]}
    assert words == set(InsightFeedback.Flag.values)


def test_a_few_good_insights_are_flagged_by_a_brigade() -> None:
    struck = [i for i in ALL if brigaded(i)]
    assert 3 <= len(struck) <= 6 and {i.kind for i in struck} == {"fine"}
    others = {row[2] for i in ALL for row in SAID[i.insight_id] if not row[2].startswith("demo-n")}
    for i in struck:
        flagging = [row for row in SAID[i.insight_id] if row[5]]
        moments = [row[7] for row in flagging]
        assert len(flagging) == BRIGADE and max(moments) - min(moments) <= BRIGADE_WITHIN
        assert len({row[2] for row in flagging}) == BRIGADE and others.isdisjoint(row[2] for row in flagging)
        assert len({row[5] for row in flagging}) == 1 and len({row[6] for row in flagging if row[6]}) == 1


def test_nobody_else_objects_twice_in_the_same_words() -> None:
    for i in ALL:
        if brigaded(i):
            continue
        reasons = [row[6] for row in SAID[i.insight_id] if row[6]]
        assert len(reasons) == len(set(reasons)), i.headline


def test_a_month_on_there_are_still_sixty_jobs_and_one_at_work() -> None:
    for day in range(0, 60, 3):
        now = ANCHOR + timedelta(days=day)
        states = Counter(job.fields_at(now)["status"] for job in jobs_at(PLAN, now))
        assert sum(states.values()) == 60 and states["running"] >= 1 and states["completed"] >= 20


def test_a_job_never_goes_back() -> None:
    for job in jobs_at(PLAN, ANCHOR):
        at = [job.started_at + timedelta(hours=hour) for hour in range(0, 120, 2)]
        blocks = [job.fields_at(moment)["current_block"] for moment in at]
        assert blocks == sorted(blocks)
