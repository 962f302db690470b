"""Figures of every insight are those of its rows, at any moment, whoever writes; the list is in their order."""

import itertools
import random
import threading
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback import figures
from feedback.figures import LEAST_RATINGS, ORDERS, Figures, Order, known, listed, refresh
from feedback.figures_verify import verify
from feedback.models import FigureChange, InsightFeedback, InsightFigures, InsightFlag
from tests.feedback.writing import RUNS, STRESS, other_connection
from utxoiq_admin.core.cursors import InvalidCursor, encode

pytestmark = pytest.mark.django_db
COUNTED = """
SELECT insight_id, sum(voices)::bigint, sum(ratings)::bigint, sum(stars)::bigint, sum(comments)::bigint,
       sum(flags)::bigint, CASE WHEN sum(ratings) > 0 THEN sum(stars)::float8 / sum(ratings)::float8 END
FROM (
  SELECT insight_id, count(*), count(rating), coalesce(sum(rating), 0), count(comment), 0
  FROM insight_feedback GROUP BY 1 UNION ALL
  SELECT insight_id, 0, 0, 0, 0, count(*) FROM insight_flags WHERE withdrawn_at IS NULL GROUP BY 1)
  AS r (insight_id, voices, ratings, stars, comments, flags)
GROUP BY 1
"""


def sql(statement: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def counted() -> dict[str, tuple]:
    with connection.cursor() as cursor:
        cursor.execute(COUNTED)
        return {row[0]: tuple(row[1:]) for row in cursor.fetchall()}


def tell(one: Figures) -> tuple:
    return (one.voices, one.ratings, one.stars, one.comments, one.flags, one.average)


def of(insight: str) -> Figures | None:
    return known([insight]).get(insight)


def assert_exact() -> None:
    """Every way to read says what SQL counts from the rows."""
    wanted = counted()
    assert {one.insight_id: tell(one) for one in figures.every(Order(), batch=3)} == wanted
    for insight in {*wanted, "nobody"}:
        one = of(insight)
        assert (tell(one) if one else None) == wanted.get(insight)


def say(insight="i", user="u", rating=None, comment=None, flag=None, at=None) -> None:
    sql(
        """INSERT INTO insight_feedback (insight_id, user_id, rating, comment, flag_type, updated_at)
           VALUES (%s, %s, %s, %s, %s, coalesce(%s, now())) ON CONFLICT (insight_id, user_id) DO UPDATE
           SET rating = excluded.rating, comment = excluded.comment, flag_type = excluded.flag_type""",
        insight, user, rating, comment, flag, at,
    )  # fmt: skip


def test_a_write_is_in_the_figures_before_and_after_the_refresh():
    say(rating=4, comment="x", flag="spam")
    say(user="v", rating=1)
    for _ in range(2):
        one = of("i")
        assert tell(one) == (2, 2, 5, 1, 1, 2.5)
        assert listed(order=Order(), size=5).rows == [one]
        refresh()
    assert FigureChange.objects.count() == 0


def test_what_nobody_says_anything_of_any_more_leaves_no_row():
    say(rating=4, flag="spam")
    refresh()
    assert InsightFigures.objects.count() == 1
    InsightFeedback.objects.all().delete()
    assert of("i") is None and listed(order=Order(), size=5).rows == []
    refresh()
    assert InsightFigures.objects.count() == 0


def test_flags_of_archived_rows_count_and_their_ratings_do_not():
    say(rating=4, flag="spam")
    sql("SET LOCAL utxoiq.no_marks = 'on'")
    sql("DELETE FROM insight_feedback")
    assert tell(of("i")) == (0, 0, 0, 0, 1, None)
    refresh()
    assert tell(of("i")) == (0, 0, 0, 0, 1, None)
    assert_exact()


def test_the_last_word_is_the_newest_that_was_ever_written():
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    say(at=noon)
    say(user="v", at=noon - timedelta(days=9))
    assert of("i").last_at == noon
    refresh()
    say(user="w", at=noon - timedelta(days=2))
    assert of("i").last_at == noon
    InsightFeedback.objects.filter(user_id="u").delete()
    assert of("i").last_at == noon


@pytest.mark.parametrize("at", ["infinity", "-infinity", "0044-03-15 BC"])
def test_a_time_that_python_does_not_know_breaks_nothing(at):
    say(rating=4, flag="spam", at=at)
    assert tell(of("i")) == (1, 1, 4, 0, 1, 4.0)
    assert InsightFlag.objects.get().flagged_at <= datetime.now(UTC)


def test_truncating_takes_everything_back():
    say(rating=4, flag="spam")
    refresh()
    say(user="v", rating=3, comment="x")
    sql("TRUNCATE insight_feedback")
    assert listed(order=Order(), size=5).rows == []
    refresh()
    assert (InsightFigures.objects.count(), FigureChange.objects.count()) == (0, 0)


def test_a_refresh_takes_what_it_is_told_and_no_more():
    for number in range(5):
        say(user=f"u{number}", rating=5)
    assert figures._refresh_once(2, wait=False) == 2
    assert FigureChange.objects.count() == 3
    assert tell(of("i")) == (5, 5, 25, 0, 0, 5.0)


@pytest.mark.django_db(transaction=True)
def test_a_second_refresher_leaves_the_work_to_the_first():
    say(rating=5)
    with other_connection() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (figures.LOCK,))
        assert refresh() == 0
    assert refresh(wait=True) == 1


