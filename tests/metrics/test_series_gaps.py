"""What is missing between rows: rhythms explain empty buckets, few rows tell of a gap inside a full one."""

import random

import pytest

from metrics.series_gaps import Gaps, find


def minutes(*places, length=None, seconds=0.0):
    """Counts and moments of one row in each of these minutes."""
    counts = [None] * (length or max(places) + 1)
    for place in places:
        counts[place] = 1
    return counts, {place: (place * 60 + seconds, place * 60 + seconds) for place in places}


def test_what_is_missing_is_a_gap():
    assert find(*minutes(0, 1, 2, 6, 7, 8), 60, 9) == Gaps([], [])


def test_where_five_minute_rows_meet_one_minute_rows_only_what_is_missing_is_a_gap():
    rows = minutes(*(m for m in [*range(0, 60, 5), *range(60, 120)] if m not in (30, 90, 92)))
    explained = [m for place in range(0, 60, 5) if place not in (25, 30) for m in range(place + 1, place + 5)]
    assert find(*rows, 60, 120).between == explained


def test_rows_that_drift_over_the_minute_leave_no_gaps():
    at = [57.5 + n * 61 for n in range(20)]
    moments = {int(second // 60): (second, second) for second in at}
    counts = [1 if place in moments else None for place in range(21)]
    assert [place for place in range(21) if counts[place] is None] == [3]
    assert find(counts, moments, 60, 21).between == [3]


def test_two_rows_far_apart_say_nothing_of_what_is_usual():
    assert find(*minutes(0, 9), 60, 10).between == []


@pytest.mark.parametrize(
    ("counts", "holes"),
    [
        ([60] * 5 + [20] + [60] * 5, [5]),
        ([60] * 5 + [20, None, None, 40] + [60] * 5, [5, 8]),  # the silence's ends
        ([60] * 5 + [56] + [60] * 5, []),  # five rows late or lost
        ([180] * 5 + [120] * 5, []),  # an instance fewer, from now on
        ([12] * 5 + [60] * 5, []),  # from five minutes to one
        ([60] * 5 + [36] + [12] * 5, []),
        ([3, 3, 2, 3, 3, 2, 3, 1, 3], []),  # too few to tell
    ],
)
def test_a_bucket_with_far_fewer_rows_than_those_around_it_has_a_hole(counts, holes):
    assert find(counts, {}, 3600, len(counts)).holes == holes


def test_a_bucket_that_still_fills_has_no_hole():
    assert find([60] * 6 + [10], {}, 3600, 6).holes == []
    assert find([60] * 6 + [10], {}, 3600, 7).holes == [6]


def test_a_service_that_reports_at_random_has_hardly_any():
    chance = random.Random(7)
    counts = [sum(chance.random() < 0.02 for _ in range(1000)) for _ in range(1000)]  # 20 an hour
    assert len(find(counts, {}, 3600, 1000).holes) <= 20


def test_wider_buckets_keep_what_is_missing_and_what_is_explained():
    hours = [60] * 24
    hours[4] = hours[5] = None
    assert find(hours, {}, 3600, 24).widened(hours, 3) == Gaps([], [1])
    hours[3] = None
    assert find(hours, {}, 3600, 24).widened(hours, 3) == Gaps([], [])  # an empty bucket is the gap itself
    daily = [1 if place % 24 == 0 else None for place in range(24 * 5)]
    moments = {}
    assert find(daily, moments, 3600, 120).widened(daily, 12) == Gaps([1, 3, 5, 7], [])
