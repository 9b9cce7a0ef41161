"""The real servers that tests talk with: Redis, PostgreSQL and Python programs, each ended with the
block.

with RedisServer() as redis:
    redis.kill()            SIGKILL, as when a machine fails
    redis.start()           on the same port
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import redis

ROOT = Path(__file__).parents[1]
SECONDS = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server(ABC):
    """A server as a child process, with a folder of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="djust-"))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def address(self) -> str:
        """What a client connects to."""

    @abstractmethod
    def command(self) -> list[str]:
        """How the server is started."""

    @abstractmethod
    def answers(self) -> None:
        """Raises while the server is not there."""

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, user=self.user()
        )
        until(self.answers, f"{type(self).__name__} did not start on port {self.port}.")

    def user(self) -> str | None:
        return None

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(SECONDS)
            self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def until(works: Callable[[], object], message: str, seconds: float = SECONDS) -> None:
    """Wait until `works` raises nothing."""
    end = time.monotonic() + seconds
    while True:
        try:
            works()
        except Exception as error:
            if time.monotonic() > end:
                raise TimeoutError(message) from error
            time.sleep(0.02)
        else:
            return


@contextmanager
def process(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m …`, of a program with Django settings of its own; asked to end with the block."""
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    child = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env={**inherited, **environment})
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(SECONDS)


class RedisServer(Server):
    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]

    def answers(self) -> None:
        redis.Redis.from_url(self.address).ping()


class PostgresServer(Server):
    """A cluster of its own: nothing is written to disk for good. PostgreSQL refuses to be root."""

    def __init__(self) -> None:
        super().__init__()
        user = self.user()
        if user:
            shutil.chown(self.folder, user)
        data = self.folder / "data"
        command = [_program("initdb"), "--pgdata", str(data), "--auth", "trust", "--username", "tests", "--no-sync"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, user=user)

    @property
    def address(self) -> str:
        return f"postgresql://tests@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "fsync": "off", "unix_socket_directories": ""}
        options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
        return [_program("postgres"), "-D", str(self.folder / "data"), *options]

    def user(self) -> str | None:
        return "postgres" if os.geteuid() == 0 else None

    def answers(self) -> None:
        psycopg.connect(self.address, connect_timeout=2).close()

    def kill(self) -> None:
        """End all of its processes at once: the first one alone would leave its children."""
        immediately = signal.SIGQUIT
        self.stop(immediately)


def _program(name: str) -> str:
    """Debian keeps the server's programs out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    program = shutil.which(name) or (str(found[-1]) if found else None)
    assert program is not None, f"{name} is not installed: scripts/system_packages.sh installs it"
    return program
