"""The pages about services over real requests, signed in, database buffers warm; every service reports.

Measured twice: with the rollups up to date, and with the newest minute of every series not yet computed, as they are
for the seconds after each batch of a live platform.
"""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from benchmarks.data import MINUTES, SERVICES, TYPES
from benchmarks.lists import p95
from benchmarks.report import Report
from metrics import instances, rollups

LIMIT_MS = 200.0


def measure(report: Report, *, repeat: int) -> None:
    client = Client()
    user = User.objects.get_or_create(username="bench-services")[0]
    user.groups.add(Group.objects.get(name="ops"))
    client.force_login(user)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    _write(now - timedelta(minutes=10), now)
    rollups.refresh()
    instances.note(now=datetime.now(UTC))
    for name, path in _pages(now).items():
        report.add(name, p95(client, path, repeat), LIMIT_MS)
    _write(now, now + timedelta(minutes=1))
    for path in ("/services/", "/"):
        report.add(f"{path} with a minute not refreshed", p95(client, path, repeat), LIMIT_MS)


def _pages(now: datetime) -> dict[str, str]:
    def annotations(days: int) -> str:
        query = {
            "start": (now - timedelta(days=days)).isoformat(),
            "end": now.isoformat(),
            "service": "service-07",
        }
        return f"/charts/annotations/?{urlencode(query)}"

    at = (now - timedelta(days=3)).isoformat()
    return {
        "/services/": "/services/",
        "/services/high/, an hour": "/services/high/?type=type-03&above=50",
        "/services/high/, 24 hours": "/services/high/?type=type-03&above=50&range=24h",
        "/services/high/, 30 days": "/services/high/?type=type-03&above=50&range=30d",
        "/services/moment/": f"/services/moment/?{urlencode({'service': 'service-07', 'at': at})}",
        "gaps of a service, 24 hours": annotations(1),
        "gaps of a service, 7 days": annotations(7),
        "gaps of a service, 30 days": annotations(30),
        "gaps of a service, a year": annotations(365),
    }


def _write(start: datetime, end: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MINUTES, [start, end, SERVICES, TYPES])
