"""A full disk, of the spool or of the archive, is told and costs no row: on a small tmpfs, where one may be made."""

import os
import subprocess
import tempfile

import pytest

from tests.retention.rows import everything, fill, held_together, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def small_disk(tmp_path):
    """A file system with one page left; the list empties it."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("no tmpfs may be mounted here")
    filler = folder / "filler"
    filler.write_bytes(b"\0" * 60 * 1024)
    yield folder, filler
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("what", ["spool", "archive"])
def test_a_full_disk_costs_no_row(small_disk, what, settings, monkeypatch):
    folder, filler = small_disk
    if what == "spool":
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
    else:
        settings.ARCHIVE_URL = (folder / "archive").as_uri()
    fill(days=1, rows=1200)
    before = everything()
    done = run(tables=("insight_feedback",))
    assert done.state == "failed" and "No space left on device" in done.error
    assert everything() == before
    filler.unlink()
    assert run(tables=("insight_feedback",)).figures.get().rows_deleted == 1200
    assert held_together() == before
