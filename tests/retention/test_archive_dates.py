"""Times in the addresses of the archive's pages."""

from datetime import UTC, datetime

import pytest
from django.test import RequestFactory

from utxoiq_admin.core.time_range import InvalidRange
from utxoiq_admin.retention.wishes import Times, end_of


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-01-31", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-01-31T10:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31 10:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_a_range_that_ends_on_a_day_includes_the_day(text: str, end: datetime) -> None:
    assert end_of(text) == end


@pytest.mark.parametrize("text", ["soon", "9999-12-31", "2026-02-30"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidRange):
        end_of(text)


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ({}, ""),
        ({"from": "2026-01-31", "to": "2026-01-31"}, ""),
        ({"from": "tomorrow"}, "“tomorrow” is no time: write it like 2026-11-24T14:00Z."),
        ({"to": "x"}, "“x” is no time: write it like 2026-11-24T14:00Z."),
        ({"from": "2026-02-01", "to": "2026-01-31"}, "The range ends before it starts."),
    ],
)
def test_what_is_refused_says_why_and_asks_for_nothing(query: dict[str, str], refusal: str) -> None:
    times = Times.of(RequestFactory().get("/archives/", query))
    assert times.refusal == refusal
    assert not refusal or (times.start, times.end) == (None, None)
