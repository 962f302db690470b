"""Ranges as addresses name them: presets, moments, and moments told from now, as the charts write them."""

from datetime import UTC, datetime

import pytest

from utxoiq_admin.core.time_range import InvalidRange, parse_point, parse_range

NOW = datetime(2026, 3, 31, 14, 25, 36, 7, tzinfo=UTC)  # a Tuesday


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("now", NOW, NOW),
        ("now-6h", at(2026, 3, 31, 8, 25, 36, 7), at(2026, 3, 31, 8, 25, 36, 7)),
        ("now-1d-2h", at(2026, 3, 30, 12, 25, 36, 7), at(2026, 3, 30, 12, 25, 36, 7)),
        ("now/d", at(2026, 3, 31), at(2026, 4, 1)),
        ("now-1d/d", at(2026, 3, 30), at(2026, 3, 31)),
        ("now/h", at(2026, 3, 31, 14), at(2026, 3, 31, 15)),
        ("now/w", at(2026, 3, 30), at(2026, 4, 6)),
        ("now/M", at(2026, 3, 1), at(2026, 4, 1)),
        ("now/y", at(2026, 1, 1), at(2027, 1, 1)),
        ("now-1M", at(2026, 2, 28, 14, 25, 36, 7), at(2026, 2, 28, 14, 25, 36, 7)),
        ("now-1y", at(2025, 3, 31, 14, 25, 36, 7), at(2025, 3, 31, 14, 25, 36, 7)),
        ("2026-03-01", at(2026, 3, 1), at(2026, 3, 1)),
    ],
)
def test_a_point_is_a_moment_or_told_from_now(text: str, start: datetime, end: datetime) -> None:
    assert (parse_point(text, now=NOW), parse_point(text, now=NOW, is_end=True)) == (start, end)


@pytest.mark.parametrize("text", ["now-", "now-6x", "then-6h", "now-999999y", "now+999999y/y", "now6h", ""])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRange):
        parse_point(text, now=NOW)


def test_a_range_may_be_told_from_now_at_both_ends() -> None:
    found = parse_range(preset="", start="now-2d/d", end="now-1d/d", default="24h", now=NOW)
    assert (found.start, found.end, found.preset) == (at(2026, 3, 29), at(2026, 3, 31), "")
