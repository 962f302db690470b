from io import StringIO

import pytest
from django.conf import settings
from django.core.checks import registry, run_checks
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import OperationalError, connections
from django.test import override_settings

from tests import servers
from utxoiq_admin import checks, service_checks


def found():
    return {message.id for message in checks.check_settings()}


def test_the_settings_of_the_tests_are_fine():
    assert found() == set()


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        ({"SECRET_KEY": "INSECURE", "EMBEDDED_DATABASE": False, "DEBUG": False}, {"E001"}),
        ({"SECRET_KEY": "INSECURE", "EMBEDDED_DATABASE": True, "DEBUG": False}, set()),
        ({"SECRET_KEY": "INSECURE", "EMBEDDED_DATABASE": False, "DEBUG": True}, set()),
        ({"RETENTION_METRICS_DAYS": 0}, {"E002"}),
        ({"RETENTION_JOBS_DAYS": -5}, {"E002"}),
        ({"RETENTION_SOMETHING_NEW_DAYS": 0}, {"E002"}),
        ({"ARCHIVE_JOBS_DAYS": -1}, {"E005"}),
        ({"ARCHIVE_JOBS_DAYS": 0}, set()),
        ({"ARCHIVE_URL": "ftp://host/folder"}, {"E006"}),
        ({"DB_POOL_MIN_SIZE": 11, "DB_POOL_MAX_SIZE": 10}, {"E003"}),
        ({"DB_POOL_MIN_SIZE": 0, "DB_POOL_MAX_SIZE": 0}, {"E003"}),
        ({"DB_POOL_MIN_SIZE": -1}, {"E003"}),
        ({"DB_POOL_TIMEOUT": 0}, {"E003"}),
        ({"WEB_PROCESSES": 0}, {"E003"}),
        ({"DB_POOL_MIN_SIZE": 10, "DB_POOL_MAX_SIZE": 10}, {"W002"}),
        ({"STATEMENT_TIMEOUT_MS": 0}, {"E004"}),
        ({"REDIS_TIMEOUT": 0}, {"E004"}),
        ({"REVIEW_CLAIM_SECONDS": 119}, {"E004"}),
        ({"DEBUG": True, "ALLOWED_HOSTS": ["localhost", "admin.example.org"]}, {"W001"}),
        ({"DEBUG": True, "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"]}, set()),
        ({"DEBUG": False, "ALLOWED_HOSTS": ["*"]}, {"W003"}),
    ],
)
def test_what_cannot_work_or_is_unsafe_is_told(changes, ids):
    insecure = {"INSECURE": settings.INSECURE_SECRET_KEY}
    with override_settings(**{name: insecure.get(str(value), value) for name, value in changes.items()}):
        assert found() == {f"utxoiq_admin.{each}" for each in ids}


def test_a_message_says_what_and_what_to_do(settings):
    settings.RETENTION_METRICS_DAYS = 0
    (message,) = checks.check_settings()
    assert message.msg == "RETENTION_METRICS_DAYS is 0: rows would be taken out of the table as they come in."
    assert message.hint == "Set RETENTION_METRICS_DAYS to at least 1."


def test_the_platforms_checks_run_with_djangos_own():
    assert checks.check_settings in registry.registry.registered_checks


