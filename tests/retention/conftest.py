import pytest

from tests.retention.rows import drop_old_partitions
from utxoiq_admin.retention import storage


@pytest.fixture(autouse=True)
def archive_folder(tmp_path, settings):
    """An empty archive of this test's own."""
    settings.ARCHIVE_URL = (tmp_path / "archive").as_uri()
    yield tmp_path / "archive"
    storage._made.cache_clear()


@pytest.fixture(autouse=True)
def no_old_partitions(transactional_db):
    yield
    drop_old_partitions()
