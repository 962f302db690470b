"""What `manage.py up` does, step by step."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from utxoiq_admin.stack import static_files
from utxoiq_admin.stack.locations import DataFolder, port_is_free
from utxoiq_admin.stack.postgres import PostgresServer, binaries
from utxoiq_admin.stack.processes import Child, StackError, indent
from utxoiq_admin.stack.programs import Programs, web_answers
from utxoiq_admin.stack.reload import Changes
from utxoiq_admin.stack.supervisor import Stopped, Supervisor, ignore_signals, stop_on_signals
from utxoiq_admin.stack.unprivileged import find_home
from utxoiq_admin.stack.valkey import ValkeyServer

DYING_SECONDS = 5.0  # how long the processes of a stack that was killed may still hold a port
COLLECT_SECONDS = 300.0
PREPARE_SECONDS = 24 * 3600.0  # migrating a large table takes its time, and must not be cut short
WEB_SECONDS = 60.0


@dataclass(frozen=True)
class Options:
    """What the person at the terminal chose."""

    data_dir: Path
    port: int
    demo: bool
    reload: bool


class Stack:
    """One run of `up`."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self.options, self.say = options, say
        self.folder = DataFolder(options.data_dir)
        self.supervisor = Supervisor(say)
        self.programs = Programs(self.folder, port=options.port, debug=options.reload)

    def run(self) -> None:
        """Start everything, watch it until somebody asks to stop, and stop it in reverse order."""
        self.folder.prepare()
        with stop_on_signals():
            try:
                self._start()
                self.supervisor.watch(self._restart_on_change() if self.options.reload else lambda: None)
            except Stopped:
                self.say("Asked to stop.")
            finally:
                ignore_signals()
                self.supervisor.stop()
                self.folder.withdraw()
        self.say("Everything is stopped.")

    def _start(self) -> None:
        begun = time.monotonic()
        self.say(f"utxoIQ admin, data in {self.folder.path}")
        self._refuse_taken_port()
        collecting = self._collect_static()
        self._start_servers()
        self._prepare()
        if collecting:
            self._finish_static(*collecting)
        self._serve()
        loads_demo = self._wants_demo()
        self._announce(time.monotonic() - begun, loads_demo)
        if loads_demo:
            self._load_demo()

    def _refuse_taken_port(self) -> None:
        port, was_killed = self.options.port, self.folder.addresses.exists()
        end = time.monotonic() + (DYING_SECONDS if was_killed else 0)
        while not port_is_free(port):
            if time.monotonic() >= end:
                raise StackError(
                    f"Port {port} of 127.0.0.1 cannot be used: another program has it, or it "
                    f"needs more rights. Choose another: `make run PORT={port + 1}` or "
                    f"`manage.py up --port {port + 1}`."
                )
            time.sleep(0.1)

    def _collect_static(self) -> tuple[Child, str] | None:
        """Begin to collect the static files, unless they are those of the last time; needs no server."""
        if self.options.reload or settings.DEBUG:
            return None
        wanted, stamp = static_files.fingerprint(), self.folder.static_stamp
        if stamp.exists() and stamp.read_text() == wanted:
            return None
        self.say("Static files: collecting and compressing them")
        child = self.programs.command("collectstatic", "--noinput", "--clear", "--verbosity=0")
        self.supervisor.start(child)
        return child, wanted

    def _finish_static(self, child: Child, wanted: str) -> None:
        self.supervisor.finish(child, seconds=COLLECT_SECONDS)
        self.folder.static_stamp.write_text(wanted)

    def _start_servers(self) -> None:
        """Start the embedded ones at the same time, and write down where they are for every other command."""
        kept, addresses = self.folder.server_secrets(), {}
        valkey = self._valkey(kept) if self.programs.embedded_valkey else None
        postgres = self._postgres(kept) if self.programs.embedded_database else None
        if valkey:
            self.supervisor.add(valkey.child)
            valkey.start()
        if postgres:
            self.supervisor.add(postgres.child)
            postgres.start()
            postgres.wait()
            postgres.provision()
            addresses["database_url"] = postgres.url
        if valkey:
            valkey.wait()
            addresses["redis_url"] = valkey.url
        if addresses:
            self.folder.publish(addresses)

    def _valkey(self, kept: dict[str, Any]) -> ValkeyServer:
        self.say(f"Valkey: starting on 127.0.0.1:{kept['valkey_port']}")
        return ValkeyServer(
            self.folder.path / "valkey",
            port=kept["valkey_port"],
            password=kept["valkey_password"],
            log=self.folder.log("valkey"),
        )

    def _postgres(self, kept: dict[str, Any]) -> PostgresServer:
        home = find_home(self.folder.path, binaries(), kept["folder_id"])
        postgres = PostgresServer(
            home,
            port=kept["postgres_port"],
            superuser_password=kept["postgres_password"],
            role_password=kept["role_password"],
            log=self.folder.log("postgres"),
        )
        if home.folder != self.folder.path and home.account:
            self.say(
                f"PostgreSQL: refuses to run as root, and the user {home.account.name} cannot enter "
                f"{self.folder.path}; its database stands in {home.folder}"
            )
        what = "starting" if postgres.exists else "making a new database, then starting"
        as_whom = f" as the user {home.account.name}" if home.account else ""
        self.say(f"PostgreSQL: {what}{as_whom} on 127.0.0.1:{postgres.port}")
        return postgres

    def _prepare(self) -> None:
        self.say("Database: checking the settings, migrating the tables")
        child = self.programs.command("prepare")
        self.supervisor.start(child)
        self.supervisor.finish(child, seconds=PREPARE_SECONDS)

    def _serve(self) -> None:
        """Start all that works on the servers; the web server first, since somebody waits for its pages."""
        web, *others = self.programs.all()
        if self.options.reload:
            for child in (web, *others):
                child.on_exit = self._tell_until_next_change
        self.say("Starting web")
        self.supervisor.start(web)
        self.supervisor.wait_for(web, lambda: web_answers(self.options.port), seconds=WEB_SECONDS)
        self.say(f"Starting {', '.join(child.name for child in others)}")
        self.supervisor.start(*others)

    def _tell_until_next_change(self, child: Child) -> None:
        self.say(f"{child.describe_end()}\nIt starts again at the next change of the code.")

    def _restart_on_change(self) -> Callable[[], None]:
        changes = Changes(settings.BASE_DIR)
        programs = [
            child for child in self.supervisor.children if child.on_exit == self._tell_until_next_change
        ]

        def look() -> None:
            if changes.any():
                self.say("Code changed: restarting")
                for child in programs:
                    child.signal(child.stop_signal)
                for child in programs:
                    child.stop()
                    child.start()

        return look

    def _wants_demo(self) -> bool:
        """Only in the embedded database, and once: who removed the demo data does not want it back."""
        wanted = (
            self.options.demo and self.programs.embedded_database and not self.folder.demo_marker.exists()
        )
        return wanted and self.programs.has_command("load_demo")

    def _load_demo(self) -> None:
        child = self.programs.command("load_demo")
        child.on_exit = self._demo_ended
        self.supervisor.start(child)

    def _demo_ended(self, child: Child) -> None:
        if child.succeeded:
            self.folder.demo_marker.touch()
            self.say("Demo data: loaded.")
        else:
            self.say(f"Demo data was not loaded, everything else works. {child.describe_end()}")

    def _announce(self, seconds: float, loads_demo: bool) -> None:
        address, password = f"http://127.0.0.1:{self.options.port}/", self.folder.admin_password
        user = ["User      admin", f"Password  in {password}"] if password.exists() else []
        lines = [
            f"Started in {seconds:.1f} s",
            *(["Demo data loads in the background"] if loads_demo else []),
            f"Address   {address}",
            *user,
            f"Logs      {self.folder.logs}",
            f"Stop      Ctrl-C, or kill {os.getpid()}",
        ]
        self.say(f"{indent(chr(10).join(lines))}\nready {address}")
