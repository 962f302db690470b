"""What can be wrong with metrics: services that fell silent, partitions that run out."""

from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from metrics import partitions
from metrics.catalogue import Service
from utxoiq_admin.core.display import span
from utxoiq_admin.core.health import Check, Level

SHORT = timedelta(days=31)
OUT = timedelta(days=2)


def silence_checks(services: list[Service], now: datetime) -> list[Check]:
    """One check for each service that stopped reporting and does not count as gone."""
    checks = [_silent(s, now) for s in services if s.silent_since(now) and not s.gone(now)]
    if checks:
        return checks
    reporting = sum(not s.gone(now) for s in services)
    return [Check("services", Level.OK, f"{reporting} services report")]


def _silent(service: Service, now: datetime) -> Check:
    age = span((now - service.last).total_seconds())
    text = f"{service.name}: no reports since {service.last:%H:%M} ({age})"
    url = f"{reverse('charts')}?{urlencode({'service': service.name})}"
    return Check("service silent", Level.BROKEN, text, service.last, url, "charts")


def partition_check(now: datetime) -> Check:
    """Whether rows of the coming weeks have a partition to go to; without one every write is refused."""
    until = partitions.covered_until()
    if until is None or until - now < OUT:
        when = "now" if until is None or until <= now else f"from {until:%Y-%m-%d}"
        text = f"system_metrics has no partition {when}: writes are refused. Run `manage.py partitions`."
        return Check("partitions", Level.BROKEN, text, until)
    if until - now < SHORT:
        text = f"partitions of system_metrics end {until:%Y-%m-%d}: the daily task did not make more"
        return Check("partitions", Level.SOON, text)
    return Check("partitions", Level.OK, f"partitions to {until:%Y-%m-%d}")
