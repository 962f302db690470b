import pytest
from django.db import connection

from metrics import partitions
from tests.retention.rows import NOW
from utxoiq_admin.retention import storage


@pytest.fixture(autouse=True)
def archive_folder(tmp_path, settings):
    """An empty archive of this test's own."""
    settings.ARCHIVE_URL = (tmp_path / "archive").as_uri()
    yield tmp_path / "archive"
    storage._made.cache_clear()


@pytest.fixture(autouse=True)
def no_old_partitions(transactional_db):
    """Other tests find the hot window's partitions and no others."""
    yield
    with connection.cursor() as cursor:
        for partition in partitions.listing():
            if partition.start.date() < partitions.window(NOW)[0]:
                cursor.execute(f"DROP TABLE {partition.name}")
