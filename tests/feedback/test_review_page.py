"""The queue over HTTP: what each action answers, what it refuses, and what pages show."""

import json
import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qsl

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from feedback import review_claims, review_decisions, review_figures, review_flaggers, review_rows
from feedback.models import (
    InsightFeedback,
    InsightFlag,
    InsightReview,
    InsightText,
    JudgedFlag,
    ReviewClaim,
    ReviewEvent,
)
from tests.accounts.access import bearer, signed_in, token
from tests.feedback.reviewing import decided, flag, flagged, moderator
from utxoiq_admin.core import cursors

pytestmark = pytest.mark.django_db
ACTIONS = ["claim", "next", "renew", "release", "decide", "skip", "undo", "ignore", "bulk"]


@pytest.fixture
def ana():
    client = signed_in("moderators")
    from django.contrib.auth.models import User

    client.user = User.objects.get(username="moderators")
    return client


def seen(insight_id):
    return json.dumps([str(each) for each in review_decisions.open_flags(insight_id)])


def press(client, insight_id, verdict="spam", **more):
    body = {"insight": insight_id, "verdict": verdict, "seen": seen(insight_id), **more}
    return client.post("/review/decide/", body)


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("kind", "status"), [("anonymous", 401), ("outsider", 403), ("staff", 403), ("ops", 403)]
)
def test_who_may_not_decide_changes_nothing(action, kind, status):
    flagged("i")
    answer = signed_in(kind).post(
        f"/review/{action}/", {"insight": "i", "verdict": "spam", "seen": seen("i")}
    )
    assert answer.status_code == status and answer.json()["error"]["text"]
    assert not ReviewEvent.objects.exists() and not ReviewClaim.objects.exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_actions_take_no_get_and_no_post_without_the_csrf_token(action):
    from django.contrib.auth.models import User

    signed_in("moderators")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="moderators"))
    assert strict.get(f"/review/{action}/").status_code == 405
    assert strict.post(f"/review/{action}/", {"insight": "i"}).status_code == 403


def test_looking_claims_nothing_and_shows_the_insight(ana):
    InsightText.objects.create(
        insight_id="i", headline="Fees spike to 50 sat/vB", summary="Blocks are full.", category="mempool",
        confidence=0.85, evidence=[{"kind": "block", "value": 975102}], is_demo=True,
    )  # fmt: skip
    flagged("i", 3, reason="wrong block")
    page = ana.get("/review/").content.decode()
    text = words(page)
    assert "Fees spike to 50 sat/vB" in text and "Blocks are full." in text and "confidence 0.85" in text
    assert "https://mempool.space/block/975102" in page
    assert "3× wrong block" in text.replace("3 ×", "3×") and "no flag judged before" in text
    assert "why here: 3 flags, waiting 0 s: 1.5 points" in text
    assert "waiting 1" in text and not ReviewClaim.objects.exists()


def test_a_verdict_claims_decides_and_draws_the_next(ana):
    flagged("a", 4), flagged("b", 3)
    answer = press(ana, "a", "nothing_wrong", note="checked").json()
    assert (answer["done"]["text"], answer["insight"]) == ("Nothing wrong", "b")
    event = ReviewEvent.objects.get()
    assert (event.insight_id, event.note, len(event.flag_ids)) == ("a", "checked", 4)
    claim = ReviewClaim.objects.get()
    assert claim.insight_id == "b" and f'data-token="{claim.token}"' in answer["item"]
    assert press(ana, "b", token=str(claim.token)).json()["insight"] == ""


def test_a_refusal_is_told_with_the_item_as_it_stands(ana):
    flagged("i")
    review_claims.claim(moderator=moderator("bo"), insight_id="i")
    answer = press(ana, "i")
    assert answer.status_code == 409
    assert answer.json()["error"]["why"] == "held" and "Held by bo" in answer.json()["error"]["text"]
    assert "held by bo" in answer.json()["item"] and "held by bo" in answer.json()["list"]


