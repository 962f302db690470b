"""Whatever is asked for: figures or a reason, and never a 500."""

import os

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.accounts.access import bearer, token
from tests.metrics.test_ingest_fuzz import junk, text
from tests.metrics.writing import NOW, ONE, row, send

pytestmark = [pytest.mark.django_db, pytest.mark.stress]
STRESS = bool(os.environ.get("STRESS"))
odd = text | junk.map(str) | st.sampled_from(["", "web-api", "cpu", "nan", "-1", "1e400", "%", "a" * 2001])
times = (
    st.datetimes(timezones=st.timezones() | st.none()).map(str)
    | st.sampled_from([
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "now", "1e18", "-62135596801",
        "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z", "2026-11-24T12:00:00+05:30",
    ])
    | odd
)  # fmt: skip
PARAMETERS = {
    "service_name": st.lists(odd, max_size=3) | st.just(["web-api"]),
    "metric_type": st.lists(odd, max_size=3) | st.just(["cpu"]),
    "start_time": times,
    "end_time": times,
    "interval": st.sampled_from(["minute", "hour", "day", "auto"]) | odd,
    "percentiles": st.sampled_from(["true", "false"]) | odd,
    "split_by": st.sampled_from(["instance_id", ""]) | odd,
    "cursor": odd,
    "limit": st.integers().map(str) | odd,
    "colour": odd,
}


@settings(
    max_examples=3000 if STRESS else 60,
    deadline=None,
    derandomize=not STRESS,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(asked=st.fixed_dictionaries({}, optional=PARAMETERS), path=st.sampled_from([ONE, f"{ONE}/aggregate"]))
def test_every_question_is_answered_or_refused(asker, asked, path):
    asked = {name: value for name, value in asked.items() if storable(value)}
    answer = asker.get(path, asked)
    assert answer.status_code in (200, 422), (path, asked, answer.content)
    assert answer.json().keys() & {"rows", "series", "errors"}


def storable(value):
    """A lone surrogate has no bytes, and so stands in no address."""
    try:
        "".join(value).encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.fixture
def asker():
    _, secret = token("metrics:read", "metrics:write")
    send(secret, [row(timestamp=NOW.isoformat(), metric_metadata={"instance_id": "a"})])
    client = Client(raise_request_exception=False, headers=bearer(secret))
    assert client.get(ONE, {"service_name": "web-api"}).status_code == 200
    return client
