"""What the pages of insights show: the list with its headlines, and everything about one insight."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from feedback.figures import Figures, known
from feedback.models import InsightFeedback, InsightFigures, InsightFlag, InsightReview, InsightText
from feedback.stats import stats_of
from utxoiq_admin.core.cursors import Page

FOUND = 20  # insights that a search shows
COMMENTS, FLAGS = 20, 200  # rows of one insight on its page


@dataclass(frozen=True)
class Row:
    """One insight in the list."""

    figures: Figures
    headline: str | None
    review: InsightReview | None = None  # where it stands with the moderators, if it was ever flagged


def rows(listed: Sequence[Figures]) -> list[Row]:
    """The figures with the headlines that are known and the last decisions."""
    ids = [one.insight_id for one in listed]
    headlines = dict(InsightText.objects.filter(pk__in=ids).values_list("pk", "headline"))
    reviews = InsightReview.objects.in_bulk(ids)
    return [Row(one, headlines.get(one.insight_id), reviews.get(one.insight_id)) for one in listed]


def search(text: str) -> list[Row]:
    """Insights whose id begins with the text, or whose headline holds it, as far as anybody spoke of them."""
    by_id = InsightFigures.objects.filter(pk__startswith=text).order_by("pk").values_list("pk", flat=True)
    by_headline = InsightText.objects.filter(headline__icontains=text).values_list("pk", flat=True)
    # The text itself too: figures that are a second old may not be added yet.
    found = known(list(dict.fromkeys([text, *by_id[:FOUND], *by_headline.order_by("-published_at")[:FOUND]])))
    return rows(list(found.values())[:FOUND])


@dataclass(frozen=True)
class Bar:
    """How many gave so many stars, or flagged with this word; `percent` of all of them."""

    name: str
    count: int
    percent: float


@dataclass(frozen=True)
class Mark:
    """A flag on the timeline; `at` is 0 at its left end and 100 at its right."""

    at: float
    flag: InsightFlag


@dataclass(frozen=True)
class Timeline:
    """The flags from the insight's publication, where it is known, to the last of them."""

    begin: datetime
    end: datetime
    from_publication: bool
    marks: list[Mark]

    @property
    def length(self) -> timedelta:
        return self.end - self.begin


@dataclass(frozen=True)
class Insight:
    """Everything that is known of one insight. `figures` is None if nobody says anything of it."""

    insight_id: str
    text: InsightText | None
    figures: Figures | None
    bars: list[Bar]
    comments: Page[InsightFeedback]
    flags: list[InsightFlag]  # the newest FLAGS, withdrawn ones too
    more_flags: bool

    @property
    def withdrawn(self) -> int:
        return sum(flag.withdrawn_at is not None for flag in self.flags)

    @property
    def flag_bars(self) -> list[Bar]:
        """The words of the flags that stand, most used first."""
        words = Counter(flag.flag_type for flag in self.flags if flag.withdrawn_at is None)
        return _bars(words.most_common())

    @property
    def timeline(self) -> Timeline | None:
        if not self.flags:
            return None
        first, last = self.flags[-1].flagged_at, self.flags[0].flagged_at
        published = self.text and self.text.published_at
        from_publication = bool(published and published < first and not self.more_flags)
        begin = published if published and from_publication else first
        width = (last - begin).total_seconds()
        marks = [
            Mark(100 * (flag.flagged_at - begin).total_seconds() / width if width else 50.0, flag)
            for flag in self.flags
        ]
        return Timeline(begin, last, from_publication, marks)


def insight(insight_id: str, *, comments_cursor: str | None = None) -> Insight:
    """Everything about one insight, known here or not. Raises cursors.InvalidCursor."""
    newest = InsightFlag.objects.filter(insight_id=insight_id).order_by("-flagged_at", "-id")
    flags = list(newest[: FLAGS + 1])
    given = stats_of(insight_id)["rating_distribution"]
    return Insight(
        insight_id=insight_id,
        text=InsightText.objects.filter(pk=insight_id).first(),
        figures=known([insight_id]).get(insight_id),
        bars=_bars([(stars, given[stars]) for stars in sorted(given, reverse=True)]),
        comments=InsightFeedback.objects.comments_on(insight_id, cursor=comments_cursor, size=COMMENTS),
        flags=flags[:FLAGS],
        more_flags=len(flags) > FLAGS,
    )


def _bars(counts: Sequence[tuple[str, int]]) -> list[Bar]:
    total = sum(count for _, count in counts) or 1
    return [Bar(name, count, 100 * count / total) for name, count in counts]
