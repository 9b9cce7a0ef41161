"""Uvicorn for benchmarks: in a thread of this process, or in a process of its own."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import uvicorn


@contextmanager
def serving(application: Any) -> Iterator[int]:
    """While it is entered, the ASGI `application` is served on 127.0.0.1; yields the port."""
    running = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error", access_log=False))
    sock = running.config.bind_socket()
    thread = threading.Thread(target=running.run, args=([sock],), daemon=True)
    thread.start()
    try:
        while not running.started:
            time.sleep(0.01)
        yield sock.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(timeout=10)
        sock.close()


class Apart(NamedTuple):
    """A server process."""

    port: int
    pid: int


@contextmanager
def serving_apart(module: str) -> Iterator[Apart]:
    """While it is entered, a process runs `python -m module serve`, which calls `serve`."""
    with _serving([sys.executable, "-m", module, "serve"]) as apart:
        yield apart


@contextmanager
def serving_peer(python: str, script: str) -> Iterator[Apart]:
    """The same for a server of somebody else: `script`, run by an interpreter that has what it
    needs.
    """
    with _serving([python, script]) as apart:
        yield apart


@contextmanager
def _serving(command: list[str]) -> Iterator[Apart]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Apart(int(process.stdout.readline()), process.pid)
        finally:
            # Its end is that of its standard input.
            process.communicate("", timeout=60)


def serve(application: Any) -> None:
    """Serve until standard input ends; prints the port."""
    with serving(application) as port:
        print(port, flush=True)
        sys.stdin.read()
