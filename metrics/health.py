"""What can be wrong with metrics: services that fell silent, partitions that run out, rollups left behind."""

from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from metrics import partitions, rollups
from metrics.overview import HIGH_CPU, RECENT, State, Verdict
from utxoiq_admin.core.display import span
from utxoiq_admin.core.health import Check, Level
from utxoiq_admin.core.liveness import LOST_AFTER
from utxoiq_admin.core.models import Heartbeat

SHORT = timedelta(days=31)
OUT = timedelta(days=2)
REFRESHER = "metrics.refresh_rollups"
NAMED = 5
BEHIND = 10 * rollups.BATCH  # marks: what the refresher takes in ten passes, some 7 s


def service_checks(states: list[State], now: datetime) -> list[Check]:
    """One check for each service that stopped reporting, lacks instances or has a high CPU, one for those that could
    not be heard, and the count of those that report."""
    silent = [_silent(state, now) for state in states if state.verdict == Verdict.SILENT]
    unheard = [state.service for state in states if state.verdict == Verdict.UNHEARD]
    if unheard:
        named = ", ".join(service.name for service in unheard[:NAMED]) + (
            " and others" if unheard[NAMED:] else ""
        )
        text = f"not heard yet since this application stood still: {named}"
        since = min(service.last for service in unheard)
        silent.append(Check("services unheard", Level.UNKNOWN, text, since, reverse("services"), "services"))
    troubled = [check for state in states if (check := _troubled(state))]
    reporting = sum(state.verdict in (Verdict.WELL, Verdict.PARTLY, Verdict.HIGH) for state in states)
    text = f"{reporting} service{'s' * (reporting != 1)} report{'s' * (reporting == 1)}"
    return [*silent, *troubled, Check("services", Level.OK, text)]


def _troubled(state: State) -> Check | None:
    """What a service that reports asks a look for."""
    name, cpu = state.service.name, state.figure("cpu")
    if state.verdict == Verdict.HIGH and cpu and cpu.value is not None:
        length = span(RECENT.total_seconds())
        text = f"{name}: CPU at {cpu.value:.0f} % over its last {length}, above {HIGH_CPU:.0f} %"
        return Check("high usage", Level.SOON, text, None, _charts(name), "charts")
    missing = len(state.instances) - state.reporting
    if state.verdict == Verdict.PARTLY and missing:
        oldest = sorted(state.instances.items(), key=lambda each: each[1])[:missing]
        named = ", ".join(instance for instance, _ in oldest[:NAMED]) + (
            " and others" if oldest[NAMED:] else ""
        )
        text = f"{name}: {state.reporting} of {len(state.instances)} instances report, not {named}"
        return Check("instances", Level.SOON, text, oldest[-1][1], _charts(name), "charts")
    return None


def _charts(service: str) -> str:
    return f"{reverse('charts')}?{urlencode({'service': service})}"


def _silent(state: State, now: datetime) -> Check:
    service = state.service
    usual = f", usually every {span(service.usual.total_seconds())}" if service.usual else ""
    day = "" if service.last.date() == now.date() else f"{service.last:%Y-%m-%d} "
    text = f"{service.name}: no reports since {day}{service.last:%H:%M}{usual}"
    return Check("service silent", Level.BROKEN, text, service.last, _charts(service.name), "charts")


def rollup_check(now: datetime) -> Check:
    """Whether the refresher keeps up. Charts are right while it does not, but read more rows."""
    waiting = rollups.pending(limit=BEHIND + 1)
    heard = Heartbeat.objects.filter(name=REFRESHER).values_list("at", flat=True).first()
    changes = "1 change waits" if waiting == 1 else f"{waiting:,} changes wait"
    changes = f"more than {BEHIND:,} changes wait" if waiting > BEHIND else changes
    if waiting and (heard is None or now - heard > LOST_AFTER):
        since = (
            "was never heard"
            if heard is None
            else f"was last heard {span((now - heard).total_seconds())} ago"
        )
        text = f"the refresher of rollups {since}: {changes}, charts are right but slower"
        return Check("rollups", Level.SOON, text, heard)
    if waiting > BEHIND:
        text = f"rollups are behind: {changes}, charts are right but slower"
        return Check("rollups", Level.SOON, text)
    return Check("rollups", Level.OK, "rollups up to date")


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
