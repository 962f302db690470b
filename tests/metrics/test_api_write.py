"""POST /metrics and /metrics/batch: what is stored, what is refused, and what the receipt says of it."""

import gzip
import json
import math
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection

from metrics import bodies, partitions
from metrics.bodies import MAX_BYTES
from metrics.models import SystemMetric
from metrics.schemas import MAX_ROWS
from tests.accounts.access import token
from tests.metrics.writing import BATCH, NOW, ONE, ROW, row, row_id, send
from utxoiq_admin.core import cache

pytestmark = pytest.mark.django_db
NOTHING = {"accepted": 0, "duplicate": 0}


@pytest.fixture(autouse=True)
def frozen_now():
    with time_machine.travel(NOW, tick=False):
        partitions.ensure()
        yield


@pytest.fixture
def secret():
    return token("metrics:write")[1]


def stored():
    return list(SystemMetric.objects.order_by("timestamp", "id"))


def rejections(answer):
    return [(each["index"], each["field"], each["reason"]) for each in answer.json()["rejected"]]


def test_one_metric_is_stored_as_it_was_sent(secret):
    sent = row(
        id=row_id(1), timestamp="2026-11-24T13:30:00.123456+02:00", metric_metadata={"a": [1, {"ü": None}]}
    )
    answer = send(secret, sent, path=ONE)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "duplicate": 0, "rejected": []})
    (made,) = stored()
    assert (str(made.id), made.service_name, made.metric_type) == (row_id(1), "web-api", "cpu")
    assert (made.metric_value, made.unit, made.metric_metadata) == (41.5, "percent", {"a": [1, {"ü": None}]})
    assert made.timestamp == datetime(2026, 11, 24, 11, 30, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize("absent", [{}, {"id": None, "timestamp": None, "metric_metadata": None}])
def test_what_is_left_out_is_filled_in(secret, absent):
    assert send(secret, [row(**absent), row(**absent)]).json() == {
        "accepted": 2,
        "duplicate": 0,
        "rejected": [],
    }
    made = stored()
    assert [(each.timestamp, each.metric_metadata, each.id.version) for each in made] == [(NOW, None, 7)] * 2
    assert made[0].id != made[1].id


@pytest.mark.parametrize("time", ["2026-11-24T11:00:00", "2026-11-24 11:00", "2026-11-24T11:00:00Z"])
def test_a_time_without_a_zone_is_utc(secret, time):
    assert send(secret, [row(timestamp=time)]).status_code == 200
    assert stored()[0].timestamp == NOW - timedelta(hours=1)


def test_integers_and_the_ends_of_a_double_are_values(secret):
    values = [0, -3, 5e-324, 1.7976931348623157e308, 10**300]
    assert send(secret, [row(metric_value=each) for each in values]).json()["accepted"] == 5
    assert sorted(each.metric_value for each in stored()) == sorted(map(float, values))


TEXT = "Text may hold neither NUL (\\u0000) nor half of a surrogate pair."
BAD = {
    "missing": ({k: v for k, v in ROW.items() if k != "unit"}, "unit", "Field required."),
    "unknown": (row(metric_valeu=1), "metric_valeu", "There is no such field."),
    "long service": (row(service_name="x" * 101), "service_name", "String should have at most 100 characters."),
    "long type": (row(metric_type="x" * 51), "metric_type", "String should have at most 50 characters."),
    "long unit": (row(unit="x" * 21), "unit", "String should have at most 20 characters."),
    "empty unit": (row(unit=""), "unit", "String should have at least 1 character."),
    "empty service": (row(service_name=""), "service_name", "String should have at least 1 character."),
    "null unit": (row(unit=None), "unit", "Input should be a valid string."),
    "number for text": (row(service_name=7), "service_name", "Input should be a valid string."),
    "NaN": (row(metric_value=math.nan), "metric_value", "Input should be a finite number."),
    "infinite": (row(metric_value=-math.inf), "metric_value", "Input should be a finite number."),
    "boolean": (row(metric_value=True), "metric_value", "Input should be a valid number."),
    "text": (row(metric_value="12"), "metric_value", "Input should be a valid number."),
    "big integer": (row(metric_value=10**400), "metric_value", "Input should be a finite number."),
    "very big integer": (row(metric_value=10**4299), "metric_value", "Input should be a finite number."),
    "no value": (row(metric_value=None), "metric_value", "Input should be a valid number."),
    "NUL": (row(service_name="a\0b"), "service_name", TEXT),
    "surrogate": (row(metric_type="\ud800"), "metric_type", TEXT),
    "NUL in metadata": (row(metric_metadata={"a": [{"b": "\0"}]}), "metric_metadata", TEXT),
    "surrogate in a key": (row(metric_metadata={"\udfff": 1}), "metric_metadata", TEXT),
    "NaN in metadata": (row(metric_metadata={"a": math.nan}), "metric_metadata", "Numbers in it must be finite."),
    "infinite in metadata": (
        row(metric_metadata={"a": {"b": [math.inf]}}), "metric_metadata", "Numbers in it must be finite."),
    "metadata no object": (row(metric_metadata=[1]), "metric_metadata", "Should be an object."),
    "id no UUID": (row(id="7", timestamp="2026-11-24T11:00:00Z"), "id", None),
    "id without time": (
        row(id=row_id(1)), "timestamp", "A row with an id must carry its timestamp: both together are its identity."),
    "number for a time": (row(timestamp=1795521600), "timestamp", "Input should be a valid string."),
    "digits for a time": (
        row(timestamp="1795521600"), "timestamp", "Should be a time, such as 2026-11-24T12:00:00Z."),
    "no such day": (row(timestamp="2026-02-30T00:00:00Z"), "timestamp", "This is no time of the calendar."),
    "before year 1": (row(timestamp="0001-01-01T00:00:00+14:00"), "timestamp", "This is no time of the calendar."),
    "too old": (row(timestamp="2026-08-26T11:59:59Z"), "timestamp", "Older than the 90 days that are kept."),
    "too far ahead": (
        row(timestamp="2026-11-25T12:00:00.000001Z"), "timestamp", "More than a day ahead of the server's clock."),
    "no object": (5, "", "Should be an object."),
    "null": (None, "", "Should be an object."),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_named_and_costs_no_good_one(secret, case):
    bad, name, reason = BAD[case]
    answer = send(secret, [row(unit="first"), bad, row(unit="last")])
    assert (answer.status_code, answer.json()["accepted"], answer.json()["duplicate"]) == (200, 2, 0)
    (found,) = rejections(answer)
    assert found == (1, name, reason or found[2])
    assert {each.unit for each in stored()} == {"first", "last"}


@pytest.mark.parametrize("case", [case for case in BAD if case not in ("no object", "null")])
def test_a_bad_single_metric_answers_422_and_stores_nothing(secret, case):
    bad, name, reason = BAD[case]
    answer = send(secret, bad, path=ONE)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault == {"where": f"body.{name}", "what": "rejected", "why": reason or fault["why"]}
    assert (rejections(answer), stored()) == ([(0, name, fault["why"])], [])


@pytest.mark.parametrize("text", [b"1e999", b"-1e999", b"NaN", b"Infinity", b"9" * 5000])
def test_numbers_that_json_may_hold_and_no_double_can(secret, text):
    good, bad = json.dumps(ROW).encode(), json.dumps(ROW).encode().replace(b"41.5", text)
    in_metadata = json.dumps(row(metric_metadata={"a": 41.5})).encode().replace(b"41.5}", text + b"}")
    answer = send(secret, b"[%b,%b,%b]" % (bad, good, in_metadata))
    assert [each[:2] for each in rejections(answer)] == [(0, "metric_value"), (2, "metric_metadata")]
    assert answer.json()["accepted"] == 1


@pytest.mark.parametrize("depth", [33, 150, 300, 5000, 100_000])
def test_metadata_nested_too_deeply_costs_no_good_row(secret, depth):
    deep = (
        json.dumps(row(metric_metadata={"a": 41.25})).encode().replace(b"41.25", b"[" * depth + b"]" * depth)
    )
    answer = send(secret, b"[%b, %b]" % (deep, json.dumps(row(unit='],"{')).encode()))
    assert rejections(answer) == [(0, "metric_metadata", "This is nested deeper than 32 levels.")]
    assert [each.unit for each in stored()] == ['],"{']


def test_a_row_with_several_faults_has_one_entry_that_names_them(secret):
    answer = send(secret, [row(unit="", metric_value=None, colour=1), ROW])
    reason = (
        "Input should be a valid number. Also unit: String should have at least 1 character. "
        "Also colour: There is no such field."
    )
    assert rejections(answer) == [(0, "metric_value", reason)]


def test_the_ends_of_the_window_are_inside(secret):
    ends = ["2026-08-26T12:00:00Z", "2026-11-25T12:00:00Z"]
    assert send(secret, [row(timestamp=each) for each in ends]).json()["accepted"] == 2


def test_rejections_stand_in_the_order_of_the_list(secret):
    answer = send(
        secret, [row(timestamp="2020-01-01T00:00:00Z"), row(unit=""), ROW, row(timestamp="2030-01-01 00:00")]
    )
    assert [each[0] for each in rejections(answer)] == [0, 1, 3]


def test_when_no_row_is_good_the_answer_is_422_with_receipt_and_errors(secret):
    answer = send(secret, [row(unit="")] * 150)
    assert answer.status_code == 422 and stored() == []
    found = answer.json()
    assert (found["accepted"], found["duplicate"], len(found["rejected"])) == (0, 0, 150)
    assert len(found["errors"]) == 100 and found["errors"][3]["where"] == "body.3.unit"


@pytest.mark.parametrize(
    ("path", "body", "status", "what"),
    [
        (BATCH, ROW, 422, "type"),
        (BATCH, b'"text"', 422, "type"),
        (BATCH, [], 422, "empty"),
        (BATCH, b"", 422, "json"),
        (BATCH, b"[{]", 422, "json"),
        (BATCH, b"[1] x", 422, "json"),
        (BATCH, b'["\xff"]', 422, "json"),
        (BATCH, b"[" * 100_000, 422, "json"),
        (BATCH, b'{"a":' * 100_000, 422, "json"),
        (BATCH, [1] * (MAX_ROWS + 1), 413, "too_long"),
        (BATCH, b" " * (MAX_BYTES + 1), 413, "too_large"),
        (ONE, [ROW], 422, "type"),
        (ONE, b"null", 422, "type"),
    ],
)
def test_a_body_that_cannot_be_taken_as_a_whole(secret, path, body, status, what):
    answer = send(secret, body, path=path)
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["where"], fault["what"], stored()) == (status, "body", what, [])


def test_a_full_batch_is_stored(secret):
    answer = send(secret, [ROW] * MAX_ROWS, packed=True)
    assert (answer.json()["accepted"], SystemMetric.objects.count()) == (MAX_ROWS, MAX_ROWS)


def test_a_body_as_large_as_the_limit_is_read(secret):
    body = json.dumps([ROW]).encode()
    assert send(secret, body + b" " * (MAX_BYTES - len(body))).json()["accepted"] == 1
    assert send(secret, body + b" " * (MAX_BYTES - len(body)), packed=True).json()["accepted"] == 1


@pytest.mark.parametrize("cut", [1, 5, bodies.STEP])
def test_gzip_of_several_members_is_one_body(secret, cut):
    body = json.dumps([ROW] * 2000).encode()
    packed = gzip.compress(body[:cut], 0) + gzip.compress(b"") + gzip.compress(body[cut:], 0)
    assert send(secret, packed, **{"Content-Encoding": "gzip"}).json()["accepted"] == 2000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        gzip.compress(b"[1]")[:-5],
        gzip.compress(b"[1]") + b"\1\2\3",
        gzip.compress(b"") * 200,
        zlib.compress(b"[1]"),
        gzip.compress(b"[1]")[:-8] + b"12345678",
    ],
    ids=["nothing", "plain", "cut", "junk after", "empty members", "zlib", "wrong checksum"],
)
def test_gzip_that_cannot_be_unpacked(secret, body):
    answer = send(secret, body, **{"Content-Encoding": "gzip"})
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["what"]) == (422, "gzip")