def test_newer_flags_are_shown_and_a_second_press_decides(ana):
    flagged("i")
    known = seen("i")
    flag("i", "late", reason="it moved")
    answer = ana.post("/review/decide/", {"insight": "i", "verdict": "spam", "seen": known})
    assert answer.status_code == 409 and "1 flag has come since you looked" in answer.json()["error"]["text"]
    assert "it moved" in answer.json()["item"]
    assert press(ana, "i").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"insight": "i", "verdict": "guilty", "seen": "[]"},
        {"insight": "i", "verdict": "spam", "seen": '["x"]'},
        {"insight": "i", "verdict": "spam", "seen": "{"},
        {"insight": "i", "verdict": "spam", "seen": "[]", "token": "x"},
        {"insight": "i" * 101, "verdict": "spam", "seen": "[]"},
        {"insight": "a\0b", "verdict": "spam", "seen": "[]"},
        {"insight": "i", "verdict": "spam", "seen": "[]", "note": "x" * 2001},
        {"insight": "i", "verdict": "spam", "seen": "[]", "wish": "[]"},
    ],
)
def test_what_cannot_be_read_is_refused_and_changes_nothing(ana, body):
    flagged("i")
    assert ana.post("/review/decide/", body).status_code == 422
    assert not JudgedFlag.objects.exists()


def test_undo_takes_back_ones_own_last_or_a_named_one(ana):
    flagged("a"), flagged("b")
    other = decided(moderator("bo"), "b")
    press(ana, "a")
    answer = ana.post("/review/undo/").json()
    assert (answer["insight"], answer["said"]) == ("a", "Undone: Spam")
    assert ReviewClaim.objects.get().insight_id == "a"
    assert ana.post("/review/undo/", {"event": other.pk}).json()["insight"] == "b"
    assert ana.post("/review/undo/", {"event": other.pk}).status_code == 409
    for bad in ("x", "0", str(2**70), str(2**62)):
        assert ana.post("/review/undo/", {"event": bad}).status_code in (409, 422)
    assert set(InsightReview.objects.values_list("state", flat=True)) == {"waiting"}


def test_skipping_leaves_it_to_others_and_shows_it_under_mine(ana):
    flagged("a", 4), flagged("b", 3)
    assert ana.post("/review/skip/", {"insight": "a"}).json()["insight"] == "b"
    assert "skipped" in words(ana.get("/review/?tab=mine&live=1").content.decode())
    assert 'data-insight="a"' in ana.get("/review/?tab=skipped&live=1").content.decode()
    assert ana.post("/review/next/", {"insight": "b"}).json()["insight"] == "b"


def test_renewing_and_releasing(ana):
    flagged("i")
    ana.post("/review/claim/", {"insight": "i"})
    claim = ReviewClaim.objects.get()
    until = ana.post("/review/renew/", {"token": str(claim.token)}).json()["until"]
    assert until > claim.expires_at.isoformat()
    ana.post("/review/release/", {"token": str(claim.token)})
    assert not ReviewClaim.objects.exists()
    assert ana.post("/review/renew/", {"token": str(claim.token)}).json()["until"] is None


def test_a_flagger_is_ignored_and_heeded_from_the_item(ana):
    flagged("i")
    answer = ana.post("/review/ignore/", {"insight": "i", "user": "i-u0"}).json()
    assert "do not count until" in answer["said"] and "ignored until" in answer["item"]
    assert (
        "count again"
        in ana.post("/review/ignore/", {"insight": "i", "user": "i-u0", "heed": "1"}).json()["said"]
    )


