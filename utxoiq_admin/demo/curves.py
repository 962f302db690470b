"""The demo's metrics: which series there are, and the value of each in any minute.

A value is a pure function of (plan, series, minute): whoever fills a gap later continues the same curve.
Written for speed, 1.8 million values in some seconds: what is shared by neighbours is computed once.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from utxoiq_admin.demo.plan import DAY, SILENT_SERVICE, Incident, Plan

_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Shape:
    """How a kind of metric behaves: a base, a swing with the load, a slow wander, noise, and rare spikes."""

    base: float
    swing: float
    wander: float
    noise: float
    spike: float = 0.0
    saw: float = 0.0  # climbs by this much and falls back, as memory does from one deployment to the next
    high: float = 1e12


@dataclass(frozen=True)
class Series:
    service: str
    instance: str
    metric_type: str
    unit: str
    shape: Shape


UNITS = {
    "cpu": "percent",
    "memory": "percent",
    "latency": "ms",
    "error_rate": "percent",
    "queue_depth": "count",
}
FLEET: dict[str, tuple[list[str], dict[str, Shape]]] = {
    "web-api": (
        ["web-api-7d9f6b-x2k4q", "web-api-7d9f6b-m8tzc", "web-api-7d9f6b-p5vhn"],
        {
            "cpu": Shape(14, 34, 5, 5, 14, high=100),
            "memory": Shape(46, 5, 2, 0.6, saw=17, high=100),
            "latency": Shape(62, 85, 14, 22, 210),
            "error_rate": Shape(0.05, 0.14, 0.06, 0.12, 1.3, high=100),
            "queue_depth": Shape(1, 9, 2, 5, 30),
        },
    ),
    "feature-engine": (
        ["feature-engine-0", "feature-engine-1"],
        {
            "cpu": Shape(38, 27, 9, 7, 12, high=100),
            "memory": Shape(58, 6, 3, 0.8, saw=12, high=100),
            "latency": Shape(140, 60, 25, 30, 260),
            "error_rate": Shape(0.12, 0.16, 0.1, 0.2, 1.6, high=100),
            "queue_depth": Shape(4, 26, 9, 10, 60),
        },
    ),
    "insight-generator": (
        ["insight-generator-5c8-a1", "insight-generator-5c8-b7"],
        {
            "cpu": Shape(11, 18, 6, 6, 22, high=100),
            "memory": Shape(37, 4, 2, 0.5, saw=9, high=100),
            "latency": Shape(1_650, 700, 220, 380, 2_600),
            "error_rate": Shape(0.3, 0.4, 0.2, 0.4, 2.4, high=100),
            "queue_depth": Shape(2, 14, 4, 6, 40),
        },
    ),
    "utxoiq-ingestion": (
        ["utxoiq-ingestion-0", "utxoiq-ingestion-1", "utxoiq-ingestion-2"],
        {
            "cpu": Shape(29, 15, 7, 8, 24, high=100),
            "memory": Shape(63, 3, 2, 0.5, saw=8, high=100),
            "latency": Shape(34, 12, 6, 9, 120),
            "error_rate": Shape(0.08, 0.1, 0.07, 0.14, 1.1, high=100),
            "queue_depth": Shape(12, 55, 18, 22, 240),
        },
    ),
    "data-ingestion": (
        ["data-ingestion-eu-1", "data-ingestion-us-1"],
        {
            "cpu": Shape(21, 12, 5, 6, 15, high=100),
            "memory": Shape(41, 3, 2, 0.4, saw=11, high=100),
            "latency": Shape(88, 36, 16, 24, 240),
            "error_rate": Shape(0.2, 0.25, 0.2, 0.3, 3.1, high=100),
            "queue_depth": Shape(8, 31, 10, 12, 130),
        },
    ),
    "legacy-indexer": (
        ["legacy-indexer-1", "legacy-indexer-2"],
        {
            "cpu": Shape(52, 11, 8, 6, 9, high=100),
            "memory": Shape(71, 2, 2, 0.4, saw=13, high=100),
            "latency": Shape(310, 90, 40, 60, 500),
        },
    ),
}
RETIRED_SERVICE = "legacy-indexer"
SERIES = [
    Series(service, instance, metric_type, UNITS[metric_type], shape)
    for service, (instances, shapes) in FLEET.items()
    for instance in instances
    for metric_type, shape in shapes.items()
]
LIVE_SERIES = [series for series in SERIES if series.service != RETIRED_SERVICE]


def _load_of_day(minute: int) -> float:
    """0 in the small hours, 1 in the afternoon (UTC): Europe awake, then America."""
    hour = minute / 60
    european, american = math.exp(-(((hour - 11) / 4.2) ** 2)), math.exp(-(((hour - 18) / 3.6) ** 2))
    return min(1.0, 0.92 * american + 0.78 * european)


_LOAD = [_load_of_day(minute) for minute in range(DAY)]
_WEEK = [1.0, 1.03, 1.05, 1.02, 0.97, 0.71, 0.66]  # Monday first


class Curve:
    """One series as a function of the minute."""

    def __init__(self, plan: Plan, series: Series) -> None:
        self._plan, self._series = plan, series
        self._key = plan.key(series.service, series.instance, series.metric_type)
        # Instances of one service differ a little, as machines do.
        self._scale = 0.93 + 0.14 * plan.random("scale", series.service, series.instance).random()
        self._period = 5 * DAY + self._key % (4 * DAY)

    def value(self, minute: int) -> float | None:
        """None where the series is silent."""
        return next(iter(self.values([minute])))

    def values(self, minutes: "range | list[int]") -> Iterator[float | None]:
        if not minutes:
            return
        shape, key, service = self._series.shape, self._key, self._series.service
        low, high = min(minutes[0], minutes[-1]), max(minutes[0], minutes[-1])
        incidents = self._incidents(low, high)
        can_be_silent = service == SILENT_SERVICE
        retired = self._plan.retired if service == RETIRED_SERVICE else high
        hour, left, right = None, 0.0, 0.0
        for minute in minutes:
            if minute > retired or (can_be_silent and self._plan.silent(minute)):
                yield None
                continue
            if minute // 60 != hour:
                hour = minute // 60
                left, right = _noise(~key & _MASK, hour), _noise(~key & _MASK, hour + 1)
            part = (minute % 60) / 60
            chance = _noise(key, minute)
            load = _LOAD[minute % DAY] * _WEEK[(minute // DAY + 3) % 7]
            value = shape.base + shape.swing * load + shape.noise * (chance - 0.5)
            value += shape.wander * 2 * (left + (right - left) * part - 0.5)
            if chance > 0.994:
                value += shape.spike * (chance - 0.994) / 0.006
            value += shape.saw * (minute % self._period) / self._period
            value *= self._scale
            for incident, strength in incidents:
                value += strength * self._height(incident, minute) * (0.85 + 0.3 * chance)
            yield (
                round(min(max(value, 0.0), shape.high), 2)
                if self._series.unit != "count"
                else float(max(0, round(value)))
            )

    def _incidents(self, first: int, last: int) -> list[tuple[Incident, float]]:
        name = (self._series.service, self._series.metric_type)
        return [(i, i.effects[name]) for i in self._plan.incidents(first, last) if name in i.effects]

    def _height(self, incident: Incident, minute: int) -> float:
        """0 to 1: most metrics jump and recover with the incident; a queue climbs, then drains."""
        part = (minute - incident.first) / incident.minutes
        if part < 0 or part > 2:
            return 0.0
        if self._series.metric_type == "queue_depth":
            return part if part <= 1 else max(0.0, 1 - (part - 1) * 2.5)
        return min(1.0, part * 7) if part <= 1 else max(0.0, 1 - (part - 1) * 5)


def _noise(key: int, position: int) -> float:
    """0 to 1, unrelated to its neighbours (the finaliser of splitmix64)."""
    mixed = (key + position * 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK
    return (mixed ^ mixed >> 31) / _MASK
