"""How every service is, told once: the same verdicts on the overview, on the first page and in its checks."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from metrics import instances
from metrics.catalogue import Service, services
from metrics.instances import Heard
from metrics.models import Retirement
from metrics.raw_reads import read_rows
from metrics.reading import HOUR, Request, Series, Source, read
from utxoiq_admin.core.standstill import Stretch, overlaps, standstills

# Shown first, in this order; a service that has fewer of them shows others, by name.
MAIN = ("cpu", "memory", "latency", "error_rate", "queue_depth")
SHOWN = 5
HOURS = 24
RECENT = timedelta(minutes=5)  # a current value is the average of a service's last five minutes
HIGH_CPU = 80.0  # per cent: the description's example

# One pass over each service's last minutes: values, and which instances were heard. Not avg(): one value beyond
# 1e154, which the table may hold, makes it fail for every row beside it.
_LATEST = """
SELECT s.name, m.metric_type, m.unit, m.instance_id, max(m."timestamp"),
       sum(greatest(least(m.metric_value, 1e300), -1e300)) FILTER (WHERE m."timestamp" > s.recent),
       count(*) FILTER (WHERE m."timestamp" > s.recent)
FROM unnest(%(names)s::text[], %(sinces)s::timestamptz[], %(recents)s::timestamptz[], %(lasts)s::timestamptz[])
  AS s(name, since, recent, last)
CROSS JOIN LATERAL (
  SELECT r.metric_type, r.unit, r.metric_value, r."timestamp", r.metric_metadata->>'instance_id' AS instance_id
  FROM system_metrics r
  WHERE r.service_name = s.name AND r."timestamp" > s.since AND r."timestamp" <= s.last OFFSET 0) AS m