def test_bulk_shows_the_list_and_decides_exactly_that(ana):
    flagged("a"), flagged("b")
    dialog = ana.post("/review/bulk/", {"items": json.dumps({"b": [], "a": []})}).json()["dialog"]
    assert not ReviewEvent.objects.exists()
    items = {
        name: ids.split(",") for name, ids in re.findall(r'data-insight="(\w+)" data-seen="([^"]*)"', dialog)
    }
    assert list(items) == ["a", "b"]
    flag("b", "late")
    report = ana.post("/review/bulk/", {"items": json.dumps(items), "verdict": "spam"}).json()["report"]
    assert [each["insight"] for each in report["decided"]] == ["a"]
    assert [each["insight"] for each in report["refused"]] == ["b"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"a", "b"}), ("kind=spam", {"b"}), ("flags=5", {"b"}), ("age=1h", set()), ("reason=MOVED", {"b"}),
        ("find=a", {"a"}), ("tab=escalated", set()), ("tab=decided", {"c"}), ("after=nonsense", {"a", "b"}),
        ("tab=decided&after=nonsense", {"c"}), ("kind=x&age=y&flags=z&tab=w", {"a", "b"}),
    ],
)  # fmt: skip
def test_tabs_and_filters(ana, query, found):
    flagged("a", 3), flagged("b", 5, word="spam", reason="it moved")
    decided(moderator("bo"), flagged("c"))
    page = ana.get(f"/review/?live=1&{query}").content.decode()
    assert set(re.findall(r'<li class="review-row[^"]*" data-insight="(\w+)"', page)) == found


def test_pages_follow_one_another(ana):
    for n in range(53):
        flag(f"i{n:02}", "u", "v", "w")
    first = ana.get("/review/?live=1").content.decode()
    more = re.search(r'href="(\?after=[^"]+)">more', first).group(1)
    second = ana.get(f"/review/{more}&live=1").content.decode()
    names = [set(re.findall(r'data-insight="(i\d+)"', page)) for page in (first, second)]
    assert [len(each) for each in names] == [50, 3] and not names[0] & names[1]


def test_the_queue_costs_as_many_queries_for_fifty_as_for_one(ana):
    def cost():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            ana.get("/review/?live=1")
        return len(queries)

    flagged("i0")
    ana.get("/review/?live=1")
    one = cost()
    for n in range(1, 30):
        flagged(f"i{n}")
    assert cost() == one <= 22


def test_the_history_shows_ones_own_decisions_and_administrators_all(ana):
    flagged("a"), flagged("b")
    decided(moderator("bo"), "b", "nothing_wrong")
    press(ana, "a", note="=cmd()")
    own = words(ana.get("/review/history/").content.decode())
    assert "=cmd()" in own and " bo " not in own
    everyone = words(signed_in("administrator").get("/review/history/").content.decode())
    assert "bo" in everyone and "50 %" in everyone
    export = b"".join(ana.get("/review/history/export/").streaming_content).decode()
    assert "'=cmd()" in export and export.count("\n") == 2
    data = ana.get("/review/history/data/?range=24h").json()
    assert data["flags"][1:] == [[6], [0], [0], [0]]
    assert ana.get("/review/history/?range=x&verdict=y&after=z&start=q").status_code == 200


def test_each_number_of_the_history_links_to_its_rows(ana):
    flagged("a"), flagged("b", word="spam"), flagged("c", word="spam"), flagged("d")
    decided(moderator("bo"), "b", "nothing_wrong")
    for insight in ("a", "c", "d"):
        press(ana, insight)
    ana.post("/review/undo/")
    boss = signed_in("administrator")
    page = boss.get("/review/history/").content.decode()
    links = re.findall(r'href="\?([^"]*(?:verdict|type)=[^"]*)" *(?:title="[^"]*")?>([^<]*)<', page)
    found = {}
    for query, number in links:
        asked = unescape(query)
        shown = boss.get(f"/review/history/?{asked}").content.decode()
        rows = shown[shown.index("Each decision") :].count("<tr><td>")
        wanted = dict(parse_qsl(asked))
        key = tuple(wanted.get(name, "") for name in ("moderator", "verdict", "type"))
        found[key] = (number.strip(), rows)
    assert found == {
        ("", "decided", ""): ("4", 4), ("", "upheld", ""): ("75 %", 3), ("", "undone", ""): ("1", 1),
        ("moderators", "decided", ""): ("3", 3), ("moderators", "upheld", ""): ("100 %", 3),
        ("moderators", "undone", ""): ("1", 1),
        ("bo", "decided", ""): ("1", 1), ("bo", "upheld", ""): ("0 %", 0), ("bo", "undone", ""): ("0", 0),
        ("", "upheld", "spam"): ("3", 1), ("", "", "spam"): ("6", 2),
        ("", "upheld", "inaccurate"): ("3", 1), ("", "", "inaccurate"): ("3", 1),
    }  # fmt: skip
    own = words(ana.get("/review/history/").content.decode())
    assert re.search(r"spam .{0,40} 3 of 3 ", own)  # of her decisions, as all figures of hers


