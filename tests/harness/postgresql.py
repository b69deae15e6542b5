"""A real PostgreSQL on a free loopback port, and PgBouncer in front of it: started, stopped, killed and started again by tests."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import pytest

from harness.server import free_port, wait_until

START_SECONDS = 60.0
STOP_SECONDS = 30.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_min_messages": "warning",
}
QUICK = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
ACCESS = "host all locked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"

_numbers = itertools.count(1)


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs: Debian keeps them out of PATH. Raises `AssertionError` where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    found = shutil.which(name, path=":".join([*map(str, reversed(folders)), os.environ["PATH"], "/usr/sbin"]))
    assert found, f"{name} is not installed"
    return found


class _Service:
    """A process of its own user in a directory of its own: PostgreSQL and PgBouncer refuse to run as root."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        self._give(directory)

    def _give(self, path: Path) -> None:
        os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _popen(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        root = os.geteuid() == 0
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
                start_new_session=True,
                user=self._user.pw_uid if root else None,
                group=self._user.pw_gid if root else None,
                extra_groups=[] if root else None,
            )

    @property
    def pid(self) -> int:
        """The main process."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the main process lives."""
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Where a database is: what `metadata.url` takes."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def _wait(self) -> None:
        def answers() -> bool:
            assert self.running, f"{self} ended\n{self.log_tail()}"
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(answers, f"{self} to answer", START_SECONDS)

    def log_tail(self) -> str:
        """The end of its log."""
        log = self.directory / "log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else ""

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it in good order, whoever is connected. Does nothing when it has ended."""
        if self._process is None:
            return
        if self.running:
            os.kill(self.pid, number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def start(self) -> Self:
        """Start it and wait until it answers."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGQUIT)  # at once, without tidying up


class PostgreSQL(_Service):
    """A cluster in `directory`, which must lie where other users may look, so not below pytest's own.

    User `postgres` needs no password, user `locked` has the password "right". `durable`: whether what is committed survives the machine;
    without it tests are quicker, and kill -9 of the server alone loses nothing either.
    """

    def __init__(self, directory: Path, *, durable: bool = True, **settings: str) -> None:
        super().__init__(directory)
        self._settings = {**SETTINGS, "port": str(self.port), **({} if durable else QUICK), **settings}

    def __str__(self) -> str:
        return f"PostgreSQL on port {self.port}"

    def start(self) -> Self:
        """Start it, on the same port each time, and wait until it answers; make the cluster first if there is none."""
        data = self.directory / "data"
        new = not data.is_dir()
        if new:
            making = self._popen(
                [
                    program("initdb"),
                    "--no-sync",
                    "-A",
                    "trust",
                    "-U",
                    "postgres",
                    "-E",
                    "UTF8",
                    "--locale=C.UTF-8",
                    "-D",
                    str(data),
                ]
            )
            assert making.wait(START_SECONDS) == 0, self.log_tail()
            (data / "pg_hba.conf").write_text(ACCESS)
        settings = [word for key, value in self._settings.items() for word in ("-c", f"{key}={value}")]
        self._process = self._popen([program("postgres"), "-D", str(data), *settings])
        self._wait()
        if new:
            self.run("CREATE ROLE locked LOGIN PASSWORD 'right'")
        return self

    def kill(self) -> None:
        """End all its processes at once, with kill -9."""
        if not self.running:
            return
        below = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in (self.pid, *map(int, below)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        assert self._process is not None
        self._process.wait(STOP_SECONDS)
        wait_until(lambda: not any(map(_lives, below)), "the end of the killed processes")

    def restart(self) -> Self:
        """Stop it, if it runs, and start it again on the same port."""
        self.stop()
        return self.start()

    def run(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the superuser; gives its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> str:
        """The name of a new empty database."""
        name = f"test{next(_numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return name

    def fresh(self) -> str:
        """The URL of a new empty database."""
        return self.url(self.empty())


class PgBouncer(_Service):
    """PgBouncer in transaction mode in front of a PostgreSQL, with all of its databases. `directory` as for `PostgreSQL`."""

    def __init__(self, directory: Path, server: PostgreSQL, **settings: str) -> None:
        super().__init__(directory)
        self.server = server
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": str(directory / "users"),
            "pool_mode": "transaction",
            "max_client_conn": "500",
            "default_pool_size": "20",
            "server_login_retry": "1",
            **settings,
        }
        lines = ["[databases]", f"* = host=127.0.0.1 port={server.port}", "[pgbouncer]"]
        lines += [f"{key} = {value}" for key, value in settings.items()]
        for name, text in (("ini", "\n".join(lines)), ("users", '"postgres" ""\n')):
            (directory / name).write_text(text)
            self._give(directory / name)

    def __str__(self) -> str:
        return f"PgBouncer on port {self.port}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it at once: at SIGINT it waits for clients to leave."""
        super().stop(number)

    def start(self) -> Self:
        """Start it and wait until it answers."""
        self._process = self._popen([program("pgbouncer"), "-q", str(self.directory / "ini")])
        self._wait()
        return self

    def fresh(self) -> str:
        """The URL of a new empty database."""
        return self.url(self.server.empty())


def _lives(pid: str) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="session")
def open_directory() -> Iterator[Path]:
    """A directory that other users may enter, for services that do not run as root."""
    with tempfile.TemporaryDirectory(prefix="holdfast-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def postgresql(open_directory: Path) -> Iterator[PostgreSQL]:
    """A PostgreSQL for all tests that leave it running."""
    with PostgreSQL(open_directory / "postgresql", durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def pgbouncer(open_directory: Path, postgresql: PostgreSQL) -> Iterator[PgBouncer]:
    """PgBouncer in front of `postgresql`."""
    with PgBouncer(open_directory / "pgbouncer", postgresql) as pooler:
        yield pooler
