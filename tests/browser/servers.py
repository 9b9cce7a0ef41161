"""The demo as its users run it: its services in this process, its pages in a uvicorn process of
their own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from examples.services import backing

ROOT = Path(__file__).parents[2]


@dataclass
class AppServer:
    """A uvicorn process on a fixed port, which can be stopped and started again."""

    application: str
    port: int
    # In place of uvicorn: `manage.py runserver` with these settings.
    runserver: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            self.application,
            "--port",
            str(self.port),
            "--log-level",
            "warning",
        ]
        if self.runserver:
            settings = ["--settings", self.runserver, "--noreload"]
            command = [sys.executable, "-m", "django", "runserver", f"127.0.0.1:{self.port}", *settings]
        # The application has settings of its own.
        environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        if not self.runserver:
            command += ["--timeout-graceful-shutdown", "1"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(self.url + "/", timeout=5).close()
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError(f"{self.application} did not answer on port {self.port} within 30 s.")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(10)
            self.process = None

    def kill(self) -> None:
        """As when a machine fails: the process has no time to write anything."""
        self.stop(signal.SIGKILL)


@dataclass
class Demo:
    server: AppServer
    s3: backing.S3
    rest: backing.Rest
    # Browsers may read event streams.
    streams: bool = True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_demo(transport: str = "socket") -> Iterator[Demo]:
    """The services and the pages of `examples/services`, with sockets, without them, or on
    `manage.py runserver`.
    """
    with ExitStack() as stack:
        s3 = stack.enter_context(backing.s3())
        stack.enter_context(backing.environment(s3.environment))
        rest = stack.enter_context(backing.rest(delay=0.05))
        stack.enter_context(backing.environment({"DEMO_API_URL": rest.url}))
        stack.enter_context(backing.leaderboard(play=False))
        if transport != "socket":
            stack.enter_context(backing.environment({"DEMO_WITHOUT_SOCKETS": "1"}))
        settings = "examples.services.settings" if transport == "runserver" else ""
        server = AppServer("examples.services.asgi:application", free_port(), settings)
        stack.callback(server.stop)
        server.start()
        yield Demo(server, s3, rest)