def test_the_platform_reads_decisions_by_cursor_and_history_says_when(ana, client):
    for n in range(3):
        press(ana, flagged(f"i{n}"))
    ana.post("/review/undo/")
    _, secret = token("feedback:read")
    first = client.get("/api/v1/feedback/reviews?limit=3", headers=bearer(secret)).json()
    assert ([e["kind"] for e in first["events"]], first["more"]) == (["decision"] * 3, True)
    assert first["events"][0]["upheld"] is True and len(first["events"][0]["flag_ids"]) == 3
    assert words(ana.get("/review/history/").content.decode()).count("fetched by the platform") == 3
    rest = client.get(f"/api/v1/feedback/reviews?since={first['next']}", headers=bearer(secret)).json()
    assert [(e["kind"], e["undoes"]) for e in rest["events"]] == [("undo", first["events"][2]["id"])]
    again = client.get(f"/api/v1/feedback/reviews?since={rest['next']}", headers=bearer(secret)).json()
    assert again == {"events": [], "next": rest["next"], "more": False}
    assert client.get("/api/v1/feedback/reviews?since=x", headers=bearer(secret)).status_code == 422


def test_a_person_who_looks_at_the_feed_is_not_the_platform(ana):
    press(ana, flagged("i"))
    assert len(ana.get("/api/v1/feedback/reviews").json()["events"]) == 1
    assert "fetched by the platform" not in words(ana.get("/review/history/").content.decode())


def test_an_insights_own_page_shows_its_decisions_and_the_way_to_decide(ana):
    flagged("own-page", 1)
    page = ana.get("/insights/own-page/").content.decode()
    assert 'href="/review/?item=own-page"' in page and "1 flag that nobody has judged" in words(page)
    press(ana, "own-page", "misleading", note="too strong")
    text = words(ana.get("/insights/own-page/").content.decode())
    assert "Misleading" in text and "too strong" in text and "not fetched yet" in text
    assert "/review/?item=own-page" not in signed_in("staff").get("/insights/own-page/").content.decode()


def test_the_queue_is_sampled_with_its_length_and_age(ana):
    flagged("a"), flagged("b")
    assert review_rows.measure() == "2 waiting, 0 escalated"
    data = ana.get("/review/history/data/?range=24h").json()
    assert data["queue"][1] == [2] and 0 <= data["age"][1][0] < 0.1


def test_an_id_of_several_lines_breaks_no_page(ana):
    flagged("one\ntwo")
    assert ana.get("/review/").status_code == 200
    assert press(ana, "one\ntwo").status_code == 200
    assert "one%0Atwo/" in ana.get("/review/history/").content.decode()
    flagged("three\nfour")
    assert signed_in("staff").get("/").status_code == 200


def test_the_cursor_of_one_tab_begins_another_at_its_start(ana):
    for n in range(3):
        flagged(f"w{n}")
    decided(ana.user, flagged("done"), review_decisions.Verdict.SPAM)
    by_priority = cursors.place(InsightReview.objects.get(pk="w1"), ("-priority", "-insight_id"))
    by_time = cursors.place(InsightReview.objects.get(pk="done"), ("-decided_at", "-insight_id"))
    for tab, cursor, wanted in (("decided", by_priority, ["done"]), ("waiting", by_time, ["w2", "w1", "w0"])):
        page = ana.get("/review/", {"tab": tab, "after": cursor})
        assert [row.review.pk for row in page.context["rows"]] == wanted
        assert "after=" not in " ".join(query for *_, query in page.context["tabs"])


