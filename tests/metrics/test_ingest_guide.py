"""docs/services.md on writing metrics says what is true: its examples run as they stand."""

import json
import re
import subprocess
import sys
import time
import urllib.error
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings

from metrics import rows, schemas
from metrics.models import SystemMetric
from tests.accounts.access import token
from utxoiq_admin.core.outage import RETRY_AFTER
from utxoiq_admin.core.schemas import MAX_DEPTH

GUIDE = (Path(settings.BASE_DIR) / "docs" / "services.md").read_text()
SECTION = GUIDE.split("## Writing metrics")[1].split("\n## ")[0]


def example(name):
    return re.search(rf"<!-- tested: {name} -->\n```\w+\n(.*?)```", SECTION, re.S)[1]


@pytest.fixture
def secret(transactional_db):
    return token("metrics:write")[1]


@pytest.fixture
def waits(monkeypatch):
    """How long the example would have slept, each time."""
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


@pytest.fixture
def python():
    made = {}
    exec(example("python"), made)
    return made


@pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="curl is not installed")
def test_the_curl_example_answers_what_the_page_shows(secret, live_server):
    command, shown = example("curl").removeprefix("$ ").rsplit("\n", 2)[:2]
    environment = {"TOKEN": secret, "URL": live_server.url, "PATH": "/usr/bin:/bin"}
    answer = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, check=True).stdout
    assert json.loads(answer) == json.loads(shown)
    assert SystemMetric.objects.get().metric_value == 41.5


def test_the_python_example_stores_its_rows_once_however_often_it_sends(secret, live_server, python):
    sent = [
        python["measured"]("cpu", 41.5, "percent", instance_id="a"),
        python["measured"]("latency", 182, "ms"),
    ]
    assert python["send"](live_server.url, secret, sent) == {"accepted": 2, "duplicate": 0, "rejected": []}
    assert python["send"](live_server.url, secret, sent) == {"accepted": 0, "duplicate": 2, "rejected": []}
    assert {
        each.metric_metadata["instance_id"] for each in SystemMetric.objects.filter(metric_type="cpu")
    } == {"a"}


def test_the_python_example_waits_as_it_is_told_and_gives_up_what_cannot_be_repeated(
    python, waits, monkeypatch
):
    answers = [error(503, RETRY_AFTER), OSError(), error(503, RETRY_AFTER), error(422)]

    def answer(*args, **kwargs):
        raise answers.pop(0)

    monkeypatch.setattr(python["urllib"].request, "urlopen", answer)
    with pytest.raises(RuntimeError):
        python["send"]("http://nowhere", "", [])
    assert len(waits) == 3
    assert all(shortest <= wait <= 2 * shortest for shortest, wait in zip((5, 2, 5), waits, strict=True))


def error(status, retry_after=None):
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    made = urllib.error.HTTPError("", status, "", headers, None)
    made.read = lambda: b"why"
    return made


def test_the_limits_are_those_that_hold():
    assert f"{schemas.MAX_BYTES:,} bytes" in SECTION and f"{schemas.MAX_ROWS:,} rows" in SECTION
    assert f"from {settings.RETENTION_METRICS_DAYS} days ago to a day ahead" in SECTION
    assert timedelta(days=1) == rows.AHEAD and f"at most {MAX_DEPTH} levels" in SECTION


def test_the_fields_are_those_that_exist():
    named = re.findall(r"^\| `(\w+)` \|.*\| (required|default)", SECTION, re.M)
    assert {name for name, _ in named} == set(schemas.MetricIn.__annotations__)
    assert {name for name, how in named if how == "required"} == schemas.MetricIn.__required_keys__


def test_the_python_example_needs_nothing_installed():
    subprocess.run([sys.executable, "-I", "-c", example("python")], check=True)
