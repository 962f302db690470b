"""How values read."""

from datetime import timedelta

import pytest

from utxoiq_admin.core.display import first_line, offset, quantity, took


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(41.234, "percent", "41.2 %"), (1234.5, "ms", "1,234 ms"), (6.7, "per_second", "6.7/s"), (None, "ms", "–"),
     (0, "count", "0"), (1.5 * 2**20, "bytes", "1.5 MiB"), (-1e300, "ms", "-1e+300 ms")],
)  # fmt: skip
def test_a_quantity_has_three_digits_and_its_unit(value, unit, text):
    assert quantity(value, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0402, "40 ms"), (0.9999, "1.0 s"), (1.24, "1.2 s"), (123, "2 min 3 s")],
)
def test_short_work_reads_in_milliseconds(seconds, text):
    assert took(timedelta(seconds=seconds)) == text


def test_work_that_has_not_ended_took_nothing_yet():
    assert took(None) == "–"


@pytest.mark.parametrize(
    ("text", "shown"),
    [(None, "none"), (" \n\t\n", "none"), ("\n refused \nstack", "refused"), ("x" * 200, "x" * 120)],
)
def test_the_first_line_that_says_anything(text, shown):
    assert first_line(text, otherwise="none") == shown


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (42.9, "+42 s"), (-185, "−3 min"), (0.4, "0 s")])
def test_a_distance_has_its_sign(seconds, text):
    assert offset(seconds) == text