def test_decided_ones_are_filtered_by_verdict_and_age(ana):
    decided(ana.user, flagged("spam"), review_decisions.Verdict.SPAM)
    decided(ana.user, flagged("fine"), review_decisions.Verdict.NOTHING_WRONG)
    decided(ana.user, flagged("old", reason="wrong fee"), review_decisions.Verdict.SPAM)
    InsightReview.objects.filter(pk="old").update(decided_at=timezone.now() - timedelta(hours=7))

    def listed(**query):
        page = ana.get("/review/", {"tab": "decided", **query})
        return [row.review.pk for row in page.context["rows"]]

    assert listed(verdict="spam") == ["spam", "old"]
    assert listed(age="6h") == ["old"] and listed(reason="fee") == ["old"]
    assert listed(verdict="nothing_wrong") == ["fine"] and listed(verdict="nothing_wrong", age="6h") == []
    # Filters of open flags say nothing of decided ones, and hide none of them.
    assert len(listed(kind="spam", flags="10")) == 3


def test_a_page_that_goes_gives_back_in_seconds_and_one_that_stays_keeps(ana):
    flagged("i")
    claim = review_claims.claim(moderator=ana.user, insight_id="i")
    ana.post("/review/release/", {"token": claim.token, "leaving": "1"})
    (left,) = review_claims.live_claims()
    assert left.expires_at - timezone.now() <= review_claims.LEAVING
    assert ana.post("/review/renew/", {"token": claim.token}).json()["until"]
    assert review_claims.live_claims().get().expires_at - timezone.now() > timedelta(minutes=9)
    ana.post("/review/release/", {"token": claim.token})
    assert not review_claims.live_claims().exists()


def test_who_is_ignored_is_listed_and_taken_back(ana):
    flagged("i", 3)
    review_flaggers.ignore(moderator=ana.user, user_id="i-u0")
    review_rows.refresh()
    assert InsightReview.objects.get(pk="i").counted == 2
    page = ana.get("/review/ignored/")
    assert [(row.user_id, str(record)) for row, record in page.context["standing"]] == [
        ("i-u0", "no flag judged before")
    ]
    answer = ana.post("/review/heed/", {"user": "i-u0"}, follow=True)
    assert "The flags of i-u0 count again." in words(answer.content.decode())
    assert not answer.context["standing"] and [row.user_id for row in answer.context["over"]] == ["i-u0"]
    review_rows.refresh()
    assert InsightReview.objects.get(pk="i").counted == 3
    for user in ("i-u0", "nobody", "a\0"):
        assert "Nothing was changed." in words(
            ana.post("/review/heed/", {"user": user}, follow=True).content.decode()
        )


def test_nobody_else_takes_it_back():
    review_flaggers.ignore(moderator=moderator("bo"), user_id="u")
    for kind, status in (("anonymous", 302), ("staff", 403), ("ops", 403)):
        assert signed_in(kind).post("/review/heed/", {"user": "u"}).status_code == status
    assert review_flaggers.ignored(["u"])


def test_a_time_that_nobody_measured_is_a_gap_and_a_day_without_flags_is_none():
    at = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
    with connection.cursor() as cursor:
        for minutes, waiting in ((0, 3), (5, 4), (10, 5), (60, 9), (65, 8)):
            moment = at + timedelta(minutes=minutes)
            cursor.execute(
                "INSERT INTO review_queue_samples (at, waiting, escalated) VALUES (%s, %s, 0)",
                [moment, waiting],
            )
    flag("i", "u")
    InsightFlag.objects.update(flagged_at=at)
    InsightFeedback.objects.create(insight_id="r", user_id="u", rating=4, created_at=at)
    drawn = review_figures.charts(at - timedelta(hours=1), at + timedelta(hours=30))
    assert drawn["queue"][1] == [3, 4, 5, None, 9, 8]
    days = len(drawn["flags"][0])
    assert 2 <= days <= 3 and drawn["flags"][1] == [1] + [0] * (days - 1)
    assert drawn["ratings"][1] == [4.0] + [None] * (days - 1)
