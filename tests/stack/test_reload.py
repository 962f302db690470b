"""`make dev` looks at the code once a second, while editors and checkouts write it."""

import os
from pathlib import Path

import pytest

from utxoiq_admin.stack import reload
from utxoiq_admin.stack.reload import Changes


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reload, "LOOK_SECONDS", 0.0)
    for name in (
        "app/views.py",
        "app/tests/test_views.py",
        "templates/page.html",
        "static/site.css",
        ".venv/x.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("first")
    return tmp_path


@pytest.mark.parametrize("name", ["app/views.py", "templates/page.html", "app/new.py"])
def test_code_and_templates_are_seen_to_change_once(tree: Path, name: str) -> None:
    changes = Changes(tree)
    assert not changes.any()
    (tree / name).write_text("second")
    assert changes.any()
    assert not changes.any()


@pytest.mark.parametrize("name", ["app/tests/test_views.py", "static/site.css", ".venv/x.py", "app/notes.md"])
def test_what_the_programs_never_load_is_not_looked_at(tree: Path, name: str) -> None:
    changes = Changes(tree)
    (tree / name).write_text("second")
    assert not changes.any()


def test_a_file_that_is_removed_is_a_change(tree: Path) -> None:
    changes = Changes(tree)
    (tree / "app/views.py").unlink()
    assert changes.any()


def test_files_and_folders_that_go_while_they_are_listed_end_nothing(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir
    changes = Changes(tree)

    class Vanishing:
        """A listing whose entries are gone by the time that anybody looks."""

        def __init__(self, folder: str) -> None:
            self.entries = list(scandir(folder))
            for entry in self.entries:
                if entry.name in ("views.py", "templates"):
                    Path(entry.path).rename(tree / f".gone-{entry.name}")

        def __enter__(self) -> list[os.DirEntry[str]]:
            for entry in self.entries:
                entry.is_dir()
            return self.entries

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "scandir", Vanishing)
    assert changes.any()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_ends_nothing(tree: Path) -> None:
    (tree / "private").mkdir(mode=0o000)
    assert not Changes(tree).any()
