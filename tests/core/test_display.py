"""How values read."""

import pytest

from utxoiq_admin.core.display import quantity


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(41.234, "percent", "41.2 %"), (1234.5, "ms", "1,234 ms"), (6.7, "per_second", "6.7/s"), (None, "ms", "–"),
     (0, "count", "0"), (1.5 * 2**20, "bytes", "1.5 MiB"), (-1e300, "ms", "-1e+300 ms")],
)  # fmt: skip
def test_a_quantity_has_three_digits_and_its_unit(value, unit, text):
    assert quantity(value, unit) == text
