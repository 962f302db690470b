"""A service's state as the pages show it: texts, small charts, addresses. No figure is made here."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.safestring import SafeString

from metrics.overview import HOURS, SHOWN, Figure, State, Verdict, is_high
from utxoiq_admin.core.display import ago, quantity, span
from utxoiq_admin.core.sparkline import sparkline

BADGES = {
    Verdict.SILENT: ("silent", "bad"),
    Verdict.UNHEARD: ("not heard yet", "plain"),
    Verdict.HIGH: ("high", "warn"),
    Verdict.PARTLY: ("partly", "warn"),
    Verdict.RETIRED: ("retired", "plain"),
    Verdict.GONE: ("gone", "plain"),
}


@dataclass(frozen=True)
class Cell:
    """One figure of a service."""

    type: str
    label: str
    value: str
    chart: SafeString | str
    change: str
    against: str
    high: bool
    url: str


@dataclass(frozen=True)
class Row:
    """One service. `silent` greys its values, which are then of `service.last`; `excused`: we stood still since."""

    service: Any
    verdict: Verdict
    badge: tuple[str, str] | None
    silent: bool
    excused: bool
    cells: tuple[Cell, ...]
    instances: str
    total: int
    missing: str
    usual: str
    url: str
    retirement: Any

    @property
    def empty(self) -> range:
        """Places of a row that this service does not fill."""
        return range(SHOWN - len(self.cells))

    def cell(self, metric_type: str) -> Cell | None:
        return next((each for each in self.cells if each.type == metric_type), None)


def row_of(state: State, now: datetime) -> Row:
    """What a page shows of the service."""
    service, silent = state.service, state.service.silent_since(now) is not None
    total = len(state.instances)
    missing = sorted(
        f"{name} ({ago(at, now)})" for name, at in state.instances.items() if now - at > service.silent_after
    )
    return Row(
        service=service,
        verdict=state.verdict,
        badge=BADGES.get(state.verdict),
        silent=silent,
        excused=state.verdict == Verdict.UNHEARD,
        cells=tuple(_cell(service.name, figure, now, silent=silent) for figure in state.figures),
        instances=f"{state.reporting} of {total}" if total else "",
        total=total,
        missing=", ".join(missing),
        usual=span(service.usual.total_seconds()) if service.usual else "",
        url=_charts(service.name),
        retirement=state.retirement,
    )


def _cell(service: str, figure: Figure, now: datetime, *, silent: bool) -> Cell:
    label = figure.metric_type.replace("_", " ")
    change, against = ("", "") if silent else _change(figure, now)
    return Cell(
        type=figure.metric_type,
        label=label,
        value=quantity(figure.value, figure.unit),
        chart=sparkline(figure.trend, label=f"{label} of {service} over {HOURS} h"),
        change=change,
        against=against,
        high=not silent and is_high(figure),
        url=_charts(service, figure.metric_type),
    )


def _change(figure: Figure, now: datetime) -> tuple[str, str]:
    """("+12 %", what it is held against)."""
    hour = (now - timedelta(hours=HOURS)).replace(minute=0)
    when = f"yesterday {hour:%H:%M}–{hour + timedelta(hours=1):%H:%M} UTC"
    if figure.yesterday is None:
        return "", f"nothing reported {when}"
    against = f"{quantity(figure.yesterday, figure.unit)} on average {when}"
    if figure.change is None:
        return "", against
    percent = round(figure.change)
    if abs(percent) > 999:
        return ("> +999 %" if percent > 0 else "< −999 %"), against
    return (f"+{percent} %" if percent > 0 else f"−{-percent} %" if percent else "±0 %"), against


def _charts(service: str, metric_type: str = "") -> str:
    wanted = {"service": service} | ({"type": metric_type} if metric_type else {})
    return f"{reverse('charts')}?{urlencode(wanted)}"
