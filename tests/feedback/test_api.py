"""Feedback over HTTP: only what is sent changes, a repeat is safe, the figures are right at once."""

import json
import secrets
import statistics
import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback.models import InsightFeedback, InsightFlag
from feedback.schemas import MAX_COMMENT, MAX_REASON
from tests.accounts.access import bearer, token
from tests.core.conftest import until
from tests.feedback.writing import RUNS, STRESS, other_connection
from utxoiq_admin.core import cache
from utxoiq_admin.core.listener import Listener

pytestmark = pytest.mark.django_db
URL = "/api/v1/feedback/"
PAIR = {"insight_id": "i", "user_id": "u"}
SAID = {"rating": 4, "comment": "good", "flag_type": "spam", "flag_reason": "ads"}
PAST = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def secret():
    return token("feedback:write", "feedback:read")[1]


@pytest.fixture
def call(client, secret):
    """POST a body, or GET parameters."""

    def ask(path, body=None, **query):
        headers = bearer(secret)
        if body is None:
            return client.get(URL + path, query, headers=headers)
        data = body if isinstance(body, str) else json.dumps(body)
        return client.post(URL + path, data, content_type="application/json", headers=headers)

    return ask


@pytest.fixture
def listening(settings):
    """The change listener at work, and a cache of this test alone."""
    settings.CACHES = {"default": {**settings.CACHES["default"], "KEY_PREFIX": secrets.token_hex(8)}}
    delivery, stopped = Listener(), threading.Event()

    def run():
        while not stopped.is_set():
            delivery.step()

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: delivery.delivered)
    yield
    stopped.set()
    thread.join()
    delivery.close()
    connections.close_all()


def row():
    return InsightFeedback.objects.values().get()


def faults(answer):
    assert answer.status_code == 422, answer.content
    return [(each["where"], each["what"]) for each in answer.json()["errors"]]


def test_each_call_changes_its_own_fields_and_answers_all(call):
    assert call("rate", PAIR | {"rating": 2}).json().items() >= {"rating": 2, "comment": None}.items()
    call("comment", PAIR | {"comment": "good"})
    call("flag", PAIR | {"flag_type": "spam", "flag_reason": "ads"})
    answer = call("rate", PAIR | {"rating": 4})
    assert answer.status_code == 200
    made = row()
    assert made.items() >= (PAIR | SAID).items()
    shown = answer.json()
    assert shown == {**{name: made[name] for name in made}, "id": str(made["id"]),
                     "created_at": shown["created_at"], "updated_at": shown["updated_at"]}  # fmt: skip
    assert datetime.fromisoformat(shown["updated_at"]) == made["updated_at"].replace(
        microsecond=made["updated_at"].microsecond // 1000 * 1000
    )


def test_a_repeat_moves_updated_at_and_nothing_else(call):
    InsightFeedback.objects.create(**PAIR, **SAID, created_at=PAST, updated_at=PAST)
    before = row()
    call("rate", PAIR | {"rating": 4})
    after = row()
    assert after | {"updated_at": PAST} == before
    assert datetime.now(UTC) - after["updated_at"] < timedelta(minutes=1)
    assert InsightFlag.objects.count() == 1


@pytest.mark.parametrize(
    ("path", "field"), [("rate", "rating"), ("comment", "comment"), ("flag", "flag_type")]
)
def test_an_explicit_null_clears_that_field_alone(call, path, field):
    InsightFeedback.objects.create(**PAIR, **SAID)
    assert call(path, PAIR | {field: None}).status_code == 200
    assert {name: row()[name] for name in SAID} == SAID | {field: None}
    assert InsightFlag.objects.filter(withdrawn_at=None).count() == (field != "flag_type")


def test_a_reason_stays_until_it_is_sent(call):
    InsightFeedback.objects.create(**PAIR, **SAID)
    call("flag", PAIR | {"flag_type": "misleading"})
    assert row()["flag_reason"] == "ads"
    call("flag", PAIR | {"flag_type": "misleading", "flag_reason": None})
    assert row()["flag_reason"] is None