def crowd() -> None:
    """Forty insights with equal figures among them; of half of them the changes are not added yet."""
    chance = random.Random(7)
    for number in range(40):
        if number == 20:
            refresh()
        for user in range(chance.choice([1, 2, 3, 8, 30]) if number % 7 else 0):
            say(
                f"i{number:02}", f"u{user}", chance.choice([None, 1, 2, 5]), chance.choice([None, "x"]),
                chance.choice([None, None, "spam"]), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number % 5),
            )  # fmt: skip


def expected(order: Order) -> list[str]:
    rows = list(figures.every(Order(), batch=1000))
    if order.by == "average":
        rows = [one for one in rows if one.ratings >= order.least_ratings]
    return [
        one.insight_id
        for one in sorted(rows, key=lambda o: (getattr(o, order.by), o.insight_id), reverse=order.descending)
    ]


def test_every_order_forwards_and_backwards_page_by_page():
    crowd()
    for by in set(ORDERS) - {"decided_at"}:  # which is another table's: see test_insights
        for least in LEAST_RATINGS if by == "average" else (1,):
            for descending in (True, False):
                order = Order(by, descending, least)
                wanted = expected(order)
                assert len(wanted) > 3
                pages, cursor = [], None
                while True:
                    page = listed(order=order, cursor=cursor, size=7)
                    pages.append(page)
                    cursor = page.next
                    if cursor is None:
                        break
                assert [one.insight_id for page in pages for one in page.rows] == wanted
                assert pages[0].prev is None
                for before, after in itertools.pairwise(pages):
                    back = listed(order=order, cursor=after.prev, direction="prev", size=7)
                    assert back.rows == before.rows


@pytest.mark.parametrize(
    "cursor",
    ["x", encode(["a", "i"]), encode([1]), encode([1, "\0"]), encode([1, 2]), encode([2**70, "i"]),
     encode([True, "i"]), encode([datetime(2026, 11, 24, tzinfo=UTC), "i"])],
)  # fmt: skip
def test_a_cursor_that_is_none_of_this_order_is_refused(cursor):
    with pytest.raises(InvalidCursor):
        listed(order=Order("flags"), cursor=cursor, size=5)


def test_an_order_that_does_not_exist_is_refused():
    for order in (Order("insight_id"), Order("flags; DROP TABLE"), Order("average", True, 3)):
        with pytest.raises(ValueError, match="no order"):
            listed(order=order, size=5)


def test_figures_that_somebody_broke_are_found_and_mended():
    crowd()
    refresh()
    sql("UPDATE insight_figures SET stars = stars + 3, flags = flags - 1 WHERE insight_id = 'i01'")
    sql("DELETE FROM insight_figures WHERE insight_id = 'i02'")
    found = verify(sample=1000)
    assert (found.checked, found.differed) == (34, 2)
    assert_exact()
    refresh()
    assert_exact()
    assert verify(sample=1000).differed == 0


