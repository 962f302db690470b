"""The two commands of a fresh machine, as far as make decides: which Python, what is installed, how `up` is called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Answers what make asks of a Python, and writes down what it is told to run.
PYTHON = """#!/bin/sh
case "$*" in
    *sys.version_info*) exit {old} ;;
    *ensurepip*) exit {lame} ;;
esac
printf '%s\\n' "$@" >"$(dirname "$0")/asked"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder whose path has spaces, with what make reads."""
    folder = tmp_path / "a checkout with spaces"
    folder.mkdir()
    for name in ("Makefile", "requirements.txt", "constraints.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def python(folder: Path, *, old: int = 0, lame: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "python"
    made.write_text(PYTHON.format(old=old, lame=lame))
    made.chmod(0o755)
    return made


def make(checkout: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DATA_DIR", "PORT", "ARGS")
    }
    return subprocess.run(
        ["make", *arguments],
        cwd=checkout,
        env={**environment, **({"PATH": path} if path else {})},
        capture_output=True,
        text=True,
        timeout=30,
    )


def installed(checkout: Path) -> Path:
    """As after an installation; the Python that stands there writes down what it is asked."""
    made = python(checkout / ".venv" / "bin")
    (checkout / ".venv" / "installed").touch()
    return made.with_name("asked")


def test_without_ensurepip_the_package_to_install_is_named(checkout: Path, tmp_path: Path) -> None:
    lame = python(tmp_path / "lame", lame=1)
    ended = make(checkout, "run", f"PYTHON={lame}")
    assert ended.returncode != 0
    assert f"{lame} cannot make virtual environments: its module ensurepip is missing." in ended.stderr
    assert "apt-get install python3-venv" in ended.stderr
    assert not (checkout / ".venv").exists()


def test_without_a_python_that_is_new_enough_one_is_asked_for(checkout: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("make", "sh", "env"):
        (tools / name).symlink_to(str(shutil.which(name)))
    ended = make(checkout, "run", f"PYTHON={python(tmp_path / 'old', old=1)}", path=str(tools))
    assert ended.returncode != 0
    assert "Python 3.11 or newer was not found" in ended.stderr
    assert "make run PYTHON=/path/to/python3" in ended.stderr


@pytest.mark.parametrize(
    ("target", "arguments", "asked"),
    [
        ("run", [], ["manage.py", "up", "--port", "8000"]),
        (
            "run",
            ["PORT=8001", "DATA_DIR=/srv/a data folder", "ARGS=--no-demo"],
            ["manage.py", "up", "--port", "8001", "--data-dir", "/srv/a data folder", "--no-demo"],
        ),
        ("dev", ["PORT=8001"], ["manage.py", "up", "--port", "8001", "--reload"]),
    ],
)
def test_run_and_dev_start_up_from_a_path_with_spaces(
    checkout: Path, target: str, arguments: list[str], asked: list[str]
) -> None:
    told = installed(checkout)
    ended = make(checkout, target, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert told.read_text().splitlines() == asked


def test_changed_requirements_are_installed_again(checkout: Path) -> None:
    told = installed(checkout)
    os.utime(checkout / ".venv" / "installed", (0, 0))
    assert make(checkout, ".venv/installed").returncode == 0
    assert told.read_text().splitlines()[-2:] == ["-r", "requirements.txt"]
    told.unlink()
    assert make(checkout, ".venv/installed").returncode == 0
    assert not told.exists()
