"""List pages of the large tables over real requests, signed in, database buffers warm."""

import statistics
import time

from django.contrib.auth.models import Group, User
from django.test import Client

from benchmarks.report import Report
from metrics.models import SystemMetric
from utxoiq_admin.core.admin import PAGE_SIZE
from utxoiq_admin.core.cursors import encode

LIMIT_MS = 200
METRICS = "/admin/metrics/systemmetric/"
FILTERS = {
    "no filter (24 h)": "",
    "range 15 m": "range=15m",
    "range 7 d": "range=7d",
    "range 90 d": "range=90d",
    "service, 24 h": "service=service-07",
    "service, 90 d": "service=service-07&range=90d",
    "type, 24 h": "type=type-03",
    "type, 90 d": "type=type-03&range=90d",
    "service and type, 24 h": "service=service-07&type=type-03",
    "service and type, 90 d": "service=service-07&type=type-03&range=90d",
    "service and a type it never had, 90 d": "service=service-07&type=cpu&range=90d",
    "oldest first, 90 d": "o=0&range=90d",
}


def measure(report: Report, *, repeat: int) -> None:
    """p95 of each filter, on the first page and on the thousandth."""
    client = Client()
    user = User.objects.create_user("bench")
    user.groups.add(Group.objects.get(name="staff"))
    client.force_login(user)
    deep = _thousandth_cursor()
    for name, query in FILTERS.items():
        report.add(f"metrics list, {name}", p95(client, f"{METRICS}?{query}", repeat), LIMIT_MS)
    for name, query in FILTERS.items():
        if "90d" in query and "o=" not in query:
            report.add(
                f"page 1000 of {name}", p95(client, f"{METRICS}?{query}&after={deep}", repeat), LIMIT_MS
            )
    newest = SystemMetric.objects.order_by("-timestamp").first()
    assert newest is not None
    report.add(
        "metric search by id, 90 d", p95(client, f"{METRICS}?range=90d&q={newest.pk}", repeat), LIMIT_MS
    )
    report.add("metric detail", p95(client, f"{METRICS}{newest.pk}/change/", repeat), LIMIT_MS)
    report.add("home page", p95(client, "/", repeat), LIMIT_MS)


def _thousandth_cursor() -> str:
    row = SystemMetric.objects.order_by("-timestamp", "-id")[1000 * PAGE_SIZE]
    return encode((row.timestamp, row.pk))


def p95(client: Client, url: str, repeat: int) -> float:
    """95th percentile of the request's time in ms, after two requests that warm it."""
    times = []
    for turn in range(repeat + 2):
        begun = time.perf_counter()
        response = client.get(url)
        assert response.status_code == 200, (url, response.status_code)
        if turn >= 2:
            times.append((time.perf_counter() - begun) * 1000)
    return statistics.quantiles(times, n=20)[-1]
