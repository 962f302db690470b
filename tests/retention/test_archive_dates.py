"""Dates in the addresses of the archive's pages."""

from datetime import UTC, datetime

import pytest

from utxoiq_admin.retention.archive_views import end_of


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-01-31", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-01-31T10:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("9999-12-31", datetime(9999, 12, 31, tzinfo=UTC)),
        ("soon", None),
        ("", None),
    ],
)
def test_a_range_that_ends_on_a_day_includes_the_day(text: str, end: datetime | None) -> None:
    assert end_of(text) == end
