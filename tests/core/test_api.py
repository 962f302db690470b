"""The shape of errors, on an API made for it: core/api.py with operations that fail in every way."""

import json
from typing import Any

import pytest
from django.db import connection
from django.http import Http404
from django.test import Client
from django.urls import path
from ninja import Query, Router, Schema
from pydantic import Field

from utxoiq_admin.core.api import Api, ApiError, Fault
from utxoiq_admin.core.schemas import Body, JsonObject, Text

router = Router()


class Row(Body):
    service_name: Text = Field(max_length=10)
    metric_value: float = Field(allow_inf_nan=False)
    metric_metadata: JsonObject | None = None


class Unchecked(Body):
    """What an author made who forgot to check text."""

    anything: dict[str, Any]


class Range(Schema):
    start_time: int
    service_name: Text = "x"


@router.post("/one")
def one(request: Any, payload: Row) -> dict[str, Any]:
    return {"stored": 1}


@router.post("/many")
def many(request: Any, rows: list[Row]) -> dict[str, Any]:
    return {"stored": len(rows)}


@router.get("/range")
def in_range(request: Any, asked: Query[Range]) -> dict[str, Any]:
    return {}


@router.post("/echo")
def echo(request: Any, payload: Unchecked) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [payload.anything["text"]])
    return {}


@router.get("/fail/{how}")
def fail(request: Any, how: str) -> None:
    if how == "missing":
        raise Http404("No job has this id.")
    if how == "conflict":
        raise ApiError(409, Fault("body", "state", "The job has ended."))
    if how == "lost":
        with connection.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '57P01'; END $$")
    raise RuntimeError("secret detail")


test_api = Api(title="t", urls_namespace="t", docs_url=None)
test_api.add_router("", router)
urlpatterns = [path("api/v1/", test_api.urls)]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]
GOOD = {"service_name": "web-api", "metric_value": 1}


def post(where: str, body: Any, **kwargs: Any) -> Any:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client(raise_request_exception=False).post(
        f"/api/v1/{where}", body, content_type="application/json", **kwargs
    )


def get(where: str) -> Any:
    return Client(raise_request_exception=False).get(f"/api/v1/{where}")


def what(response: Any) -> list[tuple[str, str]]:
    assert set(response.json()) == {"errors"}
    assert all(set(each) == {"where", "what", "why"} for each in response.json()["errors"])
    return [(each["where"], each["what"]) for each in response.json()["errors"]]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"service_name": "web-api"}, [("body.metric_value", "missing")]),
        (
            {"service_name": "x" * 11, "metric_value": "high"},
            [("body.service_name", "string_too_long"), ("body.metric_value", "float_parsing")],
        ),
        ({**GOOD, "service_name": "a\0"}, [("body.service_name", "value_error")]),
        ({**GOOD, "service_name": "a\ud800"}, [("body.service_name", "string_unicode")]),
        ({**GOOD, "metric_value": float("nan")}, [("body.metric_value", "finite_number")]),
        ({**GOOD, "metric_value": float("inf")}, [("body.metric_value", "finite_number")]),
        ({**GOOD, "metric_metadata": {"a": [{"b\0": 1}]}}, [("body.metric_metadata", "value_error")]),
        ({**GOOD, "metric_metadata": {"a": ["\udfff"]}}, [("body.metric_metadata", "value_error")]),
        ({**GOOD, "metadata": {}}, [("body.metadata", "extra_forbidden")]),
        ([GOOD], [("body", "model_type")]),
        (None, [("body", "model_type")]),
    ],
)
def test_one_entry_per_fault_that_points_to_it(body, found):
    answer = post("one", body)
    assert (answer.status_code, what(answer)) == (422, found)


def test_why_is_a_sentence_without_the_value():
    (fault,) = post("one", {**GOOD, "service_name": "password\0"}).json()["errors"]
    assert fault["why"] == "Text may hold neither NUL (\\u0000) nor half of a surrogate pair."


def test_rows_of_a_list_are_numbered_from_0():
    answer = post("many", [GOOD, {**GOOD, "metric_value": None}, {}])
    assert what(answer) == [
        ("body.1.metric_value", "float_type"),
        ("body.2.service_name", "missing"),
        ("body.2.metric_value", "missing"),
    ]


def test_a_very_wrong_list_is_answered_shortly():
    answer = post("many", [{}] * 5000)
    assert len(answer.json()["errors"]) == 101
    assert answer.json()["errors"][-1]["why"] == "9,900 more faults are not listed."


def test_a_nested_object_has_a_limit():
    nested: dict[str, Any] = {}
    for _ in range(40):
        nested = {"a": nested}
    assert what(post("one", {**GOOD, "metric_metadata": nested})) == [("body.metric_metadata", "value_error")]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"a": }', "This is not JSON: Expecting value at line 1, column 7."),
        (b"\xff\xfe\x00", "This is not UTF-8."),
        (b"[" * 200_000, "This is nested too deeply."),
        (b"1" * 5000, "This is not JSON that can be read here."),
    ],
)
def test_a_body_that_is_not_json(body, why):
    answer = post("one", body)
    assert (answer.status_code, what(answer)) == (422, [("body", "json")])
    assert answer.json()["errors"][0]["why"] == why


def test_an_empty_body():
    assert what(post("one", b"")) == [("body", "missing")]


def test_parameters_are_named():
    assert what(get("range?start_time=soon")) == [("query.start_time", "int_parsing")]
    assert what(get("range")) == [("query.start_time", "missing")]


@pytest.mark.parametrize(
    ("query", "where"), [("start_time=1&service_name=%00", "query.service_name"), ("a%00=1", "query")]
)
def test_nul_in_a_parameter(query, where):
    answer = get(f"range?{query}")
    assert (answer.status_code, what(answer)) == (422, [(where, "text")])


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_text_that_an_operation_forgot_to_check_is_no_500(text):
    answer = post("echo", {"anything": {"text": text}})
    assert (answer.status_code, what(answer)) == (422, [("request", "value")])


def test_a_huge_body_is_refused_with_the_limit(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert post("one", {**GOOD, "metric_metadata": {"a": "x" * 900}}).status_code == 200
    answer = post("one", {**GOOD, "metric_metadata": {"a": "x" * 1000}})
    assert (answer.status_code, what(answer)) == (413, [("body", "too_large")])
    assert "at most 1,000 bytes" in answer.json()["errors"][0]["why"]


def test_a_body_in_chunks_is_refused_with_the_reason():
    answer = post("one", b"", headers={"Transfer-Encoding": "chunked"})
    assert (answer.status_code, what(answer)) == (411, [("body", "length")])


def test_refusals_that_an_operation_raises():
    assert (get("fail/missing").status_code, get("fail/missing").json()["errors"][0]["why"]) == (
        404,
        "No job has this id.",
    )
    assert (get("fail/conflict").status_code, what(get("fail/conflict"))) == (409, [("body", "state")])


def test_a_lost_database_is_503_with_retry_after():
    answer = get("fail/lost")
    assert (answer.status_code, what(answer)) == (503, [("server", "database")])
    assert int(answer["Retry-After"]) > 0


@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_of_ours_is_logged_and_shows_no_trace(settings, caplog, debug):
    settings.DEBUG = debug
    answer = get("fail/otherwise")
    assert (answer.status_code, what(answer)) == (500, [("server", "fault")])
    assert b"secret detail" not in answer.content and b"Traceback" not in answer.content
    assert "RuntimeError: secret detail" in caplog.text


def test_a_fault_of_ours_still_fails_a_test():
    with pytest.raises(RuntimeError, match="secret detail"):
        Client().get("/api/v1/fail/otherwise")
