"""`manage.py up`: what a person at the terminal sees, and what is left behind."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.stack.running import OURS, ROOT, Up, lives, wait_for
from utxoiq_admin.stack import unprivileged
from utxoiq_admin.stack.locations import free_port

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data folder with a space in its path, and longer than the path of a Unix socket may be."""
    top = Path(tempfile.mkdtemp(prefix="utxoiq-up-"))
    top.chmod(0o711)
    yield top / ("data folder " + "x" * 120)
    shutil.rmtree(top)


@pytest.fixture(scope="module")
def _started() -> Iterator[list[Up]]:
    started: list[Up] = []
    yield started
    for up in started:
        up.stop()


@pytest.fixture
def up(folder: Path, _started: list[Up]) -> Up:
    """A stack that is ready; the one of the test before, unless that one ended it."""
    if not _started or _started[-1].process.poll() is not None:
        _started.append(Up(folder, free_port(), "--no-demo").wait_ready())
    _started[-1].remember_family()
    return _started[-1]


@pytest.fixture
def database(up: Up) -> Callable[[], psycopg.Connection]:
    return lambda: psycopg.connect(addresses(up)["database_url"], autocommit=True)


def addresses(up: Up) -> dict[str, str]:
    found: dict[str, str] = json.loads((up.data / "stack.json").read_text())
    return found


def test_says_last_where_it_is_ready(up: Up) -> None:
    said = up.output.splitlines()
    assert said[0] == f"utxoIQ admin, data in {up.data}"
    assert [line.split(maxsplit=1) for line in said[-6:-1]] == [
        ["Address", up.address],
        ["User", "admin"],
        ["Password", f"in {up.data / 'admin_password'}"],
        ["Logs", str(up.data / "logs")],
        ["Stop", f"Ctrl-C, or kill {up.process.pid}"],
    ]
    assert said[-1] == f"ready {up.address}"


def test_serves_at_the_address_it_names(up: Up) -> None:
    with urllib.request.urlopen(f"{up.address}healthz", timeout=5) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("name", ["stack.json", "servers.json", "secret_key", "admin_password"])
def test_only_the_owner_reads_the_secrets(up: Up, name: str) -> None:
    assert (up.data / name).stat().st_mode & 0o777 == 0o600


