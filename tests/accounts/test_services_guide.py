"""docs/services.md says what is true: its examples run as they stand."""

import json
import re
import shlex
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from psycopg import errors

from tests import servers
from tests.accounts.access import bearer, token
from utxoiq_admin.accounts.models import SCOPES, ServiceToken

pytestmark = pytest.mark.django_db
GUIDE = (Path(settings.BASE_DIR) / "docs" / "services.md").read_text()
ROLES = re.findall(r"<!-- tested: (\w+) -->\n```sql\n(.*?)```", GUIDE, re.S)
EXAMPLES = re.findall(r"<!-- tested as (\w+) -->\n```sql\n(.*?)```", GUIDE, re.S)
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

# The least that stores a row with only INSERT granted: everything else must come from the tables' defaults.
LEAST = {
    "system_metrics": "(service_name, metric_type, metric_value, unit) VALUES ('s', 'cpu', 1, 'percent')",
    "insight_feedback": "(insight_id, user_id) VALUES ('i', 'u')",
    "backfill_jobs": "(job_type, start_block, end_block, current_block, status) VALUES ('b', 1, 2, 1, 'running')",
}
DEFAULTS = {
    "system_metrics": {"timestamp": "now"},
    "insight_feedback": {"created_at": "now", "updated_at": "now"},
    "backfill_jobs": {"started_at": "now", "progress_percentage": 0.0},
}


@pytest.fixture
def server():
    """The test database as its administrator; whatever is done, roles included, is undone."""
    with (
        servers.postgres.server.connect(connection.settings_dict["NAME"]) as made,
        made.transaction(force_rollback=True),
    ):
        yield made


def test_the_page_has_its_examples():
    assert [name for name, _ in ROLES] == ["metrics_writer", "feedback_writer", "backfill_writer"]
    assert {name for name, _ in EXAMPLES} == {name for name, _ in ROLES}


@pytest.mark.parametrize(("role", "grants"), ROLES)
def test_sql_examples_work_with_the_grants_and_again(server, role, grants):
    server.execute(grants)
    server.execute(f"SET LOCAL ROLE {role}")
    for owner, example in EXAMPLES:
        if owner == role:
            server.execute(example)
    if role != "backfill_writer":
        server.execute([example for owner, example in EXAMPLES if owner == role][-1])


@pytest.mark.parametrize("table", LEAST)
def test_a_role_with_only_insert_stores_a_row_with_all_defaults(server, table):
    server.execute("CREATE ROLE inserter")
    server.execute(f"GRANT INSERT ON {table} TO inserter")
    server.execute("SET LOCAL ROLE inserter")
    server.execute(f"INSERT INTO {table} {LEAST[table]}")
    server.execute("RESET ROLE")
    columns = ", ".join(f'"{column}"' for column in DEFAULTS[table])
    found_id, now, *values = server.execute(f"SELECT id::text, now(), {columns} FROM {table}").fetchone()
    assert UUID7.fullmatch(found_id)
    assert values == [now if value == "now" else value for value in DEFAULTS[table].values()]


@pytest.mark.parametrize(("role", "grants"), ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM {}",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "SELECT * FROM auth_user",
        "SELECT * FROM service_tokens",
    ],
)
def test_a_writer_may_nothing_else(server, role, grants, statement):
    table = re.search(r"INSERT ON (\w+)", grants)[1]
    server.execute(grants)
    server.execute(f"SET LOCAL ROLE {role}")
    with pytest.raises(errors.InsufficientPrivilege), server.transaction():
        server.execute(statement.format(table))


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("INSERT INTO system_metrics (service_name, metric_type, metric_value, unit) VALUES ('s','c','NaN','p')",
         "chk_metric_value_finite"),
        ("INSERT INTO system_metrics (service_name, metric_type, metric_value, unit, \"timestamp\") "
         "VALUES ('s','c',1,'p', now() + interval '5 months')", "no partition of relation"),
        ("INSERT INTO insight_feedback (insight_id, user_id, rating) VALUES ('i','u',6)", "chk_rating_range"),
        ("INSERT INTO insight_feedback (insight_id, user_id) VALUES ('i','u'), ('i','u')",
         "uq_insight_user_feedback"),
        ("INSERT INTO backfill_jobs (job_type, start_block, end_block, current_block, status) "
         "VALUES ('b',1,2,1,'waiting')", "chk_backfill_status"),
        ("INSERT INTO backfill_jobs (job_type, start_block, end_block, current_block, status) "
         "VALUES ('b',2,1,1,'running')", "chk_backfill_range"),
        ("INSERT INTO backfill_jobs (job_type, start_block, end_block, current_block, status, progress_percentage) "
         "VALUES ('b',1,2,1,'running',101)", "chk_backfill_progress"),
    ],
)  # fmt: skip
def test_what_the_page_says_is_refused_is(server, statement, error):
    with pytest.raises(errors.IntegrityError, match=error), server.transaction():
        server.execute(statement)
    if error != "no partition of relation":
        assert f"`{error}`" in GUIDE


def test_the_command_for_a_token_runs(capsys):
    command = re.search(r"\$ python manage.py (create_service_token .*)", GUIDE)[1]
    call_command(*shlex.split(command))
    assert ServiceToken.objects.with_secret(capsys.readouterr().out.splitlines()[-1]).exists()


def test_the_scopes_are_those_that_exist():
    table = GUIDE.split("| scope |")[1].split("\n\n")[0]
    assert set(re.findall(r"`([a-z]+:[a-z]+)`", table)) == set(SCOPES)


def test_whoami_answers_what_the_page_shows(client):
    shown = json.loads(re.search(r'^\{"kind".*\}$', GUIDE, re.M)[0])
    _, secret = token(*shown["scopes"], name=shown["name"])
    answer = client.get("/api/v1/whoami", headers=bearer(secret)).json()
    assert answer | {"expires_at": shown["expires_at"]} == shown


def test_the_limit_of_a_body_is_the_one_that_is_set():
    assert f"{settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes" in GUIDE
