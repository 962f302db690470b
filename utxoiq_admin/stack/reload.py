"""For `make dev`: tells when code or templates changed."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LOOK_SECONDS = 1.0
SUFFIXES = (".py", ".html", ".txt")
SKIPPED = {"__pycache__", "node_modules", "static", "tests", "benchmarks"}


class Changes:
    """Compares the modification times of a tree with those of the last look, at most once a second."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = self._look()
        self._looked = time.monotonic()

    def any(self) -> bool:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return False
        self._looked, before = time.monotonic(), self._seen
        self._seen = self._look()
        return self._seen != before

    def _look(self) -> dict[str, int]:
        return dict(self._files(str(self._root)))

    def _files(self, folder: str) -> Iterator[tuple[str, int]]:
        # An editor's file, or a whole folder at a checkout, may go between being listed and being looked at; what may
        # not be read is no code of ours.
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in SKIPPED:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from self._files(entry.path)
                elif entry.name.endswith(SUFFIXES):
                    with suppress(FileNotFoundError):
                        yield entry.path, entry.stat().st_mtime_ns
