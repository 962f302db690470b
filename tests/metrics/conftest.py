import pytest

from metrics.partitions import ensure_months
from tests.metrics.rollup_writers import START, other_connection


@pytest.fixture
def november(transactional_db):
    """The partition of `rollup_writers.START`."""
    ensure_months([START.date()])


@pytest.fixture
def other():
    """A connection apart from Django's."""
    with other_connection() as conn:
        yield conn
        conn.rollback()
