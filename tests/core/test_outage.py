"""A database that is away gets a page or JSON that names it, and everything goes on once it is back."""

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError
from django.http import HttpResponse
from django.test import Client, RequestFactory
from psycopg import errors
from psycopg_pool import PoolTimeout

from tests.core.conftest import running, until
from tests.servers import Breakable
from utxoiq_admin.core import outage
from utxoiq_admin.core.outage import OutageMiddleware, diagnose
from utxoiq_admin.stack.locations import free_port


def raised(cause: Exception, kind: type[Exception] = OperationalError) -> Exception:
    error = kind(str(cause))
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (raised(psycopg.OperationalError("connection refused")), outage.UNREACHABLE),
        (raised(errors.AdminShutdown("terminating connection")), outage.UNREACHABLE),
        (raised(errors.CannotConnectNow("the database system is starting up")), outage.UNREACHABLE),
        (raised(errors.TooManyConnections("too many clients")), outage.UNREACHABLE),
        (raised(psycopg.InterfaceError("connection already closed"), InterfaceError), outage.UNREACHABLE),
        (raised(PoolTimeout("couldn't get a connection")), outage.UNREACHABLE),
        (raised(errors.DiskFull("could not extend file")), outage.DISK_FULL),
        (raised(errors.LockNotAvailable("lock timeout")), outage.CONFLICT),
        (raised(errors.DeadlockDetected("deadlock")), outage.CONFLICT),
        (raised(errors.QueryCanceled("statement timeout")), outage.TOO_MUCH),
        (raised(errors.UndefinedColumn("column"), ProgrammingError), None),
        (ValueError("a fault of ours"), None),
        (None, None),
    ],
)
def test_errors_are_told_apart(error: Exception | None, expected: Any) -> None:
    assert diagnose(error) is expected


def test_with_more_threads_than_connections_a_wait_may_be_mere_business(settings: Any) -> None:
    settings.WEB_THREADS = settings.DB_POOL_MAX_SIZE + 1
    assert diagnose(raised(PoolTimeout("couldn't get a connection"))) is outage.BUSY


def test_a_write_that_took_too_long_may_be_repeated() -> None:
    assert diagnose(raised(errors.QueryCanceled("timeout")), writes=True) is outage.WRITE_TOO_SLOW


def answer(path: str, error: Exception, method: str = "get") -> HttpResponse:
    request = getattr(RequestFactory(), method)(path)
    found = OutageMiddleware(lambda _: HttpResponse()).process_exception(request, error)
    assert found is not None
    return found


DOWN = raised(psycopg.OperationalError("connection refused"))


def test_a_page_names_the_database_and_asks_for_itself_again() -> None:
    response = answer("/jobs/", DOWN)
    html = response.content.decode()
    assert (response.status_code, response["Retry-After"], response["Cache-Control"]) == (
        503,
        "5",
        "no-store",
    )
    assert "The database (PostgreSQL) cannot be reached." in html
    assert '<meta http-equiv="refresh" content="5">' in html
    assert "src=" not in html
    assert "refused" not in html


def test_a_form_is_never_sent_again_by_itself() -> None:
    assert "http-equiv" not in answer("/review/1/", DOWN, "post").content.decode()


def test_a_service_gets_the_error_shape() -> None:
    response = answer("/api/v1/x", DOWN, "post")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert response["Content-Type"] == "application/json"
    (fault,) = json.loads(response.content)["errors"]
    assert (fault["where"], fault["what"]) == ("server", "database")
    assert fault["why"].startswith(
        "The database (PostgreSQL) cannot be reached. Whether this request was stored"
    )


def test_too_wide_a_question_is_a_400_that_says_how_to_ask_less() -> None:
    response = answer("/charts/", raised(errors.QueryCanceled("timeout")))
    assert response.status_code == 400
    assert "Narrow the time range" in response.content.decode()
    assert "http-equiv" not in response.content.decode()


class Site:
    """A running gunicorn of the tests' site."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, method: str = "GET") -> tuple[int, str, float]:
        """Status, body and seconds; status 0 when nobody answers yet."""
        begun = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        try:
            connection.request(method, path, headers={"Cookie": "sessionid=abc"})
            response = connection.getresponse()
            return response.status, response.read().decode(), time.monotonic() - begun
        except OSError:
            return 0, "", 0
        finally:
            connection.close()


@pytest.fixture
def site(own_postgres: Breakable, tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    arguments = ["--workers=1", "--threads=4", f"--bind=127.0.0.1:{port}", "tests.core.web"]
    environment = {"DATABASE_URL": own_postgres.url, "UTXOIQ_WEB": "1", "STATEMENT_TIMEOUT_MS": "400"}
    environment["DB_POOL_TIMEOUT"] = "2.5"
    with running(arguments, module="gunicorn", log=tmp_path / "web.log", **environment):
        found = Site(port)
        until(lambda: found.get("/ask")[0] == 200, 20)
        yield found


def test_the_site_outlives_its_database(site: Site, own_postgres: Breakable) -> None:
    own_postgres.kill()
    status, body, seconds = site.get("/api/ask")
    assert (status, '"what": "database"' in body) == (503, True)
    assert seconds < 3
    status, body, seconds = site.get("/ask")
    assert (status, "PostgreSQL) cannot be reached" in body) == (503, True)
    assert seconds < 3.5
    own_postgres.start()
    assert until(lambda: site.get("/api/ask")[0] == 200) < 2
    # Sessions are read below our middleware, where an exception has become a plain 500 already.
    assert site.get("/session")[0] == 200


def test_a_restart_between_two_requests_is_hardly_noticed(site: Site, own_postgres: Breakable) -> None:
    own_postgres.restart()
    status, _, seconds = site.get("/ask")
    assert status == 200
    assert seconds < 1


def test_a_frozen_database_holds_no_request_for_long(site: Site, own_postgres: Breakable) -> None:
    own_postgres.freeze()
    for _ in range(2):
        status, _, seconds = site.get("/api/ask")
        assert status == 503
        assert seconds < 3
    own_postgres.thaw()
    assert until(lambda: site.get("/api/ask")[0] == 200) < 2


def test_time_limits_and_mistakes_are_no_outage(site: Site) -> None:
    assert site.get("/slow")[0] == 400
    status, body, _ = site.get("/api/slow", "POST")
    assert (status, "fewer rows" in body) == (503, True)
    assert site.get("/mistake")[0] == 500
    assert site.get("/ask")[0] == 200


def test_a_broken_export_is_cut_and_says_so(site: Site, own_postgres: Breakable) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    connection.request("GET", "/export")
    response = connection.getresponse()
    assert response.status == 200
    assert response.read(5000).startswith(b"text\r\nxxx")
    own_postgres.kill()
    with pytest.raises(http.client.IncompleteRead) as cut:
        response.read()
    connection.close()
    last_line = cut.value.partial.decode().splitlines()[-1]
    assert last_line == "# INCOMPLETE: the database failed at this row. Export again."


@pytest.mark.django_db
def test_a_failure_below_the_views_is_caught_too(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ROOT_URLCONF = "tests.core.web"

    def fail(self: Any) -> Any:
        raise DOWN

    monkeypatch.setattr(
        "django.contrib.sessions.middleware.SessionMiddleware.process_request", lambda *_: fail(None)
    )
    response = Client(raise_request_exception=False).get("/ask")
    assert response.status_code == 503
    assert b"cannot be reached" in response.content