GROUP BY 1, 2, 3, 4
"""


class Verdict(IntEnum):
    """What is wrong with a service; the worst is the lowest."""

    SILENT = 0
    UNHEARD = 1  # not heard since this application stood still: unknown, and not its fault so far
    HIGH = 2
    PARTLY = 3  # not all of its instances report
    WELL = 4
    RETIRED = 5
    GONE = 6


@dataclass(frozen=True)
class Figure:
    """One metric of a service: the average of its last RECENT minutes, hourly averages of the last 24 clock hours
    (None where nothing was reported; the last hour is not over), and that of the hour a day before this one."""

    metric_type: str
    unit: str
    value: float | None
    trend: tuple[float | None, ...]
    yesterday: float | None

    @property
    def change(self) -> float | None:
        """Of the value against yesterday at this hour, in per cent; None where one is missing or yesterday was 0."""
        if self.value is None or not self.yesterday:
            return None
        return (self.value - self.yesterday) / abs(self.yesterday) * 100


@dataclass(frozen=True)
class State:
    """A service and how it is at the moment of asking. `instances` are those that should report: when each did last."""

    service: Service
    verdict: Verdict
    figures: tuple[Figure, ...] = ()
    instances: dict[str, datetime] = field(default_factory=dict)
    reporting: int = 0
    retirement: Retirement | None = None

    def figure(self, metric_type: str) -> Figure | None:
        """The figure of this type; of several units the first."""
        return next((each for each in self.figures if each.metric_type == metric_type), None)


def overview(now: datetime) -> list[State]:
    """Every service, the worst first: silent ones (the longest first), then by verdict, then by CPU."""
    known = services()
    retired = {each.service_name: each for each in Retirement.objects.standing()}
    shown = [s for s in known if not s.gone(now)]
    values, heard = _latest(shown, now)
    named = instances.known({s.name: s.last for s in shown})
    trends = _trends(shown, now)
    still = _standstills(shown, now)
    states = []
    for service in known:
        retirement = retired.get(service.name)
        if retirement and not retirement.counts(service.last):
            retirement = None
        own = named.get(service.name, {})
        for instance, at in heard.get(service.name, {}).items():
            own[instance] = Heard(own[instance].first if instance in own else at, at)
        expected, reporting = instances.expected(own, now=now, silent_after=service.silent_after)
        figures = tuple(
            _figure(kind, values.get((service.name, *kind)), trends.get((service.name, *kind)))
            for kind in (_main(service) if service in shown else ())
        )
        verdict = _verdict(service, figures, len(expected) - reporting, retirement, still, now)
        states.append(State(service, verdict, figures, expected, reporting, retirement))
    return sorted(states, key=_rank)


def _standstills(shown: list[Service], now: datetime) -> list[Stretch]:
    """When this application stood still since the quiet ones among these were last heard."""
    quiet = [s.last for s in shown if s.silent_since(now)]
    return standstills(min(quiet), now, now=now) if quiet else []


def _rank(state: State) -> tuple[Any, ...]:
    cpu = state.figure("cpu")
    since = state.service.last.timestamp() if state.verdict == Verdict.SILENT else 0.0
    return (state.verdict, since, -(cpu.value or 0.0) if cpu else 0.0, state.service.name)


def _verdict(
    service: Service,
    figures: tuple[Figure, ...],
    missing: int,
    retirement: Retirement | None,
    still: list[Stretch],
    now: datetime,
) -> Verdict:
    if retirement:
        return Verdict.RETIRED
    if service.gone(now):
        return Verdict.GONE
    if service.silent_since(now):
        # It could not be heard while we stood still: only the rest of the time counts.
        excused = sum((end - start for start, end in overlaps([(service.last, now)], still)), timedelta())
        return Verdict.SILENT if service.silent_since(now - excused) else Verdict.UNHEARD
    if any(is_high(figure) for figure in figures):
        return Verdict.HIGH
    return Verdict.PARTLY if missing else Verdict.WELL


def is_high(figure: Figure) -> bool:
    """Whether a value asks for a look by itself."""
    return figure.metric_type == "cpu" and figure.unit == "percent" and (figure.value or 0.0) > HIGH_CPU


def _main(service: Service) -> list[tuple[str, str]]:
    order = {name: place for place, name in enumerate(MAIN)}
    return sorted(service.kinds, key=lambda kind: (order.get(kind[0], len(MAIN)), kind))[:SHOWN]


def _latest(
    known: list[Service], now: datetime
) -> tuple[dict[tuple[str, str, str], float], dict[str, dict[str, datetime]]]:
    """({(service, type, unit): current value}, {service: {instance heard lately: when}})."""
    recents = [s.last - RECENT for s in known]
    sums: dict[tuple[str, str, str], tuple[float, int]] = {}
    heard: dict[str, dict[str, datetime]] = {}
    parameters = {
        "names": [s.name for s in known],
        "sinces": [min(recent, now - s.silent_after) for s, recent in zip(known, recents, strict=True)],
        "recents": recents,
        "lasts": [s.last for s in known],
    }
    for name, metric_type, unit, instance, at, total, rows in read_rows(_LATEST, parameters):
        if rows:
            before, count = sums.get((name, metric_type, unit), (0.0, 0))
            sums[name, metric_type, unit] = (before + total, count + rows)
        if instance and len(instance) <= instances.LONGEST_NAME:
            mine = heard.setdefault(name, {})
            mine[instance] = max(at, mine.get(instance, at))
    return {key: total / rows for key, (total, rows) in sums.items()}, heard


def _trends(known: list[Service], now: datetime) -> dict[tuple[str, str, str], Series]:
    """Hourly series from the clock hour a day before this one to this one, exact: see `reading`."""
    if not known:
        return {}
    this_hour = int(now.astimezone(UTC).timestamp()) // HOUR * HOUR
    request = Request(
        services=tuple(s.name for s in known),
        types=tuple({metric_type for s in known for metric_type, _ in _main(s)}),
        start=this_hour - HOURS * HOUR,
        end=this_hour + HOUR,
        step=HOUR,
        source=Source.HOURLY,
    )
    return {(one.service_name, one.metric_type, one.unit): one for one in read(request).series}


def _figure(kind: tuple[str, str], value: float | None, series: Series | None) -> Figure:
    averages = series.average if series else [None] * (HOURS + 1)
    return Figure(*kind, value, tuple(averages[1:]), averages[0])
