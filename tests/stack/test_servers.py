"""The servers that every other test stands on."""

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from tests import servers
from tests.servers import Breakable
from utxoiq_admin.stack.processes import Child


@pytest.mark.django_db
def test_tests_run_as_a_role_without_superuser_rights() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user, rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        )
        assert cursor.fetchone() == ("utxoiq", False, True)


@pytest.mark.django_db
def test_the_test_database_has_the_statistics_extension() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) > 0 FROM pg_stat_statements")
        assert cursor.fetchone() == (True,)


def test_settings_point_to_the_servers_of_this_run() -> None:
    assert servers.valkey.url == settings.REDIS_URL
    assert settings.DATABASES["default"]["PORT"] == servers.postgres.port


def test_a_frozen_postgres_answers_again_once_thawed(private_postgres: Breakable) -> None:
    private_postgres.freeze()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(private_postgres.url, connect_timeout=2)
    private_postgres.thaw()
    with psycopg.connect(private_postgres.url) as answer:
        assert answer.execute("SELECT 1").fetchone() == (1,)


def test_a_killed_postgres_keeps_what_was_committed(private_postgres: Breakable) -> None:
    with psycopg.connect(private_postgres.url) as before:
        before.execute("DROP TABLE IF EXISTS kept")
        before.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    private_postgres.kill()
    private_postgres.start()
    with psycopg.connect(private_postgres.url) as after:
        assert after.execute("SELECT answer FROM kept").fetchall() == [(42,)]


def test_a_private_valkey_survives_kill_and_restart(private_valkey: Breakable) -> None:
    import redis

    with redis.Redis.from_url(private_valkey.url) as client:
        client.set("kept", "yes")
    private_valkey.kill()
    private_valkey.start()
    with redis.Redis.from_url(private_valkey.url) as client:
        assert client.get("kept") == b"yes"


def test_a_stale_pid_file_never_harms_who_has_the_pid_now(private_postgres: Breakable) -> None:
    """As after a crash and a reboot: the pid in the file is another program's by now."""
    private_postgres.kill()
    account = private_postgres.server.home.account
    bystander = Child("bystander", ["sleep", "60"], private_postgres.child.log, account=account)
    bystander.start()
    try:
        pid_file = private_postgres.server.folder / "postmaster.pid"
        lines = pid_file.read_text().splitlines(keepends=True)
        pid_file.write_text("".join([f"{bystander.pid}\n", *lines[1:]]))
        private_postgres.start()
        assert bystander.running
        with psycopg.connect(private_postgres.url) as answer:
            assert answer.execute("SELECT 1").fetchone() == (1,)
    finally:
        bystander.kill()
