import pytest

from utxoiq_admin.retention import storage


@pytest.fixture(autouse=True)
def archive_folder(tmp_path, settings):
    """An empty archive of this test's own."""
    settings.ARCHIVE_URL = (tmp_path / "archive").as_uri()
    yield tmp_path / "archive"
    storage._made.cache_clear()
