"""What moderators read: verdicts with their definitions and preset notes, and why an item stands where it does."""

from dataclasses import dataclass
from datetime import datetime

from feedback.models import InsightReview
from feedback.review_models import Verdict
from feedback.review_sql import AGE_SECONDS, RATINGS_WANTED
from utxoiq_admin.core.display import duration, span

BURST_FROM = 5  # flags within ten minutes that look like an arrangement
NEW_FROM = 3  # accounts of that week among the flaggers


@dataclass(frozen=True)
class Choice:
    """A verdict as a button: its key, its name, what it says in one line, and notes ready to take."""

    key: str
    verdict: Verdict
    label: str
    meaning: str
    presets: tuple[str, ...]


CHOICES = (
    Choice(
        "1", Verdict.INACCURATE, "Inaccurate", "A statement of fact is wrong.",
        ("Figure does not match the block.", "Wrong block or transaction.", "Address is not what it says."),
    ),
    Choice(
        "2", Verdict.MISLEADING, "Misleading", "The facts are right, the conclusion is not.",
        ("Headline says more than the data.", "Ordinary movement shown as news.", "Cause is made up."),
    ),
    Choice(
        "3", Verdict.SPAM, "Spam", "It advertises, repeats itself or says nothing.",
        ("Advertises a service.", "Same as an earlier insight.", "No content."),
    ),
    Choice(
        "4", Verdict.NOTHING_WRONG, "Nothing wrong", "The flags are mistaken; the insight stays.",
        ("Checked against the chain.", "A matter of opinion.", "Flaggers dislike the subject."),
    ),
    Choice(
        "5", Verdict.ESCALATED, "Escalate", "An administrator must decide; a note says what.",
        ("Legal question.", "Needs somebody who knows mining.", "Looks like an attack."),
    ),
    Choice(
        "0", Verdict.ALREADY_GONE, "Already gone", "The insight is offline; counts in nobody's record.",
        ("Removed by the platform.",),
    ),
)  # fmt: skip
LABELS = {choice.verdict: choice.label for choice in CHOICES}


def plural(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def why_here(review: InsightReview, now: datetime) -> str:
    """The priority in words: what it is made of, the heaviest first."""
    parts = [plural(review.unjudged, "flag")]
    if review.trusted:
        parts.append(f"{review.trusted} from people right in most of their earlier flags")
    if ignored := review.unjudged - review.counted:
        parts.append(f"{ignored} from ignored flaggers, which do not count")
    if review.ratings >= RATINGS_WANTED and review.rating is not None:
        parts.append(f"rated {review.rating:.1f} by {review.ratings:,}")
    age = 0.0
    if review.waiting_since:
        age = (now - review.waiting_since).total_seconds()
        parts.append(f"waiting {span(age)}")
    total = review.points + max(0.0, age) / AGE_SECONDS
    return f"{', '.join(parts)}: {total:.1f} points"


def signs(review: InsightReview) -> list[str]:
    """What looks like a brigade: many flags at once, and accounts that are new."""
    found = []
    if review.burst >= BURST_FROM:
        found.append(f"{review.burst} flags in {_minutes(review.burst_seconds)}")
    if review.new_accounts >= NEW_FROM:
        found.append(f"{review.new_accounts} from accounts first seen in the week before")
    return found


def _minutes(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 else f"{round(seconds / 60)} min"


def verdict_line(verdict: str, *, undone: bool = False) -> str:
    """ "Nothing wrong", or "undid: Nothing wrong"."""
    label = LABELS[Verdict(verdict)] if verdict != Verdict.ESCALATED else "Escalated"
    return f"undid: {label}" if undone else label


def until_words(moment: datetime, now: datetime) -> str:
    return f"{moment:%H:%M} UTC ({duration(moment - now)})"