def test_reading_takes_one_query(django_assert_num_queries):
    crowd()
    with django_assert_num_queries(1):
        listed(order=Order(), size=50)
    with django_assert_num_queries(1):
        of("i01")


WRITES = st.lists(
    st.tuples(
        st.sampled_from(
            ["say", "say", "say", "delete", "rate all", "move", "refresh", "refresh one", "archive"]
        ),
        st.sampled_from("ijk"),
        st.sampled_from("uvw"),
        st.sampled_from([None, 1, 5]),
        st.sampled_from([None, "x"]),
        st.sampled_from([None, "spam", "misleading"]),
    ),
    max_size=25,
)


@pytest.mark.stress
@given(writes=WRITES)
@settings(
    max_examples=RUNS,
    deadline=None,
    derandomize=not STRESS,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_writes_and_refreshes_in_any_order_are_exact_at_every_step(writes):
    with transaction.atomic():
        for kind, insight, user, rating, comment, flag in writes:
            if kind == "say":
                say(insight, user, rating, comment, flag)
            elif kind == "delete":
                sql("DELETE FROM insight_feedback WHERE user_id = %s", user)
            elif kind == "archive":
                sql("SET LOCAL utxoiq.no_marks = 'on'")
                sql("DELETE FROM insight_feedback WHERE insight_id = %s", insight)
                sql("SET LOCAL utxoiq.no_marks = ''")
            elif kind == "rate all":
                sql("UPDATE insight_feedback SET rating = %s, comment = %s", rating, comment)
            elif kind == "move":
                sql("UPDATE insight_feedback SET insight_id = 'm' || user_id || insight_id WHERE user_id = %s"
                    " AND length(insight_id) = 1 AND NOT EXISTS (SELECT FROM insight_feedback WHERE user_id = %s"
                    " AND length(insight_id) > 1)", user, user)  # fmt: skip
            elif kind == "refresh":
                refresh()
            else:
                figures._refresh_once(1, wait=False)
            assert_exact()
        transaction.set_rollback(True)


@pytest.mark.stress
@pytest.mark.django_db(transaction=True)
def test_readers_are_exact_while_many_write_and_one_refreshes():
    """Writers with several statements a transaction; each commit adds one rating to each of two insights, or none.

    So at any moment both have the same figures, in any snapshot, and there is never a deadlock.
    """
    failures: list[BaseException] = []
    done = threading.Event()

    def write(number: int) -> None:
        try:
            with other_connection() as own:
                for turn in range(200 if STRESS else 25):
                    for insight in random.Random(turn * 31 + number).sample("ij", 2):
                        own.execute(
                            "INSERT INTO insight_feedback (insight_id, user_id, rating) VALUES (%s, %s, %s)",
                            (insight, f"u{number}-{turn}", 1 + turn % 5),
                        )
                    (own.rollback if turn % 5 == 4 else own.commit)()
        except BaseException as error:
            failures.append(error)

    def fold() -> None:
        try:
            while not done.is_set():
                refresh(batch=7)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    refresher = threading.Thread(target=fold)
    for each in (*writers, refresher):
        each.start()
    looks = 0
    while any(each.is_alive() for each in writers):
        rows = [
            {**asdict(one), "insight_id": "", "last_at": ""}
            for one in listed(order=Order("ratings"), size=5).rows
        ]
        assert len(rows) in (0, 2) and (not rows or rows[0] == rows[1])
        looks += 1
    done.set()
    refresher.join()
    assert failures == [] and looks > 10
    assert_exact()
    refresh(wait=True)
    assert_exact()


@pytest.mark.django_db(transaction=True)
def test_the_migration_brings_in_what_stands():
    try:
        call_command("migrate", "feedback", "0004", verbosity=0)
        say(rating=4, comment="x", flag="spam")
        say(user="v", rating=1)
        say("j", flag="spam")
    finally:
        call_command("migrate", verbosity=0)
    assert_exact()
    assert tell(of("i")) == (2, 2, 5, 1, 1, 2.5)
