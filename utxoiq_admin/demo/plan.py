"""What is to be shown: all of the demo follows from a seed, an anchor (the "now" of its load) and a length."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

RECENT = timedelta(hours=48)  # one-minute rows this far back, five-minute rows before
DAY = 1440  # minutes


@dataclass(frozen=True)
class Incident:
    """A stretch of minutes in which metrics of several services leave their curve."""

    first: int
    minutes: int
    effects: dict[tuple[str, str], float]  # (service, type) -> how far up at the worst moment


SLOW_DATABASE = {
    ("web-api", "latency"): 640.0,
    ("web-api", "error_rate"): 7.8,
    ("web-api", "cpu"): 27.0,
    ("web-api", "queue_depth"): 140.0,
    ("feature-engine", "error_rate"): 3.4,
    ("insight-generator", "latency"): 2_900.0,
    ("insight-generator", "error_rate"): 4.5,
    ("insight-generator", "queue_depth"): 480.0,
    ("feature-engine", "queue_depth"): 350.0,
}
NODE_BEHIND = {
    ("utxoiq-ingestion", "latency"): 1_650.0,
    ("utxoiq-ingestion", "queue_depth"): 5_200.0,
    ("utxoiq-ingestion", "error_rate"): 6.2,
    ("data-ingestion", "latency"): 780.0,
    ("data-ingestion", "error_rate"): 18.0,
    ("data-ingestion", "queue_depth"): 2_600.0,
    ("feature-engine", "latency"): 420.0,
}
SILENT_SERVICE = "feature-engine"
SILENT_MINUTES = 41


@dataclass(frozen=True)
class Plan:
    """Pure: the same plan gives the same rows, whenever and however often it is asked."""

    seed: int
    anchor: datetime
    days: int
    insights: int = 2_000

    @property
    def begin(self) -> datetime:
        return self.anchor - timedelta(days=self.days)

    @property
    def retired(self) -> int:
        """The minute in which the retired service reported last."""
        return self._before(min(24.0, self.days * 0.3))

    def random(self, *names: object) -> random.Random:
        """A generator of its own for each thing, so that what is drawn for one never shifts another."""
        return random.Random("|".join(map(str, (self.seed, *names))))  # noqa: S311

    def key(self, *names: object) -> int:
        """64 bits that belong to these names and the seed."""
        text = "|".join(map(str, (self.seed, *names)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

    def incidents(self, first: int, last: int) -> list[Incident]:
        """Those that touch the minutes first..last: two before the anchor, then one every nine days."""
        return [i for i in self._incidents(last) if i.first <= last and i.first + 2 * i.minutes >= first]

    def silent(self, minute: int) -> bool:
        """Whether SILENT_SERVICE reports nothing: once before the anchor, then every sixteen days."""
        before = minute - self._before(min(30 / 24, self.days * 0.55))
        if 0 <= before < SILENT_MINUTES:
            return True
        after = minute - minute_of(self.anchor) - 11 * DAY
        return after >= 0 and after % (16 * DAY) < SILENT_MINUTES

    def _incidents(self, last: int) -> Iterator[Incident]:
        yield Incident(self._before(min(12.4, self.days * 0.8)), 55, SLOW_DATABASE)
        yield Incident(self._before(min(20 / 24, self.days * 0.3)), 75, NODE_BEHIND)
        start, number = minute_of(self.anchor) + 5 * DAY + 97, 0
        while start <= last:
            yield Incident(start, 60, (SLOW_DATABASE, NODE_BEHIND)[number % 2])
            start, number = start + 9 * DAY, number + 1

    def _before(self, days: float) -> int:
        return minute_of(self.anchor) - int(days * DAY)


def minute_of(moment: datetime) -> int:
    """Minutes since 1970."""
    return int(moment.timestamp()) // 60


def moment_of(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


def chain_tip(moment: datetime) -> int:
    """Height of the chain: ten minutes a block since block 840,000 halved the subsidy."""
    return 840_000 + int((moment - datetime(2024, 4, 20, 0, 9, tzinfo=UTC)) / timedelta(minutes=10))
