"""What is said of a child that ended."""

import sys
from pathlib import Path

import pytest

from utxoiq_admin.stack import processes
from utxoiq_admin.stack.processes import Child


@pytest.mark.parametrize(("least", "said"), [(1 << 62, True), (0, False)])
def test_a_child_that_ends_on_a_full_disk_is_told_with_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: int, said: bool
) -> None:
    monkeypatch.setattr(processes, "LEAST_FREE", least)
    child = Child("database", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "database.log")
    child.start()
    assert child.wait(10)
    text = child.describe_end()
    assert text.startswith("database ended with code 3.")
    assert (f"The disk of {tmp_path} has" in text and "Make room" in text) is said
