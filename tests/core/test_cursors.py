"""Keyset pages walk a list once, whatever its ties, forwards and backwards."""

import base64
import json
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from metrics.models import SystemMetric
from utxoiq_admin.core.cursors import InvalidCursor, Page, decode, encode, page, place
from utxoiq_admin.core.models import Heartbeat, TaskRun

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=50),
    st.floats(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
)


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_values_come_back_exactly(values: list[Any]) -> None:
    decoded = decode(encode(values))
    assert decoded == tuple(values)
    assert [type(value) for value in decoded] == [type(value) for value in values]


def test_a_cursor_is_safe_in_a_url_and_keeps_microseconds() -> None:
    values = (datetime(2026, 11, 24, 1, 2, 3, 456789, tzinfo=UTC), uuid.UUID(int=7))
    text = encode(values)
    assert text.replace("-", "").replace("_", "").isalnum()
    assert decode(text) == values


def pack(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "text",
    ["", "x", "!!!", "é", "a" * 3000, pack({}), pack([]), pack(7), pack([[1]]), pack([{"x": "y"}]), pack([{}]),
     pack([{"t": 5}]), pack([{"t": "soon"}]), pack([{"u": "1"}]), pack([{"u": "1", "t": "2"}]), pack([{"t": None}])],
)  # fmt: skip
def test_garbage_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(InvalidCursor, match="Take it from the page before"):
        decode(text)


@pytest.mark.parametrize(
    "values",
    [(1,), (START,), (START, 5), (5, uuid.uuid4()), (START, "x"), (START, None), ("2026-01-01", uuid.uuid4()),
     (date(2026, 1, 1), uuid.uuid4()), (START, uuid.uuid4(), 1), (True, uuid.uuid4())],
)  # fmt: skip
def test_a_cursor_of_another_list_is_refused_before_the_database_sees_it(
    values: tuple[Any, ...],
) -> None:
    with pytest.raises(InvalidCursor, match="another list"):
        page(TaskRun.objects.all(), order=("-queued_at", "-id"), cursor=encode(values), size=2)


def test_a_text_that_postgres_cannot_hold_is_refused() -> None:
    for text in ("a\x00b", "x" * 200):
        with pytest.raises(InvalidCursor):
            page(Heartbeat.objects.all(), order=("name",), cursor=encode([text]), size=2)


@pytest.mark.parametrize(
    ("order", "why"),
    [(("started_at", "id"), "may be NULL"), (("queued_at",), "unique"), ((), "unique"), (("nothing",), "no field")],
)  # fmt: skip
def test_an_order_that_would_skip_rows_is_refused(order: tuple[str, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        page(TaskRun.objects.all(), order=order, cursor=None, size=2)


def walk(order: tuple[str, ...], size: int, queryset: Any = None) -> tuple[list[Page[Any]], list[Page[Any]]]:
    """Every page to the end, and every page back to the start."""
    rows = TaskRun.objects.all() if queryset is None else queryset
    there = [page(rows, order=order, cursor=None, size=size)]
    while there[-1].next:
        there.append(page(rows, order=order, cursor=there[-1].next, size=size))
    back = [there[-1]]
    while back[-1].prev:
        back.append(page(rows, order=order, cursor=back[-1].prev, direction="prev", size=size))
    return there, back


class Walks(TestCase):
    """Against Python's own sort, with ties."""

    @settings(max_examples=25, deadline=None)
    @given(
        rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12),
        directions=st.tuples(*[st.booleans()] * 3),
        size=st.integers(1, 5),
    )
    def test_pages_put_together_are_the_sorted_list(
        self, rows: list[tuple[str, int]], directions: tuple[bool, bool, bool], size: int
    ) -> None:
        TaskRun.objects.bulk_create(
            TaskRun(name=name, queued_at=START + timedelta(microseconds=number)) for name, number in rows
        )
        expected = list(TaskRun.objects.all())
        for field, down in reversed(list(zip(("name", "queued_at", "id"), directions, strict=True))):
            expected.sort(key=lambda run, field=field: getattr(run, field), reverse=down)
        order = tuple(
            f"-{field}" if down else field
            for field, down in zip(("name", "queued_at", "id"), directions, strict=True)
        )
        there, back = walk(order, size)
        assert [run.pk for found in there for run in found.rows] == [run.pk for run in expected]
        assert [run.pk for found in reversed(back) for run in found.rows] == [run.pk for run in expected]


def make(count: int) -> None:
    TaskRun.objects.bulk_create(
        TaskRun(name="t", queued_at=START + timedelta(seconds=number)) for number in range(count)
    )


@pytest.mark.django_db
def test_rows_that_arrive_meanwhile_shift_nothing() -> None:
    make(6)
    order = ("-queued_at", "-id")
    first = page(TaskRun.objects.all(), order=order, cursor=None, size=2)
    TaskRun.objects.create(name="new", queued_at=START + timedelta(days=1))
    second = page(TaskRun.objects.all(), order=order, cursor=first.next, size=2)
    assert [run.queued_at - START for run in second.rows] == [timedelta(seconds=3), timedelta(seconds=2)]
    again = page(TaskRun.objects.all(), order=order, cursor=second.prev, direction="prev", size=2)
    assert [run.pk for run in again.rows] == [run.pk for run in first.rows]
    assert again.prev is not None


@pytest.mark.django_db
def test_a_page_whose_rows_went_leads_back() -> None:
    make(4)
    order = ("queued_at", "id")
    first = page(TaskRun.objects.all(), order=order, cursor=None, size=2)
    TaskRun.objects.filter(queued_at__gte=START + timedelta(seconds=2)).delete()
    empty = page(TaskRun.objects.all(), order=order, cursor=first.next, size=2)
    assert (empty.rows, empty.next, empty.prev) == ([], None, first.next)


@pytest.mark.django_db
def test_dicts_and_annotations_page_too() -> None:
    make(3)
    queryset = TaskRun.objects.annotate(since=F("queued_at")).values("since", "id")
    there, _ = walk(("-since", "-id"), 2, queryset)
    assert [len(found.rows) for found in there] == [2, 1]


@pytest.mark.django_db
def test_a_page_is_one_query_in_a_form_that_indexes_and_partitions_serve() -> None:
    order = ("-timestamp", "-id")
    cursor = encode([START, uuid.UUID(int=1)])
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page(SystemMetric.objects.all(), order=order, cursor=cursor, size=50)
    assert len(queries) == 1
    sql = queries[0]["sql"]
    assert '("system_metrics"."timestamp", "system_metrics"."id") < ' in sql
    assert '"system_metrics"."timestamp" <= ' in sql
    with connection.cursor() as server:
        server.execute("EXPLAIN " + sql)
        plan = "\n".join(line for (line,) in server.fetchall())
    later = f"system_metrics_{START + timedelta(days=62):%Y_%m}"
    assert later not in plan


@pytest.mark.django_db
def test_the_place_of_a_row_is_where_its_page_ends() -> None:
    make(3)
    order = ("queued_at", "id")
    first = page(TaskRun.objects.all(), order=order, cursor=None, size=2)
    assert first.next == place(first.rows[-1], order)
