"""Chart data over real HTTP, signed in, our caches empty, beside VictoriaMetrics on the same rows.

VictoriaMetrics (Debian package `victoria-metrics`, or its path in VICTORIA_METRICS), where installed, answers avg,
min and max per hour in one query, its own response cache switched off. Both are judged by their medians; what an
empty signed-in request costs is taken off ours, and printed.
"""

import contextlib
import http.client
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from benchmarks.data import SERVICES
from benchmarks.ingest import web_server
from benchmarks.report import Report
from benchmarks.year import ONCE, TWICE, build_year
from metrics import rollups
from utxoiq_admin.core.cache import ALL, change_generations
from utxoiq_admin.stack.locations import free_port

AGGREGATE = "/api/v1/monitoring/metrics/aggregate"
EMPTY = "/api/v1/whoami"
NAMES = [f"service-{number:02}" for number in range(1, SERVICES + 1)]
GOAL = 3.0  # times the peer
ONE, ALL_SERVICES = (
    "chart, one series, hourly over 30 days",
    f"chart, {SERVICES} services, hourly over 30 days",
)
# What the peer answered on the machine where the goals were set; used where it is not installed.
PUBLISHED = {ONE: 1.7, ALL_SERVICES: 10.0}
YEAR_MS = 50.0


def measure(report: Report, *, repeat: int) -> None:
    rollups.refresh()
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    month = {
        "start_time": end - timedelta(days=30),
        "end_time": end,
        "metric_type": "type-01",
        "interval": "hour",
    }
    peer = _peer(end, repeat)
    with web_server() as port:
        get = _getter(port)
        empty = _median(lambda: get(EMPTY), repeat)
        report.add("an empty signed-in request", empty, max(empty, 4.0))
        for what, names in ((ONE, NAMES[:1]), (ALL_SERVICES, NAMES)):
            ours = _median(lambda n=names: get(_path(month | {"service_name": n})), repeat)  # type: ignore[misc]
            report.add(f"{what} (limit: {GOAL:g} x VictoriaMetrics)", ours - empty, GOAL * peer[what])
        _year(report, get, end, repeat=repeat, empty=empty)
        for days, limit in ((7, 100.0), (1, 100.0)):
            query = {"start_time": end - timedelta(days=days), "end_time": end, "metric_type": "type-01"}
            ours = _median(lambda q=query: get(_path(q | {"service_name": NAMES[0]})), repeat)  # type: ignore[misc]
            report.add(f"chart, one series, {days} days", ours - empty, limit)
        query = month | {"service_name": NAMES[0], "percentiles": "true"}
        report.add(
            "chart, one series, 30 days, percentiles",
            _median(lambda: get(_path(query)), repeat) - empty,
            50.0,
        )


def _year(report: Report, get: Callable[[str], None], end: datetime, *, repeat: int, empty: float) -> None:
    """The same points drawn from 525,600 rows and from twice as many."""
    print(f"  a year of two series: {build_year():,} rows", flush=True)
    found = {}
    for interval in ("auto", "hour"):
        # A year by the hour has more points than are answered: 80 days do.
        days = 365 if interval == "auto" else 80
        for series in (ONCE, TWICE):
            query = {
                "start_time": end - timedelta(days=days), "end_time": end, "metric_type": "type-01",
                "service_name": series, "interval": interval,
            }  # fmt: skip
            path = _path(query)
            found[series] = _median(lambda p=path: get(p), repeat) - empty  # type: ignore[misc]
        what = f"chart, one series, {days} days ({interval})"
        report.add(what, found[ONCE], YEAR_MS)
        report.add(f"{what}, twice the rows (limit: 1.2 x)", found[TWICE], 1.2 * found[ONCE])


def _path(query: dict[str, object]) -> str:
    times = {key: value.isoformat() for key, value in query.items() if isinstance(value, datetime)}
    return f"{AGGREGATE}?{urlencode(query | times, doseq=True)}"


def _getter(port: int) -> Callable[[str], None]:
    """GET signed in, on one connection, past every cache of ours."""
    client = Client()
    client.force_login(User.objects.get_or_create(username="bench-charts", is_superuser=True)[0])
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    http_client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(path: str) -> None:
        http_client.request("GET", path, headers={"Cookie": cookie})
        try:
            answer = http_client.getresponse()
        except http.client.RemoteDisconnected:  # a connection that stood idle while data was built
            http_client.close()
            http_client.request("GET", path, headers={"Cookie": cookie})
            answer = http_client.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status, body[:500])

    return get


def _median(work: Callable[[], object], repeat: int) -> float:
    """Median of the request's time in ms, after three that warm it."""
    times = []
    for turn in range(repeat + 3):
        change_generations([ALL])
        begun = time.perf_counter()
        work()
        if turn >= 3:
            times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def _peer(end: datetime, repeat: int) -> dict[str, float]:
    binary = os.environ.get("VICTORIA_METRICS") or shutil.which("victoria-metrics")
    if not binary:
        print("  VictoriaMetrics is not installed: its published figures stand for it", flush=True)
        return PUBLISHED
    with _victoria(binary) as client:
        _load(client, end - timedelta(days=30), end)
        found = {}
        for what, where in ((ONE, f',service="{NAMES[0]}"'), (ALL_SERVICES, "")):
            query = {
                "query": f'rollup(value{{type="type-01"{where}}}[1h])', "start": (end - timedelta(days=30)).timestamp(),
                "end": end.timestamp(), "step": "1h", "nocache": "1",
            }  # fmt: skip
            path = f"/api/v1/query_range?{urlencode(query)}"
            found[what] = _median(lambda p=path: _ask(client, "GET", p), repeat)  # type: ignore[misc]
            print(f"  VictoriaMetrics, {what}: {found[what]:,.1f} ms", flush=True)
        return found


@contextlib.contextmanager
def _victoria(binary: str) -> Iterator[http.client.HTTPConnection]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        where = [f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=2y"]
        server = subprocess.Popen([binary, *where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            for _ in range(100):
                try:
                    _ask(client, "GET", "/health")
                    break
                except OSError:
                    client.close()
                    time.sleep(0.1)
            yield client
        finally:
            server.terminate()
            server.wait(20)


def _load(client: http.client.HTTPConnection, start: datetime, end: datetime) -> None:
    """The same rows, a day at a time."""
    columns = urlencode({"format": "1:label:service,2:label:type,3:label:unit,4:metric:value,5:time:unix_ms"})
    while start < end:
        until = start + timedelta(days=1)
        query = """COPY (SELECT service_name, metric_type, unit, metric_value,
            (extract(epoch FROM "timestamp") * 1000)::bigint FROM system_metrics
            WHERE "timestamp" >= %s AND "timestamp" < %s) TO STDOUT (FORMAT csv)"""
        with connection.cursor() as cursor, cursor.copy(query, [start, until]) as copy:
            body = b"".join(copy)
        if body:
            _ask(client, "POST", f"/api/v1/import/csv?{columns}", body)
        start = until
    _ask(client, "GET", "/internal/force_flush")


def _ask(client: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> bytes:
    client.request(method, path, body)
    answer = client.getresponse()
    data = answer.read()
    assert answer.status < 300, (path, answer.status, data[:500])
    return data
