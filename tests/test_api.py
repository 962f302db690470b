"""The API as a whole: who gets in, and the shape of every refusal."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.accounts.access import KINDS, bearer, person, signed_in, token
from utxoiq_admin.accounts.auth import ServiceAuth
from utxoiq_admin.accounts.models import SCOPES
from utxoiq_admin.api import api
from utxoiq_admin.core.api import ApiError
from utxoiq_admin.core.database import table_sizes

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

# Operations that need no scope of their own, each with its reason.
OPEN_TO_EVERY_TOKEN = {("GET", "whoami"): "a service checks its token before it knows what it may do"}


def operations():
    """(method, path, operation) of everything that the API serves."""
    for bound in api._get_bound_routers():
        for path, view in bound.path_operations.items():
            for operation in view.operations:
                for method in operation.methods:
                    yield method, f"{bound.prefix}{path}".strip("/"), operation


OPERATIONS = [pytest.param(*each, id=f"{each[0]} {each[1]}") for each in operations()]


def scope_of(operation):
    (auth,) = operation.auth_callbacks
    return auth.scope


def call(client, method, path, **kwargs):
    some_id = "00000000-0000-7000-8000-000000000000"
    return client.generic(
        method, "/api/v1/" + path.replace("{job_id}", some_id).replace("{id}", some_id), **kwargs
    )


def what(response):
    return [(each["where"], each["what"]) for each in response.json()["errors"]]


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_every_operation_is_closed(method, path, operation):
    """401 for nobody and for a bad token; 403, naming the scope, for a token with every other scope."""
    assert what(call(Client(), method, path)) == [("header.Authorization", "missing")]
    answer = call(Client(), method, path, headers=bearer("utxoiq_0_nobody"))
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert what(answer) == [("header.Authorization", "unknown")]
    if (method, path) in OPEN_TO_EVERY_TOKEN:
        return
    assert scope_of(operation), f"{method} {path} names no scope"
    _, secret = token(*(set(SCOPES) - {scope_of(operation)}))
    answer = call(Client(), method, path, headers=bearer(secret))
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["why"].endswith(f"It needs {scope_of(operation)}.")


def test_the_list_of_open_operations_is_exact():
    unscoped = {(method, path) for method, path, operation in operations() if not scope_of(operation)}
    assert unscoped == set(OPEN_TO_EVERY_TOKEN)


READS = [
    each for each in OPERATIONS if each.values[0] == "GET" and each.values[:2] not in OPEN_TO_EVERY_TOKEN
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("method", "path", "operation"), READS)
def test_people_read_what_their_groups_let_them_see(kind, method, path, operation):
    answer = call(signed_in(kind), method, path)
    refused = {"anonymous": 401, "outsider": 403}.get(kind)
    assert answer.status_code == refused if refused else answer.status_code not in (401, 403)


def test_a_session_never_writes(rf):
    request = rf.post("/")
    request.user = person("administrator")
    for scope in (*SCOPES, None):
        with pytest.raises(ApiError) as refusal:
            ServiceAuth(scope)(request)
        assert (refusal.value.status, refusal.value.faults[0].what) == (403, "session")


def test_no_operation_that_writes_takes_a_session():
    client = signed_in("administrator")
    for method, path, _ in operations():
        if method != "GET":
            answer = call(client, method, path)
            assert (answer.status_code, what(answer)) == (403, [("header.Authorization", "session")]), path


def test_an_operation_without_a_scope_lets_nobody_in(rf):
    _, secret = token(*SCOPES)
    with pytest.raises(ApiError) as refusal:
        ServiceAuth()(rf.get("/", headers=bearer(secret)))
    assert refusal.value.status == 403


def test_an_unknown_scope_is_a_mistake_found_at_start():
    with pytest.raises(ValueError, match="metrics:admin is no scope"):
        ServiceAuth("metrics:admin")


@pytest.mark.parametrize(
    ("header", "what_is_wrong"),
    [
        ("Basic dTpw", "malformed"),
        ("Bearer", "malformed"),
        ("Bearer  ", "malformed"),
        ("Bearer \udcff\x00", "unknown"),
        ("", "malformed"),
    ],
)
def test_headers_that_are_no_token(client, header, what_is_wrong):
    answer = client.get("/api/v1/whoami", headers={"Authorization": header})
    assert (answer.status_code, what(answer)) == (401, [("header.Authorization", what_is_wrong)])


def test_a_token_ends_when_it_expires_and_when_it_is_revoked(client):
    made, secret = token("metrics:read", expires=timezone.now() + timedelta(hours=1))
    assert client.get("/api/v1/whoami", headers=bearer(secret)).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        answer = client.get("/api/v1/whoami", headers=bearer(secret))
    assert (answer.status_code, what(answer)) == (401, [("header.Authorization", "expired")])
    type(made).objects.update(revoked_at=timezone.now(), revoked_by="ana")
    answer = client.get("/api/v1/whoami", headers=bearer(secret))
    assert (answer.status_code, what(answer)) == (401, [("header.Authorization", "revoked")])


def test_a_token_wins_over_a_session():
    _, secret = token("metrics:read")
    answer = signed_in("administrator").get("/api/v1/monitoring/database/sizes", headers=bearer(secret))
    assert answer.status_code == 403


def test_a_token_that_is_refused_is_not_noted_as_used(client):
    made, secret = token("metrics:read", revoked_at=NOW, revoked_by="ana")
    client.get("/api/v1/whoami", headers=bearer(secret))
    made.refresh_from_db()
    assert made.last_used_at is None


def test_whoami_of_a_token(client, django_assert_num_queries):
    expires = timezone.now().replace(microsecond=0) + timedelta(days=90)
    made, secret = token("metrics:write", "metrics:read", expires=expires)
    client.get("/api/v1/whoami", headers=bearer(secret))
    with django_assert_num_queries(1):
        answer = client.get("/api/v1/whoami", headers=bearer(secret))
    assert answer.json() == {
        "kind": "token",
        "name": "web-api",
        "scopes": ["metrics:write", "metrics:read"],
        "expires_at": expires.isoformat().replace("+00:00", "Z"),
    }
    made.refresh_from_db()
    assert timezone.now() - made.last_used_at < timedelta(seconds=30)


def test_whoami_of_a_person():
    assert signed_in("outsider").get("/api/v1/whoami").json() == {
        "kind": "person", "name": "outsider", "scopes": [], "expires_at": None,
    }  # fmt: skip


def test_sizes_of_tables_with_their_partitions(client):
    _, secret = token("monitoring:read")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO system_metrics (service_name, metric_type, metric_value, unit) "
            "SELECT 'web-api', 'cpu', n, 'percent' FROM generate_series(1, 1000) n"
        )
        cursor.execute("ANALYZE system_metrics")
        cursor.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'system_metrics'::regclass")
        (partitions,) = cursor.fetchone()
    answer = client.get("/api/v1/monitoring/database/sizes", headers=bearer(secret)).json()
    tables = {each["table"]: each for each in answer["tables"]}
    metrics = tables["system_metrics"]
    assert (metrics["rows"], metrics["partitions"]) == (1000, partitions)
    assert 0 < metrics["index_bytes"] < metrics["bytes"] < answer["database_bytes"]
    assert not [name for name in tables if name.startswith("system_metrics_")]
    assert tables["backfill_jobs"]["partitions"] == 0
    assert [each["bytes"] for each in answer["tables"]] == sorted(
        (t["bytes"] for t in answer["tables"]), reverse=True
    )


def test_rows_are_unknown_before_they_were_ever_counted():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE never_counted AS SELECT 1 AS a")
    assert {each.table: each.rows for each in table_sizes()}["never_counted"] is None


def test_paths_that_are_not_served(client):
    for path in ("", "nothing", "whoami/", "docs/x", "who%00ami"):
        answer = client.get("/api/v1/" + path)
        assert (answer.status_code, what(answer)) == (404, [("path", "not_found")]), path


def test_a_method_that_is_not_served_says_which_are(client):
    answer = client.delete("/api/v1/whoami")
    assert (answer.status_code, answer["Allow"], what(answer)) == (405, "GET", [("method", "method")])
    assert answer.json()["errors"][0]["why"] == "DELETE is not possible here; GET is."


@pytest.fixture
def plain_static(settings):
    storage = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": storage}


def test_the_documentation_asks_for_a_sign_in(client):
    for path in ("/api/v1/docs", "/api/v1/openapi.json"):
        assert client.get(path).headers["Location"].startswith("/admin/login/?next=")


def test_the_documentation_loads_nothing_from_other_hosts(plain_static):
    client = signed_in("outsider")
    page = client.get("/api/v1/docs").content.decode()
    assert "//" not in page.replace("http://www.w3.org", "")
    options = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    assert (options["validatorUrl"], options["url"]) == (None, "/api/v1/openapi.json")
    paths = [part.split('"')[0] for part in page.split("/static/")[1:]]
    assert len(paths) == 5 and all(finders.find(path) for path in paths)


def test_the_description_lists_every_operation():
    described = signed_in("outsider").get("/api/v1/openapi.json").json()["paths"]
    assert {
        (method.upper(), path.removeprefix("/api/v1/")) for path, each in described.items() for method in each
    } == {(method, path) for method, path, _ in operations()}
