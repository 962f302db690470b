"""The pages of insights: what they say, how they are sorted, and what they answer to anything else."""

import csv
import html
import io
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback import figures, insights, review_rows
from feedback.models import InsightFeedback, InsightFlag, InsightText
from feedback.review_models import Verdict
from tests.accounts.access import signed_in
from tests.feedback.reviewing import decided, flag, flagged, moderator
from tests.feedback.writing import RUNS, STRESS
from utxoiq_admin.core import cache
from utxoiq_admin.core.admin import NOT_UNDERSTOOD, PAGE_SIZE

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_figures(settings):
    """What other tests stored for an insight of the same name is of no use here."""
    settings.CACHES = {"default": {**settings.CACHES["default"], "KEY_PREFIX": "insights"}}
    cache.change_generations([cache.ALL])


@pytest.fixture
def staff():
    return signed_in("staff")


def say(insight, user, **what):
    return InsightFeedback.objects.create(insight_id=insight, user_id=user, **what)


def text(insight, headline, **more):
    return InsightText.objects.create(
        insight_id=insight, headline=headline, summary="s", category="mempool", **more
    )


def order(page):
    return [row.figures.insight_id for row in page.context["rows"]]


def test_the_list_says_what_the_rows_say_and_knows_the_headline(staff):
    text("i", "Fees <spike>")
    say("i", "u", rating=5, comment="x", updated_at=NOON)
    say("i", "v", rating=2, flag_type="spam", updated_at=NOON)
    page = staff.get("/insights/")
    (row,) = page.context["rows"]
    assert (row.headline, row.figures.ratings, row.figures.average, row.figures.comments, row.figures.flags) == (
        "Fees <spike>", 2, 3.5, 1, 1,
    )  # fmt: skip
    body = page.content.decode()
    assert "Fees &lt;spike&gt;" in body and "2026-03-01 12:00:00" in body and "1 insight<" in body
    assert 'href="/insights/i/"' in body


def test_each_column_sorts_both_ways_and_its_header_turns_it_round(staff):
    for number, (rating, comment, flags, hours) in enumerate(
        [(5, "x", 0, 1), (1, None, 2, 3), (3, "x", 1, 2)]
    ):
        for user in range(5):
            say(
                f"i{number}", f"u{user}", rating=rating if user <= number + 2 or rating == 3 else None,
                comment=comment if user <= number else None, flag_type="spam" if user < flags else None,
                updated_at=NOON + timedelta(hours=hours),
            )  # fmt: skip
    wanted = {
        "ratings": ["i0", "i1", "i2"],
        "average": ["i1", "i2", "i0"],
        "comments": ["i1", "i0", "i2"],
        "flags": ["i0", "i2", "i1"],
        "last_at": ["i0", "i2", "i1"],
    }
    for column, ids in wanted.items():
        least = "&least=1" if column == "average" else ""
        up, down = (
            staff.get(f"/insights/?sort={column}{least}"),
            staff.get(f"/insights/?sort=-{column}{least}"),
        )
        assert (order(up), order(down)) == (ids, ids[::-1])
        (head,) = [head for head in down.context["headers"] if head["sorted"]]
        assert (head["sorted"], head["url"]) == ("descending", f"?sort={column}{least}")


def test_an_average_of_few_ratings_is_left_out_until_asked_for(staff):
    for user in range(5):
        say("many", f"u{user}", rating=2)
    say("few", "u", rating=1)
    assert order(staff.get("/insights/?sort=average")) == ["many"]
    page = staff.get("/insights/?sort=average&least=1")
    assert order(page) == ["few", "many"] and page.context["count"] == "2 insights"


def test_pages_follow_one_another(staff):
    for number in range(PAGE_SIZE + 3):
        say(f"i{number:02}", "u", rating=1 + number % 5, updated_at=NOON + timedelta(minutes=number))
    first = staff.get("/insights/")
    second = staff.get("/insights/" + first.context["next_url"])
    assert order(first) + order(second) == [f"i{n:02}" for n in reversed(range(PAGE_SIZE + 3))]
    assert order(staff.get("/insights/" + second.context["previous_url"])) == order(first)
    assert (first.context["previous_url"], second.context["next_url"]) == ("", "")


def test_an_id_leads_to_its_page_and_words_to_what_they_are_in(staff):
    text("abc-1", "Whale moves 4,100 BTC")
    text("abc-3", "Whale that nobody rated")
    say("abc-1", "u", rating=5)
    say("abc-2", "u", rating=5)
    figures.refresh()
    assert staff.get("/insights/?q=abc-1").headers["Location"] == "/insights/abc-1/"
    assert sorted(order(staff.get("/insights/?q=abc"))) == ["abc-1", "abc-2"]
    assert order(staff.get("/insights/?q=whale")) == ["abc-1"]
    assert "No insight here is called that." in staff.get("/insights/?q=nothing").content.decode()


