"""`insight_flags` follows whoever writes `insight_feedback`: a flag begins once, and ends once."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback.models import InsightFeedback, InsightFlag
from tests import servers
from tests.feedback.writing import RUNS, STRESS, other_connection

pytestmark = pytest.mark.django_db
PAST = datetime(2026, 3, 1, 12, tzinfo=UTC)
UPSERT = """
INSERT INTO insight_feedback (insight_id, user_id, {0}) VALUES (%s, %s, %s)
ON CONFLICT (insight_id, user_id) DO UPDATE SET {0} = excluded.{0}, updated_at = now()
"""


def sql(statement: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def flag(word: str | None, insight: str = "i", user: str = "u") -> None:
    sql(UPSERT.format("flag_type"), insight, user, word)


def story() -> list[tuple[str, bool]]:
    """(word, stands) of every flag, as they were set."""
    return [(f.flag_type, f.withdrawn_at is None) for f in InsightFlag.objects.order_by("flagged_at", "id")]


def standing() -> set[tuple]:
    return set(
        InsightFlag.objects.filter(withdrawn_at=None).values_list("insight_id", "user_id", "flag_type")
    )


def flagged_rows() -> set[tuple]:
    rows = InsightFeedback.objects.exclude(flag_type=None)
    return set(rows.values_list("insight_id", "user_id", "flag_type"))


def test_a_flag_is_as_old_as_the_row_that_brings_it():
    sql(
        "INSERT INTO insight_feedback (insight_id, user_id, flag_type, flag_reason, created_at, updated_at)"
        " VALUES ('i', 'u', 'spam', 'ads', %s, %s)",
        PAST,
        PAST + timedelta(hours=2),
    )
    made = InsightFlag.objects.get()
    assert (made.insight_id, made.user_id, made.flag_type, made.flag_reason) == ("i", "u", "spam", "ads")
    assert (made.flagged_at, made.withdrawn_at) == (PAST + timedelta(hours=2), None)


def test_a_row_from_the_future_is_flagged_now():
    sql(
        "INSERT INTO insight_feedback (insight_id, user_id, flag_type, updated_at)"
        " VALUES ('i', 'u', 'spam', now() + interval '1 day')"
    )
    assert abs(InsightFlag.objects.get().flagged_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_flag_set_later_than_the_rating_has_its_own_time():
    sql(
        "INSERT INTO insight_feedback (insight_id, user_id, rating, updated_at) VALUES ('i', 'u', 2, %s)",
        PAST,
    )
    assert story() == []
    before = datetime.now(UTC)
    flag("spam")
    assert InsightFlag.objects.get().flagged_at >= before


def test_the_same_flag_again_and_a_new_rating_are_no_new_flag():
    flag("spam")
    first = InsightFlag.objects.values().get()
    flag("spam")
    sql(UPSERT.format("rating"), "i", "u", 4)
    sql("UPDATE insight_feedback SET comment = 'x', updated_at = now()")
    assert InsightFlag.objects.values().get() == first


def test_a_better_reason_stays_with_the_same_flag():
    flag("spam")
    first = InsightFlag.objects.values().get()
    sql("UPDATE insight_feedback SET flag_reason = 'links to a shop'")
    assert InsightFlag.objects.values().get() == first | {"flag_reason": "links to a shop"}


def test_another_word_withdraws_the_first():
    flag("spam")
    flag("misleading")
    assert story() == [("spam", False), ("misleading", True)]


def test_withdrawn_and_set_again_are_two_flags():
    flag("spam")
    flag(None)
    assert story() == [("spam", False)]
    flag("spam")
    assert story() == [("spam", False), ("spam", True)]


@pytest.mark.parametrize("statement", ["DELETE FROM insight_feedback", "TRUNCATE insight_feedback"])
def test_a_row_that_goes_takes_its_flag_back(statement):
    flag("spam")
    flag("spam", user="v")
    sql(statement)
    assert story() == [("spam", False), ("spam", False)]


def test_a_row_that_moves_moves_its_flag():
    flag("spam")
    sql("UPDATE insight_feedback SET insight_id = 'j'")
    assert story() == [("spam", False), ("spam", True)]
    assert standing() == {("j", "u", "spam")}


def test_retention_and_restore_change_no_flag():
    flag("spam")
    before = list(InsightFlag.objects.values())
    with transaction.atomic():
        sql("SET LOCAL utxoiq.no_marks = 'on'")
        sql("CREATE TEMP TABLE archived ON COMMIT DROP AS SELECT * FROM insight_feedback")
        sql("DELETE FROM insight_feedback")
        assert list(InsightFlag.objects.values()) == before
        sql("INSERT INTO insight_feedback SELECT * FROM archived")
    assert list(InsightFlag.objects.values()) == before
    sql("SET LOCAL utxoiq.no_marks = ''")
    flag(None)
    assert story() == [("spam", False)]


def test_a_user_whose_row_was_archived_flags_again():
    flag("spam")
    sql("SET LOCAL utxoiq.no_marks = 'on'")
    sql("DELETE FROM insight_feedback")
    sql("SET LOCAL utxoiq.no_marks = ''")
    flag("spam")
    assert story() == [("spam", True)]
    flag("inaccurate")
    assert story() == [("spam", False), ("inaccurate", True)]


def test_one_statement_that_inserts_updates_and_deletes():
    for user, word in (("a", "spam"), ("b", "spam"), ("c", None)):
        flag(word, user=user)
    sql("""
        MERGE INTO insight_feedback f USING (VALUES ('a', 'misleading'), ('b', NULL), ('c', 'spam'), ('d', 'spam'))
          AS n(user_id, flag_type) ON f.insight_id = 'i' AND f.user_id = n.user_id
        WHEN MATCHED AND n.flag_type IS NULL THEN DELETE
        WHEN MATCHED THEN UPDATE SET flag_type = n.flag_type
        WHEN NOT MATCHED THEN INSERT (insight_id, user_id, flag_type) VALUES ('i', n.user_id, n.flag_type)
    """)
    assert standing() == flagged_rows() == {("i", "a", "misleading"), ("i", "c", "spam"), ("i", "d", "spam")}
    assert sorted(story()) == [
        ("misleading", True), ("spam", False), ("spam", False), ("spam", True), ("spam", True),
    ]  # fmt: skip


def test_copy_brings_flags_too():
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY insight_feedback (insight_id, user_id, flag_type, updated_at) FROM STDIN") as out,
    ):
        for number in range(300):
            out.write_row(("i", f"u{number}", "spam" if number % 3 == 0 else None, PAST))
    assert InsightFlag.objects.filter(withdrawn_at=None, flagged_at=PAST).count() == 100


def test_a_role_that_may_only_insert_flags_and_may_not_touch_the_flags():
    with (
        servers.postgres.server.connect(connection.settings_dict["NAME"]) as server,
        server.transaction(force_rollback=True),
    ):
        server.execute("CREATE ROLE flagger; GRANT INSERT ON insight_feedback TO flagger")
        server.execute("SET LOCAL ROLE flagger")
        server.execute(
            "INSERT INTO insight_feedback (insight_id, user_id, flag_type) VALUES ('i', 'u', 'spam')"
        )
        server.execute("RESET ROLE")
        assert server.execute("SELECT flag_type FROM insight_flags").fetchall() == [("spam",)]
        assert not server.execute(
            "SELECT has_table_privilege('flagger', 'insight_flags', 'SELECT')"
        ).fetchone()[0]


PAIRS = st.tuples(st.sampled_from("ij"), st.sampled_from("uvw"))
WORDS = st.sampled_from(["spam", "misleading", "other", None])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.dictionaries(PAIRS, WORDS, min_size=1, max_size=6)),
        st.tuples(st.just("delete"), st.lists(PAIRS, min_size=1, max_size=3)),
        st.tuples(st.just("set all"), WORDS),
        st.tuples(st.just("rate"), st.integers(1, 5)),
    ),
    max_size=12,
)


@pytest.mark.stress
@given(steps=STEPS)
@settings(
    max_examples=RUNS,
    deadline=None,
    derandomize=not STRESS,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_statements_leave_the_flags_that_the_rows_say_and_the_history_that_they_had(steps):
    rows: dict[tuple, str | None] = {}
    begun = ended = 0
    with transaction.atomic():
        for kind, what in steps:
            before = dict(rows)
            if kind == "upsert":
                pairs = [(*pair, word) for pair, word in what.items()]
                values = ", ".join(["(%s, %s, %s)"] * len(pairs))
                statement = UPSERT.format("flag_type").replace("(%s, %s, %s)", values)
                sql(statement, *(each for pair in pairs for each in pair))
                rows |= what
            elif kind == "delete":
                sql(
                    "DELETE FROM insight_feedback WHERE (insight_id, user_id) IN"
                    f" ({', '.join(['(%s, %s)'] * len(what))})",
                    *(each for pair in what for each in pair),
                )
                rows = {pair: word for pair, word in rows.items() if pair not in what}
            elif kind == "set all":
                sql("UPDATE insight_feedback SET flag_type = %s", what)
                rows = dict.fromkeys(rows, what)
            else:
                sql("UPDATE insight_feedback SET rating = %s, updated_at = now()", what)
            for pair in before.keys() | rows.keys():
                old, new = before.get(pair), rows.get(pair)
                ended += old is not None and old != new
                begun += new is not None and old != new
            assert standing() == {(*pair, word) for pair, word in rows.items() if word}
            assert (InsightFlag.objects.count(), InsightFlag.objects.exclude(withdrawn_at=None).count()) == (
                begun,
                ended,
            )
        transaction.set_rollback(True)


@pytest.mark.stress
@pytest.mark.django_db(transaction=True)
def test_writers_with_long_transactions_in_any_order_never_meet_a_deadlock():
    """Each writer is a user of their own who touches all insights in an order of their own, two statements and more."""
    failures: list[BaseException] = []
    turns = 60 if STRESS else 8

    def write(user: int) -> None:
        try:
            with other_connection() as own:
                for turn in range(turns):
                    for step in range(6):
                        insight = f"i{(user * 5 + step * (1 + user % 5) + turn) % 6}"
                        word = ("spam", None, "misleading")[(turn + step + user) % 3]
                        own.execute(UPSERT.format("flag_type"), (insight, f"u{user}", word))
                    own.commit()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(user,)) for user in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    assert standing() == flagged_rows()
    assert InsightFlag.objects.count() > 8 * turns


@pytest.mark.django_db(transaction=True)
def test_two_who_write_one_pair_leave_one_flag():
    """The second waits for the first, and sees what it did."""
    with other_connection() as one, other_connection() as two:
        one.execute(UPSERT.format("flag_type"), ("i", "u", "spam"))
        waiting = threading.Thread(
            target=two.execute, args=(UPSERT.format("flag_type"), ("i", "u", "misleading"))
        )
        waiting.start()
        one.commit()
        waiting.join()
        two.commit()
    assert story() == [("spam", False), ("misleading", True)]


@pytest.mark.django_db(transaction=True)
def test_the_migration_brings_in_the_flags_that_stand():
    try:
        call_command("migrate", "feedback", "0002", verbosity=0)
        sql(
            "INSERT INTO insight_feedback (insight_id, user_id, flag_type, flag_reason, created_at, updated_at)"
            " VALUES ('i', 'u', 'spam', 'ads', %s, %s), ('i', 'v', NULL, NULL, %s, %s)",
            *[PAST, PAST + timedelta(days=1)] * 2,
        )
    finally:
        call_command("migrate", verbosity=0)
    made = InsightFlag.objects.get()
    assert (made.user_id, made.flag_type, made.flag_reason) == ("u", "spam", "ads")
    assert (made.flagged_at, made.withdrawn_at) == (PAST + timedelta(days=1), None)
    flag(None)
    assert story() == [("spam", False)]
