"""What the demo's users say of an insight: ratings, comments, flags, each at its moment."""

import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from utxoiq_admin.demo.insights import FLAGGED_EVERY, PHRASES, Insight, insight, numbers_between
from utxoiq_admin.demo.plan import Plan

COLUMNS = (
    "id",
    "insight_id",
    "user_id",
    "rating",
    "comment",
    "flag_type",
    "flag_reason",
    "created_at",
    "updated_at",
)
USERS = 2_600
# Some good insights are flagged by a brigade: accounts that say nothing else, all at once, in the same words.
BRIGADE, BRIGADE_WITHIN = 7, timedelta(minutes=4)
_HEARD = timedelta(hours=9)  # half of the voices come within six hours
_RATINGS = {"fine": [4, 6, 14, 34, 42], "wrong": [38, 28, 18, 10, 6], "spam": [62, 20, 9, 5, 4]}


def longest_delay(plan: Plan) -> timedelta:
    """After this long nobody says anything about an insight any more."""
    return min(timedelta(days=12), timedelta(days=plan.days) / 3)


def feedback_of(plan: Plan, about: Insight) -> list[tuple[Any, ...]]:
    """Everything that will ever be said about one insight, in the order of COLUMNS."""
    rng = plan.random("feedback", about.number)
    flags = [] if brigaded(about) else _flags(rng, about)
    # A few insights are talked about by many, most by a handful.
    count = max(len(flags), min(90, int(rng.paretovariate(1.35) * 3.65)))
    users = rng.sample(range(USERS), count)
    limit = longest_delay(plan)
    rows = []
    for position, user in enumerate(users):
        flag, reason = flags[position] if position < len(flags) else (None, None)
        delay = timedelta(minutes=2) + _HEARD * rng.expovariate(1)
        created = about.published_at + min(delay, limit * rng.uniform(0.9, 1))
        rating, comment = _opinion(rng, about, flagged=flag is not None)
        names = (_id(rng, created), about.insight_id, f"demo-u{user:04d}")
        rows.append((*names, rating, comment, flag, reason, created, created))
    return rows + _brigade(plan, about) if brigaded(about) else rows


def brigaded(about: Insight) -> bool:
    """Every eighth of those that get flags; its text is fine."""
    return about.flagged and about.number // FLAGGED_EVERY % 8 == 4


def _brigade(plan: Plan, about: Insight) -> list[tuple[Any, ...]]:
    rng = plan.random("brigade", about.number)
    begin = about.published_at + min(timedelta(hours=rng.uniform(1, 6)), longest_delay(plan) / 2)
    word, reason = rng.choice([("misleading", "Paid by the exchanges."), ("spam", "Report this everywhere!")])
    rows = []
    for number in range(BRIGADE):
        at = begin + BRIGADE_WITHIN * rng.random()
        user = f"demo-n{plan.key('brigade', about.number, number) >> 32:08x}"
        said = reason if number < BRIGADE - 2 else None
        rows.append((_id(rng, at), about.insight_id, user, rng.choice([1, None]), None, word, said, at, at))
    return rows


def feedback_between(plan: Plan, first: datetime, end: datetime) -> Iterator[tuple[Any, ...]]:
    """Rows said at first < created_at <= end, whenever their insight was published."""
    for number in numbers_between(plan, first - longest_delay(plan), end):
        if number > -plan.insights:
            yield from (r for r in feedback_of(plan, insight(plan, number)) if first < r[7] <= end)


def _flags(rng: random.Random, about: Insight) -> list[tuple[str, str | None]]:
    """At least three for the queue; now and then one or two elsewhere."""
    counts, weights = ([3, 4, 5, 6, 7], [42, 25, 13, 12, 8]) if about.flagged else ([0, 1, 2], [90, 8, 2])
    count = rng.choices(counts, weights)[0]
    block = f"{about.evidence[0]['value']:,}"
    # The first ones say what is the matter with this very insight.
    chosen = rng.sample(about.objections[:count] if count > 2 else about.objections, count)
    return [(str(word), reason and reason.format(block=block)) for word, reason in chosen]


def _opinion(rng: random.Random, about: Insight, *, flagged: bool) -> tuple[int | None, str | None]:
    rating: int | None = rng.choices([1, 2, 3, 4, 5], _RATINGS["wrong" if flagged else about.kind])[0]
    tone = {1: "bad", 2: "bad", 3: "middling"}.get(rating or 0, "good")
    comment = _comment(rng, about, tone) if rng.random() < 0.24 else None
    if rng.random() < 0.12 and (comment or flagged):
        rating = None
    return rating, comment


def _comment(rng: random.Random, about: Insight, tone: str) -> str:
    facts = {"block": f"{about.evidence[0]['value']:,}", "year": rng.randint(2013, 2023)}
    opening, closing = rng.choice(PHRASES["openings"]), rng.choice(PHRASES["closings"])
    return str(opening + rng.choice(PHRASES["comments"][tone]) + closing.format(**facts))


def _id(rng: random.Random, moment: datetime) -> uuid.UUID:
    """A UUIDv7 that follows from the plan: the row's moment, then drawn bits."""
    bits = int(moment.timestamp() * 1000) << 80 | 0x7 << 76 | rng.getrandbits(12) << 64
    return uuid.UUID(int=bits | 0b10 << 62 | rng.getrandbits(62))