def test_the_application_is_no_superuser_but_sees_the_statistics(database) -> None:
    with database() as connection:
        row = connection.execute(
            "SELECT current_user, rolsuper, rolcreatedb, pg_has_role('pg_monitor', 'member'),"
            " current_setting('timezone'), current_setting('server_encoding'),"
            " current_setting('track_io_timing')"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == ("utxoiq", False, True, True, "UTC", "UTF8", "on")
        assert connection.execute("SELECT count(*) > 0 FROM pg_stat_statements").fetchone() == (True,)


def test_the_servers_ask_for_a_password(up: Up) -> None:
    known = addresses(up)
    without = psycopg.conninfo.make_conninfo(known["database_url"], password="wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(without)
    port = known["redis_url"].split(":")[-1].split("/")[0]
    with (
        redis.Redis(port=int(port), retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_the_broker_never_evicts_a_message(up: Up) -> None:
    with redis.Redis.from_url(addresses(up)["redis_url"]) as client:
        assert client.config_get("maxmemory-policy", "appendonly") == {
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
        }


def test_every_other_command_finds_the_running_servers_by_itself(up: Up) -> None:
    told = subprocess.run(
        [sys.executable, "manage.py", "partitions", "--dry-run"],
        cwd=ROOT,
        env={**{k: v for k, v in os.environ.items() if k not in OURS}, "UTXOIQ_DATA_DIR": str(up.data)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert f"system_metrics_{datetime.now(UTC):%Y_%m}" in told.stdout


def test_a_second_one_on_the_same_folder_is_refused_by_name(up: Up) -> None:
    second = Up(up.data, free_port())
    assert second.end() == 1
    assert f"is in use by process {up.process.pid}" in second.output
    assert "--data-dir" in second.output
    assert all(lives(process) for process in up.remember_family())


def test_a_taken_port_is_named_with_the_way_out(up: Up, tmp_path: Path) -> None:
    second = Up(tmp_path / "other", up.port)
    assert second.end() == 1
    assert f"Port {up.port} of 127.0.0.1 cannot be used" in second.output
    assert f"make run PORT={up.port + 1}" in second.output
    assert not (tmp_path / "other" / "postgres").exists()


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("worker", r"celery .*worker"), ("postgres", r"postgres -D"), ("valkey", r"valkey-server|valkey\.conf")],
)
def test_a_killed_child_is_reported_and_the_rest_stops(up: Up, name: str, pattern: str) -> None:
    """The test that comes next starts on what is left here."""
    log = up.data / "logs" / f"{name}.log"
    child = up.child(pattern)
    # The log may hold an earlier start's lines; the report shows this one's only.
    wait_for(lambda: log.stat().st_size > 0 and log.stat().st_mtime > child.create_time())
    child.send_signal(signal.SIGKILL)
    assert up.end() == 1
    assert f"{name} was ended by SIGKILL. Its log ({log}) ends with:" in up.output
    # Its children may write a last line of their own after the report.
    reported = up.output.split("ends with:")[1].split("The rest was stopped")[0].strip().splitlines()
    assert reported
    assert [line for line in reported if line.strip() not in log.read_text()] == []
    assert "did not stop within" not in up.output
    assert up.left(5) == []
    assert not (up.data / "stack.json").exists()


def test_sigterm_stops_all_in_reverse_order(up: Up) -> None:
    assert up.stop() == 0
    stopped = [line for line in up.output.splitlines() if line.startswith("Stopping ")]
    assert stopped[-3:] == ["Stopping web", "Stopping postgres", "Stopping valkey"]
    assert stopped[-4].endswith("beat, worker")
    assert "did not stop within" not in up.output
    assert up.output.endswith("Everything is stopped.\n")
    assert up.left(0) == []
    assert not (up.data / "stack.json").exists()


def test_a_killed_one_leaves_no_process_and_loses_no_row(up: Up, folder: Path, _started, database) -> None:
    with database() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        connection.execute("TRUNCATE kept")
        connection.execute("INSERT INTO kept VALUES (42)")
    up.signal(signal.SIGKILL)
    up.end()
    assert up.left(5) == []
    again = Up(folder, up.port, "--no-demo").wait_ready()
    _started.append(again)
    with psycopg.connect(addresses(again)["database_url"]) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(42,)]


@pytest.mark.stress
def test_starts_again_after_being_killed_at_any_instant_of_a_first_start() -> None:
    """Seeded: half-made databases, half-collected files, half-run migrations."""
    seed = int(os.environ.get("STRESS_SEED", "1"))
    print(f"seed {seed}")
    instants = random.Random(seed)
    for _round in range(20 if os.environ.get("STRESS") else 1):
        top = Path(tempfile.mkdtemp(prefix="utxoiq-up-"))
        top.chmod(0o711)
        port = free_port()
        for _kill in range(3):
            killed = Up(top / "data", port, "--no-demo")
            time.sleep(instants.uniform(0.4, 4))
            killed.remember_family()
            killed.signal(signal.SIGKILL)
            killed.end()
            assert killed.left(5) == []
        up = Up(top / "data", port, "--no-demo").wait_ready()
        assert up.stop() == 0
        shutil.rmtree(top)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that only root may enter")
def test_root_in_a_folder_only_root_may_enter(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    data = tmp_path / "data"
    up = Up(data, free_port(), "--no-demo").wait_ready()
    try:
        said = [line for line in up.output.splitlines() if "its database stands in" in line]
        away = Path(said[0].rpartition(" in ")[2])
        assert away.parent == unprivileged.SYSTEM_FOLDER
        assert (away / "postgres" / "PG_VERSION").exists()
        assert not (data / "postgres").exists()
        assert tmp_path.stat().st_mode & 0o777 == 0o700
    finally:
        up.stop()
    shutil.rmtree(away)
