"""Whatever is sent: an answer that accounts for every row, and never a 500."""

import json
import os

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics.models import SystemMetric
from tests.accounts.access import token
from tests.metrics.writing import BATCH, ONE, row_id, send

pytestmark = [pytest.mark.django_db, pytest.mark.stress]
STRESS = bool(os.environ.get("STRESS"))
fuzzed = settings(
    max_examples=2000 if STRESS else 40,
    deadline=None,
    derandomize=not STRESS,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

text = st.text(max_size=4) | st.sampled_from(
    ["\0", "\ud800", "\udfff", "x" * 101, "𝕏" * 100, "2026-11-24T12:00:00Z", "Infinity", row_id(1), "{}"]
)
numbers = st.floats() | st.integers() | st.sampled_from([10**400, -(10**4200), 2**63, 5e-324, -0.0])
junk = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
times = st.datetimes(timezones=st.timezones() | st.none()).map(str) | st.sampled_from(
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-11-24T24:00:00Z",
        "2026-11-24 12:00:00.1234567890Z",
    ]
)
near = st.fixed_dictionaries(
    {"service_name": text | junk, "metric_type": text, "metric_value": numbers | junk, "unit": text},
    optional={
        "timestamp": times | junk,
        "metric_metadata": st.dictionaries(text, junk, max_size=3) | junk,
        "id": st.uuids().map(str) | st.just(row_id(1)) | junk,
        "colour": junk,
    },
)
good = st.fixed_dictionaries(
    {
        "service_name": st.just("good"),
        "metric_type": st.sampled_from(["cpu", "ü"]),
        "metric_value": st.floats(allow_nan=False, allow_infinity=False),
        "unit": st.just("ms"),
    },
    optional={"metric_metadata": st.dictionaries(st.sampled_from("ab"), st.integers() | st.none())},
)


@pytest.fixture
def client():
    return Client(raise_request_exception=False)


@pytest.fixture
def secret():
    return token("metrics:write")[1]


@fuzzed
@given(rows=st.lists(near | good | junk, min_size=1, max_size=6))
def test_every_row_of_a_list_is_accounted_for(client, secret, rows):
    SystemMetric.objects.all().delete()
    answer = send(secret, rows, client=client)
    receipt = answer.json()
    assert answer.status_code == (200 if receipt["accepted"] + receipt["duplicate"] else 422)
    assert receipt["accepted"] + receipt["duplicate"] + len(receipt["rejected"]) == len(rows)
    assert SystemMetric.objects.count() == receipt["accepted"]
    refused = {each["index"] for each in receipt["rejected"]}
    assert not [place for place, each in enumerate(rows) if is_good(each) and place in refused]


@fuzzed
@given(body=near | good | junk)
def test_every_object_is_stored_or_refused(client, secret, body):
    answer = send(secret, body, path=ONE, client=client)
    assert answer.status_code in (200, 422)
    assert not is_good(body) or answer.status_code == 200


@fuzzed
@given(
    body=st.binary(max_size=40) | st.text(alphabet='[]{}",:0e-n\\u ', max_size=60).map(str.encode),
    encoding=st.sampled_from(["", "identity", "gzip", "GZIP ", "br"]),
    packed=st.booleans(),
    path=st.sampled_from([ONE, BATCH]),
)
def test_every_body_has_an_answer(client, secret, body, encoding, packed, path):
    headers = {"Content-Encoding": encoding} if encoding and not packed else {}
    answer = send(secret, body, path=path, packed=packed, client=client, **headers)
    assert answer.status_code in (413, 415, 422), json.dumps(answer.json())


def is_good(each):
    return (
        isinstance(each, dict) and each.get("service_name") == "good" and set(each) <= GOOD and valued(each)
    )


GOOD = {"service_name", "metric_type", "metric_value", "unit", "metric_metadata"}


def valued(each):
    return (
        isinstance(each["metric_value"], float)
        and each["unit"] == "ms"
        and each["metric_type"] in ("cpu", "ü")
    )
