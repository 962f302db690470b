"""The aggregate endpoint while Valkey freezes, dies and returns, under writes by HTTP and by SQL: no wrong answer."""

import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.accounts.access import bearer
from tests.core.conftest import ROOT, prepare, program, running, until
from tests.core.workload import LIMIT, Workload
from tests.metrics.writing import BATCH
from tests.servers import Breakable
from utxoiq_admin.stack.locations import free_port

STRESS = bool(os.environ.get("STRESS"))
ROUNDS = 10 if STRESS else 1
PROCESSES = 2
AT = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
ROW = {"metric_type": "cpu", "metric_value": 1.0, "unit": "percent"}
READ = (
    "/api/v1/monitoring/metrics/aggregate?metric_type=cpu&interval=hour"
    f"&start_time={AT:%Y-%m-%dT%H:%M:%SZ}&end_time={AT + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}&service_name="
)


class Site:
    """The web and the listener as production runs them, on servers that a test may break."""

    def __init__(self, port: int, secret: str) -> None:
        self.port, self.secret = port, secret

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict]:
        """One request on a connection of its own, so that both web processes are met."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            client.request(method, path, json.dumps(body) if body else None, bearer(self.secret))
            answer = client.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            client.close()

    def counted(self, service: str) -> tuple[int, int]:
        """Status, and the rows of the service that the endpoint says are in the hour."""
        status, answer = self.ask("GET", READ + service)
        return status, answer["series"][0]["count"][0] if status == 200 and answer["series"] else 0


class Traffic(Workload):
    """A writer into one closed hour of a service, and its reader; a figure is the number of its rows."""

    def __init__(self, postgres: Breakable, site: Site, service: str) -> None:
        super().__init__(postgres)
        self.site, self.row, self.begun, self.failed = site, {"service_name": service, **ROW}, 0, 0

    def by_http(self) -> None:
        def write() -> None:
            row = {**self.row, "id": str(uuid4()), "timestamp": AT.isoformat()}
            status, receipt = self.site.ask("POST", BATCH, [row])
            assert (status, receipt["accepted"]) == (200, 1)

        self._keep(write)

    def by_sql(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as server:
            columns = f'({", ".join(self.row)}, "timestamp")'
            statement = f"INSERT INTO system_metrics {columns} VALUES (%s, %s, %s, %s, %s)"
            self._keep(lambda: server.execute(statement, [*self.row.values(), AT]))

    def _keep(self, write: Callable[[], object]) -> None:
        while not self.stopped.wait(0.02):
            self.begun += 1
            write()
            self.number += 1
            self.written.append((time.monotonic(), self.number))

    def read(self) -> None:
        while not self.stopped.wait(0.002):
            begun = time.monotonic()
            status, rows = self.site.counted(self.row["service_name"])
            self.failed += status != 200
            assert rows <= self.begun
            self.answers.append((begun, time.monotonic(), rows))


@pytest.fixture
def site(private_postgres: Breakable, private_valkey: Breakable, tmp_path: Path) -> Iterator[Site]:
    prepare(private_postgres, {})
    addresses = {"DATABASE_URL": private_postgres.url, "REDIS_URL": private_valkey.url}
    assert program(["partitions"], log=tmp_path / "partitions.log", **addresses).wait(60) == 0
    command = ["create_service_token", f"outage-{uuid4().hex[:8]}"]
    scopes = ["--scope", "metrics:write", "--scope", "metrics:read"]
    made = subprocess.run(
        [sys.executable, "manage.py", *command, *scopes],
        cwd=ROOT, env={**os.environ, **addresses}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = Site(free_port(), made.stdout.split()[-1])
    arguments = [
        f"--workers={PROCESSES}",
        "--threads=4",
        f"--bind=127.0.0.1:{found.port}",
        "utxoiq_admin.wsgi",
    ]
    web = running(arguments, module="gunicorn", log=tmp_path / "web.log", UTXOIQ_WEB="1", **addresses)
    with running(["listen"], log=tmp_path / "listen.log", **addresses), web:
        until(lambda: _answers(found), 20)
        yield found


def _answers(site: Site) -> bool:
    try:
        return site.counted("by-sql")[0] == 200
    except OSError:
        return False


@pytest.mark.stress
def test_no_answer_is_wrong_while_valkey_freezes_dies_and_returns(
    site: Site, private_postgres: Breakable, private_valkey: Breakable
) -> None:
    with psycopg.connect(private_postgres.url, autocommit=True) as server:
        server.execute(
            "TRUNCATE system_metrics, metric_rollup_hours, metric_rollup_days, metric_rollup_marks"
        )
    http, sql = (Traffic(private_postgres, site, service) for service in ("by-http", "by-sql"))
    works = (http.by_http, http.read, sql.by_sql, sql.read)
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    back: list[float] = []
    http.valkey_back = sql.valkey_back = back
    for harm, heal in [
        (private_valkey.freeze, private_valkey.thaw),
        (private_valkey.kill, private_valkey.start),
    ] * ROUNDS:
        time.sleep(0.5)
        harm()
        time.sleep(0.6)
        heal()
        back.append(time.monotonic())
        time.sleep(LIMIT + 0.4)
    for load in (http, sql):
        load.stopped.set()
    for thread in threads:
        thread.join()
    slow = 0
    for load in (http, sql):
        seconds = [ended - begun for begun, ended, _ in load.answers]
        # A machine that others use too is slow now and then by itself.
        slow += len([each for each in seconds if each > 0.2 + 10 * statistics.median(seconds)])
        print(
            f"{load.row['service_name']}: {len(seconds)} answers, {load.number} writes, {len(back)} outages: "
            f"{len(load.wrong())} wrong, {load.failed} failed, slowest {max(seconds):.2f} s; {slow} slow so far"
        )
        assert (load.wrong(), load.failed, load.number) == ([], 0, load.begun)
        assert site.counted(str(load.row["service_name"])) == (200, load.number)
        assert len(seconds) > 20 * ROUNDS
    # A frozen server costs each process one timeout (its threads may meet it together), a dead one refuses at once.
    assert slow <= 2 * PROCESSES * ROUNDS
