"""The programs of ours that one stack runs, each as a child: commands, web, worker, beat, listener."""

import http.client
import os
import sys
from pathlib import Path

from django.conf import settings
from django.core.management import get_commands

from utxoiq_admin.stack.locations import DataFolder
from utxoiq_admin.stack.processes import Child, may_end

WORKER_PROCESSES = 2


class Programs:
    """Makes the children of one data folder; whoever asked for them starts them."""

    def __init__(self, folder: DataFolder, *, port: int, debug: bool) -> None:
        self._folder, self._port = folder, port
        self._root: Path = settings.BASE_DIR
        self.embedded_database: bool = settings.EMBEDDED_DATABASE
        self.embedded_valkey = not (os.environ.get("REDIS_URL") or os.environ.get("REDIS_URL_FILE"))
        # Neither address is handed on: the children read them from the folder, as every other command does.
        self._env = {**os.environ, "UTXOIQ_DATA_DIR": str(folder.path), "PYTHONUNBUFFERED": "1"}
        self._env.pop("UTXOIQ_WEB", None)
        if debug:
            self._env["DEBUG"] = "1"

    @staticmethod
    def has_command(name: str) -> bool:
        return name in get_commands()

    def command(self, name: str, *arguments: str) -> Child:
        """A management command that does its work and ends; whoever waits for it looks how it ended."""
        child = self._manage(name, *arguments)
        child.on_exit = may_end
        return child

    def _manage(self, name: str, *arguments: str) -> Child:
        return self._python(name, str(self._root / "manage.py"), name, *arguments)

    def all(self) -> list[Child]:
        """Everything that runs as long as the stack does, the web server first."""
        children = [self._web(), self._worker(), self._beat()]
        return [*children, self._manage("listen")] if self.has_command("listen") else children

    def _web(self) -> Child:
        sizes = [f"--workers={settings.WEB_PROCESSES}", f"--threads={settings.WEB_THREADS}"]
        where = [
            "--config",
            str(Path(__file__).with_name("gunicorn.conf.py")),
            f"--bind=127.0.0.1:{self._port}",
        ]
        web = self._python("web", "-m", "gunicorn", *where, *sizes, "utxoiq_admin.wsgi")
        web.env = {**self._env, "UTXOIQ_WEB": "1"}
        web.stop_seconds = 15  # gunicorn's own patience with requests under way is 10
        return web

    def _worker(self) -> Child:
        queues = ["--queues=default,long", f"--concurrency={WORKER_PROCESSES}", "--hostname=worker@%h"]
        return self._celery("worker", *queues, "--include=utxoiq_admin.stack.parent_death")

    def _beat(self) -> Child:
        # Without a pid file: one that a crash left behind would keep beat from starting.
        return self._celery("beat", "--pidfile=")

    def _celery(self, program: str, *arguments: str) -> Child:
        options = ["--loglevel=INFO", *arguments]
        return self._python(program, "-m", "celery", "--app=utxoiq_admin", program, *options)

    def _python(self, name: str, *arguments: str) -> Child:
        argv = [sys.executable, *arguments]
        return Child(name, argv, self._folder.log(name), env=self._env, cwd=self._root)


def web_answers(port: int) -> bool:
    """Whether the web server says of itself that it is up."""
    # Asked by a name that ALLOWED_HOSTS lets in: behind a proxy that may be the public one alone.
    host = next((name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"), "127.0.0.1")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Host": host})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
