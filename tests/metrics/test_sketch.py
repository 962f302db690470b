"""Percentiles from the sketch are within 2 % of the exact ones, however it was merged; SQL numbers bins alike."""

import math

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.sketch import RELATIVE_ERROR, bin_of, merge, percentiles, value_of

SHARES = (0.0, 0.25, 0.5, 0.95, 0.99, 1.0)
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, min_value=1e-300),
    st.floats(allow_nan=False, allow_infinity=False, max_value=-1e-300),
    st.floats(min_value=0, max_value=1000).filter(lambda value: value == 0 or value > 1e-300),
)


def sketch_of(values):
    found: dict[int, int] = {}
    for value in values:
        merge(found, [bin_of(value)], [1])
    return found


def exact(values, share):
    """percentile_disc of SQL."""
    return sorted(values)[max(1, math.ceil(share * len(values) - 1e-9)) - 1]


def test_the_error_promised_is_under_two_percent():
    assert RELATIVE_ERROR < 0.02


@settings(max_examples=300, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=60), st.lists(numbers, max_size=60))
def test_merged_sketches_answer_within_the_error(some, more):
    merged = sketch_of(some)
    other = sketch_of(more)
    merge(merged, other.keys(), other.values())
    values = some + more
    found = percentiles(merged, SHARES, lowest=min(values), highest=max(values))
    for share, value in zip(SHARES, found, strict=True):
        wanted = exact(values, share)
        assert abs(value - wanted) <= 0.02 * abs(wanted), share


@settings(max_examples=300, deadline=None)
@given(numbers, numbers)
def test_bins_sort_as_values_do(one, two):
    assert bin_of(min(one, two)) <= bin_of(max(one, two))
    assert bin_of(-one) == -bin_of(one)


@pytest.mark.parametrize("value", [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308])
def test_the_ends_of_what_a_float_holds_have_bins(value):
    assert 0 < bin_of(value) < 2**31
    assert 0 < value_of(bin_of(value)) < math.inf


def test_nothing_has_no_percentiles():
    assert percentiles({}, SHARES, lowest=0, highest=0) == [None] * len(SHARES)


@pytest.mark.django_db
def test_sql_numbers_bins_alike():
    values = [
        0.0,
        -0.0,
        5e-324,
        1e308,
        -1e308,
        *(n / 7 for n in range(-500, 500)),
        *(1.04**n for n in range(-99, 99)),
    ]
    with connection.cursor() as cursor:
        cursor.execute("SELECT v, metric_bin(v) FROM unnest(%s::float8[]) AS v", [values])
        different = [(v, b, bin_of(v)) for v, b in cursor.fetchall() if b != bin_of(v)]
    # On the very border of two bins either is right: both stand for the value within the error.
    assert all(
        abs(b - ours) == 1 and math.isclose(v, 1.04 ** round(math.log(v, 1.04))) for v, b, ours in different
    )
