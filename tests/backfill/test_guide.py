"""docs/services.md on backfill jobs says what is true: its examples run as they stand."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from backfill import reports, schemas
from backfill.api import router
from backfill.models import BackfillJob
from tests.accounts.access import token

GUIDE = (Path(settings.BASE_DIR) / "docs" / "services.md").read_text()
SECTION = GUIDE.split("## Backfill jobs")[1].split("\n## ")[0]


def example(name):
    return re.search(rf"<!-- tested: {name} -->\n```\w+\n\$ (.*?)```", SECTION, re.S)[1]


def run(command, url, secret, **more):
    environment = {"TOKEN": secret, "URL": url, "PATH": "/usr/bin:/bin", **more}
    return json.loads(
        subprocess.run(["sh", "-c", command], env=environment, capture_output=True, check=True).stdout
    )


@pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="curl is not installed")
def test_the_curl_examples_answer_what_the_page_shows(transactional_db, live_server):
    _, secret = token("backfill:write")
    job = run(example("backfill curl"), live_server.url, secret)
    assert {"id", "lease", "lease_until", "missing"} <= set(job)
    assert job["missing"] == [[812000, 820000]]
    command, shown = example("backfill report").rsplit("\n", 2)[:2]
    answer = run(command, live_server.url, secret, JOB=job["id"])
    assert answer == json.loads(shown) | {"id": job["id"]}
    assert BackfillJob.objects.get().current_block == 816000


def test_the_limits_are_those_that_hold():
    assert f"up to {schemas.MAX_FAILED:,} a report" in SECTION
    assert f"not heard of for {reports.LEASE.seconds // 60} minutes" in SECTION


def test_every_call_is_named():
    paths = {path.strip("/").replace("{job_id}", "{id}") for path in router.path_operations}
    for path in paths:
        assert path.removeprefix("{id}/") in SECTION, path


def test_the_fields_of_a_report_are_those_that_exist():
    for name in schemas.ProgressIn.model_fields:
        assert f"`{name}`" in SECTION, name
