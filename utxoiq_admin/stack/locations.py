"""Where the stack keeps things: the data folder, its owner-only files, its lock, and free ports."""

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from utxoiq_admin.stack.processes import StackError

# Below the range from which the kernel picks ports for outgoing connections: none of those takes ours.
SERVER_PORTS = range(20_000, 32_000)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; readers see the old text or the new one, never a part."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    for _attempt in range(200):
        port = secrets.choice(SERVER_PORTS)
        if port_is_free(port):
            return port
    raise StackError(f"No free port was found on 127.0.0.1 between {SERVER_PORTS[0]} and {SERVER_PORTS[-1]}.")


class DataFolder:
    """The folder in which everything of one stack lives, held by one `up` at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.addresses = path / "stack.json"
        self.secret_key = path / "secret_key"
        self.admin_password = path / "admin_password"
        self.demo_marker = path / "demo_loaded"
        self.static_stamp = path / "static.stamp"
        self._servers = path / "servers.json"
        self._lock: IO[str] | None = None

    def prepare(self) -> None:
        """Make the folder, and take its lock: two stacks on one folder would ruin the database."""
        try:
            if not self.path.exists():
                self.path.mkdir(parents=True)
                # Others may pass through (the database's own user must, whatever the umask), and may list nothing.
                self.path.chmod(0o711)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            self._lock = (self.path / "up.lock").open("a+")
        except OSError as error:
            raise StackError(
                f"The data folder {self.path} cannot be used: {error.strerror} ({error.filename}). "
                "Name another with --data-dir, or run as its owner."
            ) from error
        self._refuse_other_owner()
        self._take_lock(self._lock)
        if not self.secret_key.exists():
            write_private(self.secret_key, secrets.token_urlsafe(50) + "\n")

    def _refuse_other_owner(self) -> None:
        """Files that root leaves in a user's folder would lock that user out: refuse."""
        owner = self.secret_key.stat().st_uid if self.secret_key.exists() else os.geteuid()
        if owner != os.geteuid():
            raise StackError(
                f"The data folder {self.path} belongs to the user with id {owner}, and this is id "
                f"{os.geteuid()}. Run as that user, or name another folder with --data-dir "
                "(`make run DATA_DIR=...`)."
            )

    def _take_lock(self, lock: IO[str]) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StackError(
                f"The data folder {self.path} is in use by process {lock.read().strip() or 'unknown'}, "
                "another `manage.py up`. Stop that one first, or name another folder with --data-dir "
                "(`make run DATA_DIR=...`)."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def server_secrets(self) -> dict[str, Any]:
        """Ports and passwords of the embedded servers: made once; a port taken since is made anew."""
        try:
            kept: dict[str, Any] = json.loads(self._servers.read_text())
        except FileNotFoundError:
            kept = {}
        before = dict(kept)
        for server in ("postgres", "valkey"):
            if not port_is_free(kept.get(f"{server}_port", 0)) or f"{server}_port" not in kept:
                kept[f"{server}_port"] = free_port()
        for owner in ("postgres_password", "role_password", "valkey_password"):
            kept.setdefault(owner, secrets.token_urlsafe(24))
        kept.setdefault("folder_id", secrets.token_hex(16))
        if kept != before:
            write_private(self._servers, json.dumps(kept, indent=2) + "\n")
        return kept

    def publish(self, addresses: Mapping[str, str]) -> None:
        """Let every other command find the running servers."""
        write_private(self.addresses, json.dumps(dict(addresses), indent=2) + "\n")

    def withdraw(self) -> None:
        self.addresses.unlink(missing_ok=True)
