"""docs/services.md on feedback says what is true: its examples run as they stand."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from feedback import schemas
from feedback.models import InsightFeedback
from tests.accounts.access import token
from utxoiq_admin.core import cache

SECTION = (
    (Path(settings.BASE_DIR) / "docs" / "services.md")
    .read_text()
    .split("\n## Feedback\n")[1]
    .split("\n## ")[0]
)
MADE_NOW = ("id", "created_at", "updated_at")


@pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="curl is not installed")
def test_the_examples_answer_what_the_page_shows(live_server):
    cache.change_generations([cache.ALL])
    environment = {
        "TOKEN": token("feedback:write", "feedback:read")[1],
        "URL": live_server.url,
        "PATH": "/usr/bin:/bin",
    }
    for name in ("feedback", "stats"):
        *commands, shown = re.search(rf"<!-- tested: {name} -->\n```console\n(.*?)```", SECTION, re.S)[
            1
        ].splitlines()
        for command in commands:
            assert command.startswith("$ curl ")
            answer = subprocess.run(
                ["sh", "-c", command[2:]], env=environment, capture_output=True, check=True
            ).stdout
        found, wanted = json.loads(answer), json.loads(shown)
        assert found.keys() == wanted.keys()
        made = dict.fromkeys(MADE_NOW) if name == "feedback" else {}
        assert found | made == wanted | made
    assert InsightFeedback.objects.get().flag_type == "inaccurate"


def test_the_limits_and_words_are_those_that_hold():
    for limit in (f"{schemas.MAX_COMMENT:,}", f"{schemas.MAX_REASON}", f"1 to {schemas.MAX_ID}"):
        assert f"{limit} characters" in SECTION
    assert f"({schemas.PAGE}, at most {schemas.MAX_PAGE})" in SECTION
    assert all(f"`{word}`" in SECTION for word in InsightFeedback.Flag.values)


def test_the_fields_are_those_that_exist():
    named = re.findall(r"^\| `/(\w+)` \| `(\w+)` \|", SECTION, re.M)
    models = {"rate": schemas.RatingIn, "comment": schemas.CommentIn, "flag": schemas.FlagIn}
    assert set(named) == {
        (call, field)
        for call, model in models.items()
        for field in model.model_fields
        if not field.endswith("_id")
    }
