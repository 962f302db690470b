"""What is due leaves the tables by way of verified objects, and nothing else does."""

import pytest

from tests.retention.rows import everything, fill, held_together, run

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_row_is_in_the_archive_exactly_once_and_no_more_in_its_table():
    fill()
    before = everything()
    done = run()
    assert (done.state, done.error) == ("succeeded", "")
    assert {table: len(rows) for table, rows in everything().items()} == dict.fromkeys(before, 0)
    assert held_together() == before
