"""The demo's insights: about every hour one is published, and some are fit for a moderator's eye."""

import json
import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from utxoiq_admin.demo.plan import Plan, chain_tip

PHRASES: dict[str, Any] = json.loads(Path(__file__).with_name("phrases.json").read_text(encoding="utf-8"))
COLUMNS = (
    "insight_id",
    "headline",
    "summary",
    "category",
    "confidence",
    "evidence",
    "published_at",
    "is_demo",
)
# One in fifteen of the younger insights gets enough flags for the queue: 40 of the last 600 at the load.
FLAGGED_EVERY = 15
FLAGGED_AT = 7
FLAGGED_LAST = 600
KINDS = ["wrong", "wrong", "fine", "spam", "fine", "wrong", "fine", "spam"]


@dataclass(frozen=True)
class Insight:
    """Number 0 is the newest at the load, older ones count down, later ones up."""

    number: int
    insight_id: str
    kind: str  # "fine", or "wrong" or "spam": what a moderator should find
    flagged: bool
    headline: str
    summary: str
    category: str
    confidence: float
    evidence: list[dict[str, Any]]
    objections: list[list[str | None]]  # flag word and reason, as its readers would put them
    published_at: datetime

    def row(self) -> tuple[Any, ...]:
        """In the order of COLUMNS."""
        evidence = json.dumps(self.evidence)
        texts = (self.insight_id, self.headline, self.summary, self.category)
        return (*texts, self.confidence, evidence, self.published_at, True)


def published(plan: Plan, number: int) -> datetime:
    """When insight `number` appears: one in each step of the plan, somewhere within it."""
    share = 0.05 + 0.9 * (plan.key("published", number) / 2**64)
    return plan.anchor + _step(plan) * (number - share)


def numbers_between(plan: Plan, first: datetime, end: datetime) -> range:
    """The numbers of all insights that may be published from `first` to `end`; some at the edges are not."""
    step = _step(plan)
    return range(math.floor((first - plan.anchor) / step), math.ceil((end - plan.anchor) / step) + 2)


def insight(plan: Plan, number: int) -> Insight:
    rng = plan.random("insight", number)
    flagged = number % FLAGGED_EVERY == FLAGGED_AT and number > -FLAGGED_LAST
    kind = KINDS[number // FLAGGED_EVERY % len(KINDS)] if flagged else "fine"
    moment = published(plan, number)
    facts = _facts(rng, moment)
    template = rng.choice(PHRASES["templates" if kind == "fine" else kind])
    return Insight(
        number=number,
        insight_id=f"demo-ins-{plan.key('insight', number):016x}",
        kind=kind,
        flagged=flagged,
        headline=rng.choice(template["headlines"]).format(**facts),
        summary=" ".join(template["summary"]).format(**facts),
        category=template["category"],
        confidence=round(rng.uniform(0.55, 0.97), 2),
        evidence=_evidence(rng, facts["height"]),
        objections=template.get("flags", []) + PHRASES["flags"][kind],
        published_at=moment,
    )


def _step(plan: Plan) -> timedelta:
    return timedelta(days=plan.days) / plan.insights


def _evidence(rng: random.Random, height: int) -> list[dict[str, Any]]:
    blocks = [{"kind": "block", "value": height}]
    return blocks + [
        {"kind": "tx", "value": f"{rng.getrandbits(256):064x}"} for _ in range(rng.randint(1, 3))
    ]


def _facts(rng: random.Random, moment: datetime) -> dict[str, Any]:
    """Figures that agree with one another, and, with names that say so, some that do not."""
    height = chain_tip(moment)
    return {
        "height": height,
        "block": f"{height:,}",
        "block_next": f"{height + rng.randint(140, 1_900):,}",
        **_money(rng, moment),
        **_blockspace(rng),
        "small_pct": rng.randint(11, 79) / 10,
        "capacity": f"{rng.randint(4_600, 5_900):,}",
        "channels": f"{rng.randint(240, 1_900):,}",
        "addresses": rng.randint(12, 90),
        "hours": rng.randint(2, 18),
        "days": rng.randint(21, 190),
        "exchange": rng.choice(PHRASES["exchanges"]),
        "pool": rng.choice(PHRASES["pools"]),
        "node": rng.choice(PHRASES["nodes"]),
    }


def _money(rng: random.Random, moment: datetime) -> dict[str, Any]:
    # A price that wanders slowly between some 80,000 and 130,000 dollars.
    price = 104_000 + 21_000 * math.sin(moment.timestamp() / 86_400 / 23) + rng.uniform(-1500, 1500)
    btc = rng.choice([rng.randint(310, 990), rng.randint(1_000, 4_800), rng.randint(5_000, 14_000)])
    millions, age = btc * price / 1e6, rng.randint(7, 14)
    return {
        "price": f"{round(price, -2):,.0f}",
        "price_up": f"{round(price * 2.4, -3):,.0f}",
        "btc": f"{btc:,}",
        "usd": f"{millions:,.0f}",
        "usd_wrong": f"{millions * rng.choice([9.7, 12.4, 0.08]):,.0f}",
        "age": age,
        "year": moment.year - age,
    }


def _blockspace(rng: random.Random) -> dict[str, Any]:
    mb_before, blocks, fee_low = rng.randint(18, 160), rng.randint(3, 9), rng.randint(2, 14)
    mb, fee_btc = mb_before + rng.randint(12, 170), rng.randint(30, 190) / 100
    fee_share = round(100 * fee_btc / (fee_btc + 3.125))
    return {
        "mb": mb,
        "mb_before": mb_before,
        "pct_up": round(100 * (mb - mb_before) / mb_before),
        "fee_low": fee_low,
        "fee": fee_low + rng.randint(6, 90),
        "fee_btc": fee_btc,
        "fee_share": fee_share,
        "fee_share_wrong": fee_share + 47,
        "blocks": blocks,
        "blocks_all": blocks + rng.randint(2, 8),
        "pool_share": rng.randint(9, 44),
        "diff": rng.randint(12, 64) / 10,
        "txs": f"{rng.randint(1_200, 48_000):,}",
    }
