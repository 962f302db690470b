"""Claims, decisions and undoing: who may do what, what is refused, what is kept."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from feedback import review_claims, review_decisions, review_feed, review_flaggers, review_rows
from feedback.models import InsightFeedback, InsightFlag, InsightReview, JudgedFlag, ReviewClaim, ReviewEvent
from feedback.review_models import Verdict
from feedback.review_refusals import Refused, Why
from tests.feedback.reviewing import decided, flag, flagged, moderator, row

pytestmark = pytest.mark.django_db
WAITING = InsightReview.objects.filter(state="waiting")


def refused(call, **arguments):
    with pytest.raises(Refused) as refusal:
        call(**arguments)
    return refusal.value.why


def test_three_flags_bring_an_insight_into_the_queue_and_two_do_not():
    flagged("two", 2)
    flagged("three", 3)
    assert (row("two").state, row("two").unjudged) == ("quiet", 2)
    assert (row("three").state, row("three").unjudged, row("three").inaccurate) == ("waiting", 3, 3)


def test_a_withdrawn_flag_counts_no_more():
    flagged("i", 3)
    InsightFeedback.objects.filter(user_id="i-u0").update(flag_type=None)
    review_rows.refresh()
    assert (row("i").state, row("i").unjudged) == ("quiet", 2)
    InsightFeedback.objects.all().update(flag_type=None)
    review_rows.refresh()
    assert not InsightReview.objects.exists()


def test_a_decision_judges_exactly_the_flags_that_stood_and_is_written_down():
    ana = moderator()
    flagged("i", 4)
    InsightFeedback.objects.filter(user_id="i-u3").update(flag_type=None)
    text = {"headline": "Fees spike"}
    event = decided(ana, "i", Verdict.MISLEADING, note=" too strong ", text=text)
    standing = set(InsightFlag.objects.filter(withdrawn_at=None).values_list("pk", flat=True))
    event.refresh_from_db()
    assert (set(event.flag_ids), len(event.flag_ids)) == (standing, 3)
    assert (event.note, event.text, event.moderator, event.upheld) == ("too strong", text, ana, True)
    assert set(JudgedFlag.objects.values_list("pk", "verdict")) == {(pk, "misleading") for pk in standing}
    assert (row("i").state, row("i").unjudged, row("i").last_verdict) == ("decided", 0, "misleading")
    assert not ReviewClaim.objects.exists()


def test_only_one_person_holds_an_insight_and_only_one_insight():
    ana, bo = moderator("ana"), moderator("bo")
    flagged("a"), flagged("b")
    review_claims.claim(moderator=ana, insight_id="a")
    review_claims.claim(moderator=bo, insight_id="b")
    assert refused(review_claims.claim, moderator=bo, insight_id="a") == Why.HELD
    # What bo held is still bo's after the refusal.
    assert set(ReviewClaim.objects.values_list("insight_id", "moderator__username")) == {
        ("a", "ana"),
        ("b", "bo"),
    }
    review_claims.release(moderator=ana, token=ReviewClaim.objects.get(pk="a").token)
    review_claims.claim(moderator=bo, insight_id="a")
    assert list(ReviewClaim.objects.values_list("insight_id", "moderator__username")) == [("a", "bo")]


def test_a_claim_that_ran_out_is_taken_by_another_and_the_late_click_is_refused():
    ana, bo = moderator("ana"), moderator("bo")
    flagged("i")
    late = review_claims.claim(moderator=ana, insight_id="i")
    ReviewClaim.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    asked = {
        "moderator": ana, "insight_id": "i", "token": late.token, "verdict": Verdict.SPAM,
        "seen": review_decisions.open_flags("i"),
    }  # fmt: skip
    assert review_claims.renew(moderator=ana, token=late.token) is None
    assert refused(review_decisions.decide, **asked) == Why.LOST
    review_claims.claim(moderator=bo, insight_id="i")
    assert refused(review_decisions.decide, **asked) == Why.HELD
    decided(bo, "i")
    assert refused(review_decisions.decide, **asked) == Why.DECIDED
    assert [event.moderator for event in ReviewEvent.objects.all()] == [bo]


def test_a_flag_that_was_not_seen_refuses_the_decision_and_one_that_was_withdrawn_does_not():
    ana = moderator()
    flagged("i", 4)
    seen = review_decisions.open_flags("i")
    flag("i", "late")
    claim = review_claims.claim(moderator=ana, insight_id="i")
    asked = {"moderator": ana, "insight_id": "i", "token": claim.token, "verdict": Verdict.SPAM}
    assert refused(review_decisions.decide, **asked, seen=seen) == Why.NEWER_FLAGS
    assert not ReviewEvent.objects.exists()
    InsightFeedback.objects.filter(user_id__in=["late", "i-u0"]).update(flag_type=None)
    assert len(review_decisions.decide(**asked, seen=seen).flag_ids) == 3


def test_an_insight_that_was_decided_is_not_decided_again_until_new_flags_come():
    ana, bo = moderator("ana"), moderator("bo")
    flagged("i")
    decided(ana, "i")
    review_claims.claim(moderator=bo, insight_id="i")
    asked = {"moderator": bo, "insight_id": "i", "token": None, "verdict": Verdict.SPAM, "seen": set()}
    assert refused(review_decisions.decide, **asked) == Why.DECIDED
    flag("i", "x", "y", "z")
    review_rows.refresh()
    assert (row("i").state, row("i").reopened, row("i").unjudged) == ("waiting", True, 3)
    assert len(decided(bo, "i", Verdict.NOTHING_WRONG).flag_ids) == 3


def test_an_insight_below_the_threshold_can_be_decided():
    flagged("i", 1)
    assert len(decided(moderator(), "i").flag_ids) == 1
    assert row("i").state == "decided"


def test_undoing_gives_the_flags_back_once_and_only_the_newest_is_undone():
    ana, bo = moderator("ana"), moderator("bo")
    flagged("i")
    first = decided(ana, "i")
    flag("i", "x", "y", "z")
    second = decided(bo, "i", Verdict.NOTHING_WRONG)
    assert refused(review_decisions.undo, moderator=bo, event_id=first.pk) == Why.NOT_NEWEST
    undone = review_decisions.undo(moderator=ana, event_id=second.pk)
    assert (undone.undoes_id, set(undone.flag_ids)) == (second.pk, set(second.flag_ids))
    assert (row("i").state, row("i").unjudged, row("i").last_verdict) == ("waiting", 3, "spam")
    assert refused(review_decisions.undo, moderator=ana, event_id=second.pk) == Why.NOT_NEWEST
    review_decisions.undo(moderator=bo, event_id=first.pk)
    assert (row("i").state, row("i").unjudged, row("i").last_verdict) == ("waiting", 6, None)
    assert [(e.kind, e.moderator) for e in ReviewEvent.objects.order_by("pk")] == [
        ("decision", ana), ("decision", bo), ("undo", ana), ("undo", bo),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE review_events SET note = 'x'",
        "DELETE FROM review_events",
        "UPDATE review_events SET id = id WHERE false",
    ],
)
def test_an_event_is_never_changed_or_erased(statement):
    flagged("i")
    decided(moderator(), "i")
    with pytest.raises(IntegrityError, match="never changed or erased"), transaction.atomic():
        connection.cursor().execute(statement)


def test_a_flagger_is_right_when_any_verdict_upholds_and_already_gone_counts_for_nobody():
    ana = moderator()
    for number, verdict in enumerate(
        [Verdict.SPAM, Verdict.MISLEADING, Verdict.NOTHING_WRONG, Verdict.ALREADY_GONE]
    ):
        flag(f"i{number}", "u")
        decided(ana, f"i{number}", verdict)
    known = review_flaggers.records(["u", "nobody"])
    assert str(known["u"]) == "right in 2 of 3 earlier flags" and known["u"].chance == 4 / 7
    assert str(known["nobody"]) == "no flag judged before" and known["nobody"].chance == 0.5


def test_flags_of_those_who_were_right_move_an_insight_up():
    ana = moderator()
    for number in range(6):
        flag(f"old{number}", "good0", "good1", "good2")
        decided(ana, f"old{number}")
    now = timezone.now()
    flag("known", "good0", "good1", "good2", updated_at=now)
    flag("unknown", "x", "y", "z", updated_at=now)
    review_rows.refresh()
    assert (row("known").trusted, row("unknown").trusted) == (3, 0)
    assert row("known").points == pytest.approx(3 * 8 / 10) and row("unknown").points == pytest.approx(1.5)
    assert list(WAITING.order_by("-priority").values_list("pk", flat=True)) == ["known", "unknown"]


def test_an_undone_decision_takes_back_what_it_said_of_flaggers_elsewhere():
    ana = moderator()
    flag("first", "a", "b", "c")
    flag("second", "a", "b", "c")
    event = decided(ana, "first")
    review_rows.refresh()
    assert (row("second").trusted, row("second").points) == (3, pytest.approx(3 * 3 / 5))
    review_decisions.undo(moderator=ana, event_id=event.pk)
    review_rows.refresh()
    assert (row("second").trusted, row("second").points) == (0, pytest.approx(1.5))


def test_an_ignored_flagger_brings_nothing_into_the_queue_and_heeding_them_does():
    ana = moderator()
    flagged("i", 3)
    review_flaggers.ignore(moderator=ana, user_id="i-u1")
    review_rows.refresh()
    assert (row("i").state, row("i").unjudged, row("i").counted) == ("quiet", 3, 2)
    assert refused(review_flaggers.ignore, moderator=ana, user_id="i-u1") == Why.DECIDED
    review_flaggers.heed(moderator=ana, user_id="i-u1")
    review_rows.refresh()
    assert (row("i").state, row("i").counted) == ("waiting", 3)


def test_escalating_needs_a_note_and_an_administrator_decides():
    ana, boss = moderator(), moderator("boss")
    boss.is_superuser = True
    boss.save()
    flagged("i")
    assert refused(decided, who=ana, insight_id="i", verdict=Verdict.ESCALATED) == Why.NOTE
    event = decided(ana, "i", Verdict.ESCALATED, note="legal?")
    assert (event.flag_ids, row("i").state, row("i").unjudged) == ([], "escalated", 3)
    assert refused(decided, who=ana, insight_id="i", verdict=Verdict.SPAM) == Why.NOT_YOURS
    ReviewClaim.objects.all().delete()
    assert len(decided(boss, "i").flag_ids) == 3
    assert row("i").state == "decided"


def test_next_is_the_most_urgent_that_nobody_holds_and_that_was_not_skipped():
    ana, bo = moderator("ana"), moderator("bo")
    for count, name in ((6, "a"), (5, "b"), (4, "c")):
        flagged(name, count)
    assert review_claims.claim_next(moderator=ana, among=WAITING).insight_id == "a"
    assert review_claims.claim_next(moderator=bo, among=WAITING).insight_id == "b"
    review_claims.skip(moderator=bo, insight_id="b")
    assert review_claims.claim_next(moderator=bo, among=WAITING).insight_id == "c"
    assert review_claims.claim_next(moderator=bo, among=WAITING, after=row("c")).insight_id == "c"
    assert review_claims.claim_next(moderator=ana, among=WAITING, after=row("a")).insight_id == "b"


def test_bulk_decides_in_the_order_of_ids_and_reports_what_it_left_alone():
    ana, bo = moderator("ana"), moderator("bo")
    names = ["d", "b", "a", "c"]
    items = [review_decisions.Item(flagged(n), review_decisions.open_flags(n)) for n in names]
    review_claims.claim(moderator=bo, insight_id="b")
    flag("c", "late")
    report = review_decisions.decide_bulk(moderator=ana, items=items, verdict=Verdict.SPAM)
    assert [event.insight_id for event in report.decided] == ["a", "d"]
    assert [(name, why.why) for name, why in report.refused] == [("b", Why.HELD), ("c", Why.NEWER_FLAGS)]
    assert ReviewEvent.objects.filter(bulk=report.bulk).count() == 2


def test_signs_of_a_brigade_are_kept_on_the_row():
    moment = timezone.now() - timedelta(hours=1)
    for n in range(7):
        flag("i", f"u{n}", created_at=moment, updated_at=moment + timedelta(seconds=40 * n))
    review_rows.refresh()
    assert (row("i").burst, row("i").burst_seconds, row("i").new_accounts) == (7, 240, 7)


def test_what_the_platform_fetched_is_known_of_each_event():
    ana = moderator()
    events = [decided(ana, flagged(f"i{n}")) for n in range(3)]
    review_feed.note_fetch(through=events[1].pk, reader="web-api")
    review_feed.note_fetch(through=events[0].pk, reader="web-api")
    found = review_feed.fetches_of(events)
    assert {pk: fetch.through for pk, fetch in found.items()} == {e.pk: events[1].pk for e in events[:2]}
    assert [e.pk for e in review_feed.events_after(events[0].pk, 10)] == [events[1].pk, events[2].pk]
