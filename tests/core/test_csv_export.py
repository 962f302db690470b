"""Exports: harmless cells, bounded rows, and a break that shows."""

import csv
import io
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import OperationalError
from django.http import StreamingHttpResponse

from utxoiq_admin.core.csv_export import keyset_rows, neutral, stream_csv
from utxoiq_admin.core.models import TaskRun

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
ORDER = ("queued_at", "id")


def text(response: StreamingHttpResponse) -> str:
    return b"".join(response.streaming_content).decode()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+49 30",
        "-x",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "-1-1",
        "+",
        "-",
        "=",
        "-1.5x",
        "--1",
    ],
)
def test_what_a_spreadsheet_would_calculate_gets_an_apostrophe(cell: str) -> None:
    assert neutral(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["-1.5", "+3", "-.5", "-1e-5", "a=b", "", "bitcoin", "1-2", " =1"])
def test_numbers_and_plain_text_stay(cell: str) -> None:
    assert neutral(cell) == cell


def test_other_types_read_well() -> None:
    moment = datetime(2026, 11, 24, 1, 2, 3, 4, tzinfo=UTC)
    key = uuid.UUID(int=7)
    cells = [None, True, False, -1.5, 7, moment, key, {"ü": [1]}, -0.0]
    assert [neutral(cell) for cell in cells] == [
        "", "true", "false", -1.5, 7, "2026-11-24T01:02:03.000004+00:00", str(key), '{"ü": [1]}', -0.0,
    ]  # fmt: skip


def test_a_download_has_a_name_with_its_time_and_a_header_row() -> None:
    with time_machine.travel(datetime(2026, 11, 24, 14, 1, 40, tzinfo=UTC), tick=False):
        response = stream_csv("metrics", ["service", "=value"], iter([["wéb", -1.5], ["a,b", '"']]))
    assert response["Content-Disposition"] == 'attachment; filename="metrics-20261124T140140Z.csv"'
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert text(response) == 'service,\'=value\r\nwéb,-1.5\r\n"a,b",""""\r\n'


def test_no_rows_leave_the_header() -> None:
    assert text(stream_csv("x", ["a"], iter([]))) == "a\r\n"


def test_rows_past_the_limit_are_left_out_and_that_is_said() -> None:
    rows = ([number] for number in range(10))
    assert text(stream_csv("x", ["n"], rows, limit=2)) == (
        "n\r\n0\r\n1\r\n# CUT: the first 2 rows. Narrow the filters for the others.\r\n"
    )
    assert text(stream_csv("x", ["n"], iter([[0], [1]]), limit=2)) == "n\r\n0\r\n1\r\n"


def failing_after(count: int) -> Iterator[list[int]]:
    for number in range(count):
        yield [number]
    raise OperationalError("server closed the connection unexpectedly")


def test_a_failure_before_the_first_rows_is_an_answer_of_its_own() -> None:
    with pytest.raises(OperationalError):
        stream_csv("x", ["n"], failing_after(10))


def test_a_failure_in_the_middle_is_written_and_cuts_the_connection() -> None:
    parts: list[bytes] = []
    stream: Any = stream_csv("x", ["n"], failing_after(5000)).streaming_content
    with pytest.raises(OperationalError):
        for part in stream:
            parts.append(part)
    lines = b"".join(parts).decode().splitlines()
    assert lines[:2] == ["n", "0"]
    assert lines[-1] == "# INCOMPLETE: the database failed at this row. Export again."
    assert len(lines) == 1 + 4000 + 1


@pytest.mark.django_db
def test_all_rows_come_in_order_by_short_queries(django_assert_num_queries: Any) -> None:
    TaskRun.objects.bulk_create(
        TaskRun(name=f"t{number}", queued_at=START + timedelta(seconds=number // 3)) for number in range(25)
    )
    with django_assert_num_queries(3):
        rows = list(keyset_rows(TaskRun.objects.all(), order=ORDER, fields=("queued_at", "name"), batch=10))
    assert len({name for _, name in rows}) == 25
    assert [moment for moment, _ in rows] == sorted(moment for moment, _ in rows)
    limited = keyset_rows(
        TaskRun.objects.all(), order=ORDER, fields=("queued_at", "name"), limit=12, batch=10
    )
    assert list(limited) == rows[:12]


@pytest.mark.django_db
def test_the_first_rows_of_a_large_table_need_one_query(django_assert_num_queries: Any) -> None:
    TaskRun.objects.bulk_create(TaskRun(name="t", queued_at=START) for _ in range(25))
    with django_assert_num_queries(1):
        next(iter(keyset_rows(TaskRun.objects.all(), order=ORDER, fields=("name",), batch=10)))


def test_csv_readers_get_back_what_was_written() -> None:
    rows = [["plain", "with, comma", 'with "quotes"', "two\nlines"]]
    read = list(csv.reader(io.StringIO(text(stream_csv("x", ["a", "b", "c", "d"], iter(rows))), newline="")))
    assert read == [["a", "b", "c", "d"], *rows]