@pytest.mark.parametrize(
    "query",
    ["sort=x", "sort=insight_id", "sort=average&least=3", "after=x", "before=x", "after=WzEsMl0", "q=%00",
     "sort=-flags&after=WyJhIiwiYiJd", "after=WzEsIlx1MDAwMCJd&sort=flags"],
)  # fmt: skip
def test_an_address_that_makes_no_sense_shows_the_whole_list_and_says_so(staff, query):
    say("i", "u", rating=5)
    page = staff.get(f"/insights/?{query}")
    assert order(page) == ["i"] and NOT_UNDERSTOOD in page.content.decode()


def test_the_export_has_the_order_of_the_list(staff):
    say("=i", "u", rating=5, updated_at=NOON)
    say("j", "u", comment="x", updated_at=NOON + timedelta(hours=1))
    say("j", "v", comment="x", flag_type="spam", updated_at=NOON)
    answer = staff.get("/insights/export.csv?sort=-comments")
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert rows == [
        [
            "insight_id",
            "users",
            "ratings",
            "average",
            "comments",
            "flags",
            "last_at",
            "last_verdict",
            "decided_at",
        ],
        ["j", "2", "0", "", "2", "1", "2026-03-01T13:00:00+00:00", "", ""],
        ["'=i", "1", "1", "5.0", "0", "0", "2026-03-01T12:00:00+00:00", "", ""],
    ]
    assert staff.get("/insights/export.csv?sort=x").status_code == 404


def test_the_last_decision_is_told_and_sorts_pages_forwards_and_backwards(staff, monkeypatch):
    """Decided ones alone stand in that order, archived and reopened ones too."""
    monkeypatch.setattr("feedback.views.PAGE_SIZE", 3)
    ana = moderator()
    for n in range(7):
        decided(ana, flagged(f"i{n}", 3), Verdict.SPAM if n % 2 else Verdict.NOTHING_WRONG)
    say("never", "u", rating=3)
    flag("i2", "late-1", "late-2", "late-3")
    review_rows.refresh()
    InsightFeedback.objects.filter(insight_id="i4").delete()
    pages, url = [], "?sort=-decided_at"
    while url:
        page = staff.get(f"/insights/{url}")
        pages.append(page)
        url = page.context["next_url"]
    assert [order(page) for page in pages] == [["i6", "i5", "i4"], ["i3", "i2", "i1"], ["i0"]]
    assert order(staff.get("/insights/" + pages[1].context["previous_url"])) == ["i6", "i5", "i4"]
    assert order(staff.get("/insights/?sort=decided_at")) == ["i0", "i1", "i2"]
    shown = " ".join(re.sub(r"<[^>]+>", " ", pages[1].content.decode()).split())
    assert "Spam" in shown and "Nothing wrong, flagged again" in shown
    answer = staff.get("/insights/export.csv?sort=-decided_at")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [(row["insight_id"], row["last_verdict"]) for row in rows][:2] == [
        ("i6", "nothing_wrong"),
        ("i5", "spam"),
    ]


