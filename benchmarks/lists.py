"""List pages of the large tables over real requests, signed in, database buffers warm."""

import math
import statistics
import time
from urllib.parse import parse_qsl

from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from benchmarks.report import Report
from metrics.models import SystemMetric
from utxoiq_admin.core.admin import PAGE_SIZE
from utxoiq_admin.core.cursors import encode
from utxoiq_admin.core.time_range import PRESETS

LIMIT_MS = 200
METRICS = "/admin/metrics/systemmetric/"
DEFAULT_RANGE = "24h"
DEEP = 1000
FILTERS = {
    "no filter (24 h)": "",
    **{f"range {name}": f"range={name}" for name in PRESETS if name != DEFAULT_RANGE},
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
    """p95 of each filter, on its first page and on its own thousandth, or its last where it has fewer."""
    client = Client()
    user = User.objects.create_user("bench")
    user.groups.add(Group.objects.get(name="staff"))
    client.force_login(user)
    for name, query in FILTERS.items():
        report.add(f"metrics list, {name}", p95(client, f"{METRICS}?{query}", repeat), LIMIT_MS)
        number, cursor = _deep_page(query)
        if number > 1:
            deep = f"{METRICS}?{query}&after={cursor}"
            report.add(f"  its page {number:,}", p95(client, deep, repeat), LIMIT_MS)
    newest = SystemMetric.objects.order_by("-timestamp").first()
    assert newest is not None
    report.add(
        "metric search by id, 90 d", p95(client, f"{METRICS}?range=90d&q={newest.pk}", repeat), LIMIT_MS
    )
    report.add("metric detail", p95(client, f"{METRICS}{newest.pk}/change/", repeat), LIMIT_MS)
    report.add("home page", p95(client, "/", repeat), LIMIT_MS)


def _deep_page(query: str) -> tuple[int, str]:
    """The thousandth page of what the address filters, or the last if there are fewer, and the cursor to it."""
    asked = dict(parse_qsl(query))
    rows = SystemMetric.objects.filter(
        timestamp__gte=timezone.now() - PRESETS[asked.get("range", DEFAULT_RANGE)][1]
    )
    for name, column in (("service", "service_name"), ("type", "metric_type")):
        if name in asked:
            rows = rows.filter(**{column: asked[name]})
    order = ("timestamp", "id") if asked.get("o") == "0" else ("-timestamp", "-id")
    pages = math.ceil(rows[: DEEP * PAGE_SIZE].count() / PAGE_SIZE)
    if pages < 2:
        return 1, ""
    before = rows.order_by(*order)[(pages - 1) * PAGE_SIZE - 1]
    return pages, encode((before.timestamp, before.pk))


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