def test_another_packing_is_refused_by_its_name(secret):
    answer = send(secret, [ROW], **{"Content-Encoding": "br"})
    assert (answer.status_code, answer.json()["errors"][0]["where"]) == (415, "header.Content-Encoding")
    assert stored() == []


def test_a_gzip_bomb_is_cut_off_at_the_limit_and_memory_stays_flat(secret):
    packer = zlib.compressobj(9, zlib.DEFLATED, bodies.GZIP)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()
    tracemalloc.start()
    try:
        answer = send(secret, bomb, **{"Content-Encoding": "gzip"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(bomb) < MAX_BYTES, answer.status_code) == (True, 413)
    assert answer.json()["errors"][0]["why"].startswith("A body may have at most 8,388,608 bytes, unpacked")
    assert peak < 3 * MAX_BYTES


def test_who_may_not_write_is_refused_before_the_body_is_read(rf):
    _, reader = token("metrics:read")
    answer = send(reader, b"no json", **{"Content-Encoding": "br"})
    assert (answer.status_code, answer.json()["errors"][0]["what"]) == (403, "scope")


def test_writing_changes_the_generations_of_its_services(
    secret, django_capture_on_commit_callbacks, monkeypatch
):
    bumped = []
    monkeypatch.setattr(cache, "bump", lambda *keys: bumped.append(set(keys)))
    with django_capture_on_commit_callbacks(execute=True):
        send(secret, [row(service_name="a"), row(service_name="b"), row(service_name="c", unit="")])
        send(secret, [row(service_name=f"s{each}") for each in range(101)])
        send(secret, [row(unit="")])
    assert bumped == [{"service:a", "service:b"}, {"service:*"}]


def test_rows_without_a_partition_are_rejected_and_the_others_stored(secret):
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE system_metrics_2026_10")
    answer = send(secret, [row(timestamp="2026-10-05T00:00:00Z"), ROW])
    reason = "There is no partition for this time yet; run `manage.py partitions`."
    assert (answer.json()["accepted"], rejections(answer)) == (1, [(0, "timestamp", reason)])


def test_twins_of_a_row_that_is_not_stored_are_rejected_too(secret):
    old = row(id=row_id(1), timestamp="2026-08-01T00:00:00Z")
    answer = send(secret, [old, old])
    assert answer.status_code == 422 and stored() == []
    assert (answer.json()["duplicate"], [each[0] for each in rejections(answer)]) == (0, [0, 1])


def test_twins_without_a_partition_are_rejected_and_others_stay_duplicates(secret):
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE system_metrics_2026_10")
    lost, kept = (
        row(id=row_id(1), timestamp="2026-10-05T00:00:00Z"),
        row(id=row_id(2), timestamp=NOW.isoformat()),
    )
    answer = send(secret, [lost, kept, lost, kept])
    found = answer.json()
    assert (found["accepted"], found["duplicate"], [each[0] for each in rejections(answer)]) == (1, 1, [0, 2])


def test_the_documentation_describes_the_body(admin_client):
    paths = admin_client.get("/api/v1/openapi.json").json()["paths"]
    schema = paths[BATCH]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert (schema["type"], schema["maxItems"]) == ("array", MAX_ROWS)
    assert set(schema["items"]["required"]) == set(ROW) and schema["items"]["additionalProperties"] is False
    one = paths[ONE]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert one == schema["items"]