def check_services():
    out, err = StringIO(), StringIO()
    call_command("check", tags=["services"], stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


@pytest.mark.django_db
def test_the_servers_of_the_tests_are_fine():
    assert "no issues" in check_services()


def test_servers_are_looked_at_only_when_asked_for(settings, monkeypatch):
    monkeypatch.setattr(service_checks, "connection", None)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    call_command("check", stdout=StringIO())
    assert run_checks(tags=[service_checks.TAG]) == []
    with pytest.raises(AttributeError), service_checks.asked():
        run_checks()


def test_the_tag_is_listed():
    out = StringIO()
    call_command("check", list_tags=True, stdout=out)
    assert {"services", "platform"} <= set(out.getvalue().split())


def test_an_unknown_tag_is_still_refused():
    with pytest.raises(CommandError, match='no system check with the "service" tag'):
        call_command("check", tags=["service"])


@pytest.mark.django_db
def test_more_connections_than_the_server_has(settings):
    settings.WEB_PROCESSES, settings.DB_POOL_MAX_SIZE = 9, 10
    with pytest.raises(SystemCheckError, match=r"E103.*could take 90 connections.*offers 97, of which 10"):
        check_services()


class Answer:
    """A connection whose catalogue says what the test wants."""

    settings_dict = {"HOST": "db.example.org", "PORT": 5432, "NAME": "utxoiq", "PASSWORD": "sesame"}

    def __init__(self, row):
        self.row = row

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return None

    def execute(self, query):
        return None

    def fetchone(self):
        return self.row


@pytest.mark.parametrize(
    ("row", "ids"),
    [
        ((140012, False, 100, 3, "Etc/UTC"), set()),
        ((130012, False, 100, 3, "UTC"), {"E102"}),
        ((180006, True, 100, 3, "UTC"), {"W101"}),
        ((180006, False, 30, 3, "UTC"), {"E103"}),
        ((180006, False, 100, 3, "Europe/Zurich"), {"E104"}),
    ],
)
def test_what_is_wrong_with_a_database(monkeypatch, row, ids):
    monkeypatch.setattr(service_checks, "connection", Answer(row))
    messages = service_checks.check_database()
    assert {message.id for message in messages} == {f"utxoiq_admin.{each}" for each in ids}
    assert all("db.example.org:5432/utxoiq" in message.msg and message.hint for message in messages)
    assert "sesame" not in str(messages)


@pytest.mark.django_db
def test_a_database_whose_own_zone_is_not_utc_is_told_though_our_sessions_are(monkeypatch):
    with servers.postgres.server.connect() as server:
        server.execute("CREATE DATABASE elsewhere OWNER utxoiq")
        server.execute("ALTER DATABASE elsewhere SET timezone = 'Europe/Zurich'")
    other = connections.create_connection("default")
    other.settings_dict = {**other.settings_dict, "NAME": "elsewhere"}
    monkeypatch.setattr(service_checks, "connection", other)
    try:
        assert {message.id for message in service_checks.check_database()} == {"utxoiq_admin.E104"}
    finally:
        other.close()
        with servers.postgres.server.connect() as server:
            server.execute("DROP DATABASE elsewhere")


def test_a_database_that_is_away(monkeypatch):
    class Away(Answer):
        def cursor(self):
            raise OperationalError("connection failed: password sesame")

    monkeypatch.setattr(service_checks, "connection", Away(()))
    (message,) = service_checks.check_database()
    assert message.id == "utxoiq_admin.E101"
    assert message.msg == "The database at db.example.org:5432/utxoiq cannot be used: OperationalError."
    assert "sesame" not in str(message)


def test_a_redis_that_is_away(settings):
    settings.REDIS_URL = "redis://:sesame@127.0.0.1:1/0"
    (message,) = service_checks.check_redis()
    assert message.id == "utxoiq_admin.E105"
    assert message.msg == "The Redis or Valkey at 127.0.0.1:1 cannot be used: ConnectionError."


@pytest.mark.parametrize(
    ("info", "ids"),
    [
        ({"redis_version": "6.2.14", "maxmemory_policy": "noeviction"}, set()),
        ({"redis_version": "7.4.1"}, set()),
        ({"redis_version": "6.0.16", "maxmemory_policy": "noeviction"}, {"E106"}),
        ({"redis_version": "7.2.4", "maxmemory_policy": "allkeys-lru"}, {"W102"}),
    ],
)
def test_what_is_wrong_with_a_redis(monkeypatch, info, ids):
    monkeypatch.setattr(service_checks.redis.Redis, "info", lambda self: info)
    assert {m.id for m in service_checks.check_redis()} == {f"utxoiq_admin.{each}" for each in ids}
