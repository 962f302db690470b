"""`manage.py up` on a distribution's PostgreSQL and Redis, as a role that owns its database and has no other right."""

import http.cookiejar
import json
import os
import re
import secrets
import shutil
import signal
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.stack.running import Up, wait_for
from utxoiq_admin.stack.locations import free_port
from utxoiq_admin.stack.processes import Account, Child
from utxoiq_admin.stack.unprivileged import server_account

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)), None)
REDIS = shutil.which("redis-server")
pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(
        not (POSTGRES and REDIS),
        reason="no PostgreSQL and Redis of the system: packages postgresql and redis-server",
    ),
]
PAGES = [
    "", "charts/", "services/", "insights/", "jobs/", "jobs/coverage/", "review/", "review/history/", "schedule/",
    "retention/", "archives/", "admin/", "admin/metrics/systemmetric/", "admin/feedback/insightfeedback/",
    "admin/backfill/backfilljob/", "admin/auth/user/", "admin/accounts/servicetoken/", "api/v1/docs",
]  # fmt: skip


class Database:
    """A PostgreSQL as its packages leave it: no setting of ours, no extension loaded."""

    def __init__(self, folder: Path) -> None:
        assert POSTGRES is not None
        account = server_account() if os.geteuid() == 0 else None
        self.port, self._password = free_port(), secrets.token_urlsafe(8)
        self._make(folder, account)
        options = [
            "-c",
            f"port={self.port}",
            "-c",
            "unix_socket_directories=",
            "-c",
            "listen_addresses=127.0.0.1",
        ]
        self.child = Child(
            "postgres", [POSTGRES, "-D", folder / "db", *options], folder / "log", account=account
        )
        self.child.stop_signal = signal.SIGINT
        self.child.start()
        wait_for(self._answers)
        self.role, self.password = "operations", secrets.token_urlsafe(8)
        with self.connect("postgres", self._password) as admin:
            admin.execute(f"CREATE ROLE {self.role} LOGIN PASSWORD '{self.password}'")
            admin.execute(f"CREATE DATABASE platform OWNER {self.role}")

    def _make(self, folder: Path, account: Account | None) -> None:
        assert POSTGRES is not None
        password = folder / "password"
        password.write_text(self._password)
        (folder / "db").mkdir(mode=0o700)
        if account:
            os.chown(folder / "db", account.uid, account.gid)
            os.chown(password, account.uid, account.gid)
        options = ["--auth=scram-sha-256", "--username=postgres", f"--pwfile={password}", "--no-sync"]
        made = Child(
            "initdb",
            [POSTGRES.with_name("initdb"), "-D", folder / "db", *options],
            folder / "log",
            account=account,
        )
        made.start()
        assert made.wait(60) and made.succeeded, made.tail()

    def _answers(self) -> bool:
        try:
            self.connect("postgres", self._password).close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, user: str, password: str, name: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, password=password, dbname=name, autocommit=True
        )

    @property
    def url(self) -> str:
        return f"postgres://{self.role}:{self.password}@127.0.0.1:{self.port}/platform"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="utxoiq-up-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def database(folder: Path) -> Iterator[Database]:
    made = Database(folder)
    yield made
    made.child.stop()


@pytest.fixture(scope="module")
def up(folder: Path, database: Database) -> Iterator[Up]:
    port, password = free_port(), secrets.token_urlsafe(8)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", password, "--save", ""]
    redis = Child("redis", [str(REDIS), *options], folder / "redis.log", cwd=folder)
    redis.start()
    started = Up(
        folder / "data",
        free_port(),
        DATABASE_URL=database.url,
        REDIS_URL=f"redis://:{password}@127.0.0.1:{port}/0",
    )
    try:
        yield started.wait_ready()
    finally:
        started.stop()
        redis.stop()


def test_the_embedded_servers_stay_off(up: Up) -> None:
    assert sorted(re.findall(r"^(?:PostgreSQL|Valkey|Demo).*", up.output, re.MULTILINE)) == []
    assert not any((up.data / name).exists() for name in ("postgres", "valkey", "stack.json", "demo_loaded"))
    commands = [" ".join(process.cmdline()) for process in up.remember_family()]
    assert [line for line in commands if "postgres -D" in line or "valkey" in line] == []


def test_a_role_that_only_owns_its_database_is_enough(up: Up, database: Database) -> None:
    with database.connect(database.role, database.password, "platform") as connection:
        rights = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, pg_has_role('pg_monitor', 'member')"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert rights == (False, False, False, False)
        assert connection.execute("SELECT array_agg(extname::text) FROM pg_extension").fetchone() == (
            ["plpgsql"],
        )
    with urllib.request.urlopen(f"{up.address}readyz", timeout=5) as answer:
        checks = json.load(answer)["checks"]
    assert {name: check["status"] for name, check in checks.items()} == dict.fromkeys(
        ["database", "cache", "migrations", "partitions"], "ok"
    )


def test_a_service_that_may_only_insert_writes_and_its_rows_are_counted(up: Up, database: Database) -> None:
    """The triggers run with our rights, not with the writer's; the worker finds the row through Redis and the tick."""
    with database.connect(database.role, database.password, "platform") as owner:
        with database.connect("postgres", database._password, "platform") as admin:
            admin.execute("CREATE ROLE service LOGIN PASSWORD 'service'")
            admin.execute("GRANT INSERT ON system_metrics, insight_feedback TO service")
        with database.connect("service", "service", "platform") as service:
            service.execute(
                "INSERT INTO system_metrics (service_name, metric_type, metric_value, unit)"
                " VALUES ('outside', 'cpu', 42, 'percent')"
            )
            service.execute("INSERT INTO insight_feedback (insight_id, user_id, rating) VALUES ('i', 'u', 4)")
        for table, where in (
            ("metric_rollup_hours", "service_name = 'outside'"),
            ("insight_figures", "voices = 1"),
        ):
            wait_for(
                lambda table=table, where=where: owner.execute(
                    f"SELECT 1 FROM {table} WHERE {where}"
                ).fetchone(),
                30,
            )


def test_the_administrator_signs_in_and_every_page_opens(up: Up) -> None:
    visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    form = visitor.open(f"{up.address}admin/login/", timeout=20).read().decode()
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert found is not None
    fields = {
        "csrfmiddlewaretoken": found[1],
        "username": "admin",
        "password": (up.data / "admin_password").read_text().strip(),
        "next": "/",
    }
    signed_in = visitor.open(f"{up.address}admin/login/", urllib.parse.urlencode(fields).encode(), timeout=20)
    assert signed_in.geturl() == up.address
    for page in PAGES:
        assert visitor.open(up.address + page, timeout=20).status == 200, page