@pytest.mark.parametrize(
    ("path", "body", "fault"),
    [
        ("rate", {"rating": 0}, ("body.rating", "greater_than_equal")),
        ("rate", {"rating": 6}, ("body.rating", "less_than_equal")),
        ("rate", {"rating": 4.5}, ("body.rating", "int_type")),
        ("rate", {"rating": "4"}, ("body.rating", "int_type")),
        ("rate", {"rating": True}, ("body.rating", "int_type")),
        ("rate", {}, ("body.rating", "missing")),
        ("rate", {"rating": 4, "comment": "x"}, ("body.comment", "extra_forbidden")),
        ("rate", {"rating": 4, "user_id": ""}, ("body.user_id", "string_too_short")),
        ("rate", {"rating": 4, "user_id": "x" * 101}, ("body.user_id", "string_too_long")),
        ("rate", {"rating": 4, "insight_id": None}, ("body.insight_id", "string_type")),
        ("rate", {"rating": 4, "insight_id": "\0"}, ("body.insight_id", "value_error")),
        ("comment", {"comment": "x" * (MAX_COMMENT + 1)}, ("body.comment", "string_too_long")),
        ("comment", {"comment": " \n"}, ("body.comment", "value_error")),
        ("comment", {"comment": "\ud800"}, ("body.comment", "string_unicode")),
        ("flag", {"flag_type": "offensive"}, ("body.flag_type", "enum")),
        ("flag", {"flag_type": "Spam"}, ("body.flag_type", "enum")),
        ("flag", {"flag_type": "spam", "flag_reason": "x" * (MAX_REASON + 1)}, ("body.flag_reason", "string_too_long")),
        ("flag", {"flag_reason": "x"}, ("body.flag_type", "missing")),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_and_changes_nothing(call, path, body, fault):
    InsightFeedback.objects.create(**PAIR, **SAID)
    before = row()
    assert faults(call(path, PAIR | body)) == [fault]
    assert row() == before


@pytest.mark.parametrize("body", ["", "[]", "{", '"x"', "null", '[{"insight_id": "i"}]', '{"rating": NaN}'])
def test_a_body_that_is_no_object_is_refused(call, body):
    assert faults(call("rate", body))
    assert not InsightFeedback.objects.exists()


def test_the_longest_values_are_stored_as_they_came(call):
    long = {"insight_id": "i" * 100, "user_id": "ü" * 100}
    call("comment", long | {"comment": "€" * MAX_COMMENT})
    call("flag", long | {"flag_type": "inaccurate", "flag_reason": "€" * MAX_REASON})
    assert row().items() >= {**long, "comment": "€" * MAX_COMMENT, "flag_reason": "€" * MAX_REASON}.items()


@pytest.mark.django_db(transaction=True)
def test_fifty_calls_at_once_on_one_pair_leave_one_row_that_has_all_of_them():
    """Fifty over the connections that one process may hold, all let go at one moment."""
    headers = bearer(token("feedback:write")[1])
    bodies = [("rate", {"rating": 1 + n % 5}) for n in range(20)]
    bodies += [("comment", {"comment": f"comment {n}"}) for n in range(15)]
    bodies += [("flag", {"flag_type": ("spam", "misleading")[n % 2]}) for n in range(15)]
    gate, statuses = threading.Barrier(len(bodies)), []

    def send(path, body):
        gate.wait()
        try:
            answer = Client().post(URL + path, PAIR | body, content_type="application/json", headers=headers)
            statuses.append(answer.status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send, args=each) for each in bodies]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert statuses == [200] * 50
    made = row()
    assert made["rating"] in range(1, 6) and made["comment"].startswith("comment ")
    assert (
        InsightFlag.objects.filter(withdrawn_at=None).values_list("flag_type", flat=True).get()
        == made["flag_type"]
    )


def test_stats_are_those_of_the_described_query(call):
    words = [None, None, "spam", "spam", "inaccurate", "offensive"]
    for user, rating in enumerate([5, 5, 3, None, 1, None]):
        InsightFeedback.objects.create(
            insight_id="i",
            user_id=f"u{user}",
            rating=rating,
            comment="x" if user % 2 else None,
            flag_type=words[user],
        )
    InsightFeedback.objects.create(insight_id="other", user_id="u", rating=1)
    assert call("stats", insight_id="i").json() == {
        "insight_id": "i",
        "total_ratings": 4,
        "average_rating": 3.5,
        "rating_distribution": {"1": 1, "2": 0, "3": 1, "4": 0, "5": 2},
        "total_comments": 3,
        "total_flags": 4,
        "flag_types": {"inaccurate": 1, "offensive": 1, "spam": 2},
    }
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT COUNT(*) FILTER (WHERE rating IS NOT NULL), AVG(rating),
                   COUNT(*) FILTER (WHERE comment IS NOT NULL), COUNT(*) FILTER (WHERE flag_type IS NOT NULL)
            FROM insight_feedback WHERE insight_id = 'i' GROUP BY insight_id""")
        assert tuple(map(float, cursor.fetchone())) == (4, 3.5, 3, 4)


def test_an_insight_that_nobody_spoke_of_has_zeros(call):
    answer = call("stats", insight_id="nobody").json()
    assert (answer["total_ratings"], answer["average_rating"], answer["flag_types"]) == (0, None, {})


@pytest.mark.django_db(transaction=True)
def test_stats_are_stored_and_right_at_once_after_a_call(call, django_assert_num_queries):
    cache.change_generations([cache.ALL])
    for rating in (1, 5):
        call("rate", PAIR | {"rating": rating})
        for _ in range(2):
            assert call("stats", insight_id="i").json()["average_rating"] == rating
    with django_assert_num_queries(1) as looked:  # the token; the figures come from the cache
        call("stats", insight_id="i")
    assert "service_tokens" in looked.captured_queries[0]["sql"]


WRITES = {
    "INSERT": "INSERT INTO insight_feedback (insight_id, user_id, rating) VALUES ('i', 'v', 5)",
    "UPDATE": "UPDATE insight_feedback SET rating = 5",
    "DELETE": "DELETE FROM insight_feedback",
    "TRUNCATE": "TRUNCATE insight_feedback",
}


@pytest.mark.django_db(transaction=True)
def test_stats_are_right_within_a_second_of_any_sql(call, listening):
    wanted, took = {"INSERT": 3.0, "UPDATE": 5.0, "DELETE": None, "TRUNCATE": None}, []
    for kind, statement in WRITES.items():
        InsightFeedback.objects.all().delete()
        InsightFeedback.objects.create(**PAIR, rating=1)
        until(lambda: call("stats", insight_id="i").json()["average_rating"] == 1.0)
        with other_connection() as other:
            other.execute(statement)
        took.append(until(lambda k=kind: call("stats", insight_id="i").json()["average_rating"] == wanted[k]))
    assert statistics.median(took) < 1.0, took  # one of four may meet a machine that is busy elsewhere


def test_comments_are_paged_newest_first(call):
    for number in range(7):
        InsightFeedback.objects.create(
            id=uuid.UUID(int=number + 1),
            insight_id="i",
            user_id=f"u{number}",
            comment=f"c{number}" if number != 3 else None,
            rating=number % 5 + 1,
            created_at=PAST + timedelta(minutes=number // 2),
        )
    InsightFeedback.objects.create(insight_id="j", user_id="u", comment="other")
    found, cursor = [], None
    while True:
        page = call("comments", insight_id="i", limit=2, **({"cursor": cursor} if cursor else {})).json()
        found += page["comments"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [each["comment"] for each in found] == ["c6", "c5", "c4", "c2", "c1", "c0"]
    assert found[0] == {
        "user_id": "u6", "comment": "c6", "rating": 2,
        "created_at": "2026-03-01T12:03:00Z", "updated_at": found[0]["updated_at"],
    }  # fmt: skip


def test_the_history_of_a_user_is_theirs_alone(call):
    for days, insight in enumerate("ijk"):
        InsightFeedback.objects.create(
            insight_id=insight, user_id="u", rating=1, created_at=PAST + timedelta(days=days)
        )
    InsightFeedback.objects.create(insight_id="i", user_id="v", comment="not mine")
    first = call("user", user_id="u", limit=2).json()
    rest = call("user", user_id="u", limit=2, cursor=first["next"]).json()
    assert [each["insight_id"] for each in first["feedback"] + rest["feedback"]] == ["k", "j", "i"]
    assert rest["next"] is None and rest["feedback"][0]["rating"] == 1


@pytest.mark.parametrize(
    ("path", "query", "where"),
    [
        ("stats", {}, "query.insight_id"),
        ("stats", {"insight_id": ""}, "query.insight_id"),
        ("stats", {"insight_id": "x" * 101}, "query.insight_id"),
        ("stats", {"insight_id": "a\0"}, "query.insight_id"),
        ("comments", {"insight_id": "i", "limit": 0}, "query.limit"),
        ("comments", {"insight_id": "i", "limit": 201}, "query.limit"),
        ("comments", {"insight_id": "i", "cursor": "junk"}, "query.cursor"),
        ("user", {"user_id": "u", "cursor": "WyJhIiwiYiJd"}, "query.cursor"),
    ],
)
def test_a_bad_question_is_refused(call, path, query, where):
    assert faults(call(path, **query))[0][0] == where


text = st.text(max_size=4) | st.sampled_from(["\0", "\ud800", "x" * 101, "spam", "Infinity", "[]"])
junk = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from([10**400, 2**63]) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["insight_id", "user_id", "rating", "comment", "flag_type", "flag_reason"]
bodies = (
    st.dictionaries(st.sampled_from(FIELDS) | text, junk | st.just("i") | st.integers(1, 5), max_size=6)
    | junk
)
names = st.sampled_from(["insight_id", "user_id", "cursor", "limit", "x"])
queries = st.dictionaries(names, text.filter("\ud800".__ne__), max_size=4)  # half a pair fits in no address


@pytest.mark.stress
@given(
    path=st.sampled_from(["rate", "comment", "flag", "stats", "comments", "user"]),
    body=bodies
    | st.fixed_dictionaries({"insight_id": text, "user_id": text}, optional=dict.fromkeys(FIELDS[2:], junk)),
    query=queries,
)  # fmt: skip
@settings(
    max_examples=4 * RUNS,
    deadline=None,
    derandomize=not STRESS,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_is_sent_is_stored_or_refused_and_never_a_fault(call, path, body, query):
    if path in ("rate", "comment", "flag"):
        answer = call(path, json.dumps(body))
        rows = InsightFeedback.objects.filter(pk=answer.json()["id"]) if answer.status_code == 200 else None
        assert rows is None or rows.exists()
    else:
        answer = call(path, **query)
    assert answer.status_code in (200, 422), (answer.status_code, answer.content)