def test_the_order_of_decisions_is_read_from_its_index(staff):
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO insight_reviews (insight_id, state, unjudged, counted, inaccurate, misleading, spam, other,
                 trusted, points, priority, ratings, burst, burst_seconds, new_accounts, decided_at, computed_at)
               SELECT 'i' || n, 'decided', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                      CASE WHEN n % 3 > 0 THEN now() - n * interval '1 s' END, now() FROM generate_series(1, 3000) n"""
        )
        cursor.execute("ANALYZE insight_reviews")
        statement = figures._DECIDED.format(
            condition="true", order=figures.Order("decided_at").sql(backwards=False)
        )
        cursor.execute(f"EXPLAIN {statement}", {"size": 51})
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "idx_reviews_last_decision" in plan and "Sort" not in plan


@pytest.mark.parametrize("insight", ["i", "a/b//c", "x y?#%&", "ü€𝕏", "export.csv", "i" * 100])
def test_every_id_has_a_page(staff, insight):
    say(insight, "u/1 &", rating=4, comment="quite right", flag_type="spam", flag_reason="ads")
    (address,) = re.findall(r'href="(/insights/[^"?]+/)"', staff.get("/insights/").content.decode())
    assert unquote(address) == f"/insights/{insight}/" == unquote(reverse("insight", args=[insight]))
    page = staff.get(html.unescape(address))
    assert page.context["insight"].insight_id == insight
    body = page.content.decode()
    assert "quite right" in body and "ads" in body and "?user=u%2F1%20%26" in body


def test_an_empty_id_has_no_page_and_breaks_none(staff):
    made = say("", "u", rating=4)
    assert "an empty id" in staff.get("/insights/").content.decode()
    assert staff.get(f"/admin/feedback/insightfeedback/{made.pk}/change/").status_code == 200


def test_everything_about_one_insight(staff):
    text("i", "Fees spike", confidence=0.85, published_at=NOON, evidence=[{"kind": "block", "value": 975102}])
    for number, rating in enumerate([5, 5, 4, 1]):
        say("i", f"u{number}", rating=rating, comment=f"c{number}", created_at=NOON + timedelta(hours=number))
    for number, word in enumerate(["spam", "misleading", "spam", "other"]):
        say("i", f"f{number}", flag_type=word, updated_at=NOON + timedelta(hours=1 + number))
    InsightFeedback.objects.filter(user_id="f0").update(flag_type=None)
    shown = staff.get("/insights/i/").context["insight"]
    assert [(bar.name, bar.count, bar.percent) for bar in shown.bars] == [
        ("5", 2, 50), ("4", 1, 25), ("3", 0, 0), ("2", 0, 0), ("1", 1, 25),
    ]  # fmt: skip
    assert sorted((bar.name, bar.count) for bar in shown.flag_bars) == [
        ("misleading", 1),
        ("other", 1),
        ("spam", 1),
    ]
    assert (shown.figures.flags, shown.withdrawn) == (3, 1)
    line = shown.timeline
    assert (line.begin, line.end, line.from_publication) == (NOON, NOON + timedelta(hours=4), True)
    assert [mark.at for mark in line.marks] == [100, 75, 50, 25]
    assert [row.comment for row in shown.comments.rows] == ["c3", "c2", "c1", "c0"]


def test_flags_before_the_publication_or_of_one_moment_have_a_timeline():
    text("i", "x", published_at=NOON)
    say("i", "u", flag_type="spam", updated_at=NOON - timedelta(hours=1))
    say("i", "v", flag_type="spam", updated_at=NOON - timedelta(hours=1))
    line = insights.insight("i").timeline
    assert (line.from_publication, line.length, [mark.at for mark in line.marks]) == (
        False,
        timedelta(0),
        [50, 50],
    )


def test_older_comments_are_a_page_of_their_own(staff):
    for number in range(insights.COMMENTS + 1):
        say("i", f"u{number}", comment=f"comment {number}", created_at=NOON + timedelta(hours=number))
    cursor = staff.get("/insights/i/").context["insight"].comments.next
    page = staff.get(f"/insights/i/?comments={cursor}")
    assert [row.comment for row in page.context["insight"].comments.rows] == ["comment 0"]
    assert NOT_UNDERSTOOD in staff.get("/insights/i/?comments=x").content.decode()


def test_an_insight_that_nobody_spoke_of_has_a_page_that_says_so(staff):
    page = staff.get("/insights/nobody/")
    assert page.status_code == 200 and "Nobody has said anything about this insight." in page.content.decode()
    assert staff.get(f"/insights/{'x' * 101}/").status_code == 404
    assert staff.get("/insights/a%00b/").status_code == 404


def test_a_flag_whose_row_is_in_the_archive_is_shown(staff):
    say("i", "u", flag_type="spam", rating=1)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL utxoiq.no_marks = 'on'; DELETE FROM insight_feedback")
    shown = staff.get("/insights/i/").context["insight"]
    assert (shown.figures.flags, shown.figures.ratings, len(shown.flags)) == (1, 0, 1)
    assert InsightFlag.objects.count() == 1


@pytest.mark.parametrize(("path", "most"), [("/insights/", 3), ("/insights/i0/", 7)])
def test_a_page_asks_the_same_few_questions_whatever_it_shows(staff, path, most):
    def questions():
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert staff.get(path).status_code == 200
        about = [each["sql"] for each in asked.captured_queries if "insight_" in each["sql"]]
        assert len(about) <= most, about
        return len(about)

    say("i0", "u", rating=5, comment="x", flag_type="spam")
    questions()
    few = questions()
    for number in range(30):
        say(f"i{number % 3}", f"v{number}", rating=5, comment="x", flag_type="spam")
    cache.change_generations([cache.ALL])
    questions()
    assert questions() == few


@pytest.mark.stress
@given(
    query=st.dictionaries(
        st.sampled_from(["sort", "least", "after", "before", "q", "comments", "x"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
        | st.sampled_from(["-flags", "average", "1", "WzEsImkiXQ", "i", "%", "_", "\\"]),
        max_size=4,
    ),
    path=st.sampled_from(["", "export.csv"]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)
@settings(
    max_examples=RUNS,
    deadline=None,
    derandomize=not STRESS,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_address_ends_in_a_fault(staff, query, path):
    if not InsightFeedback.objects.exists():
        say("i", "u", rating=5)
    address = "/insights/" if not path else f"/insights/{quote(path)}{'' if path == 'export.csv' else '/'}"
    assert staff.get(address, query).status_code in (200, 302, 404)
