"""Uvicorn in a thread of this process, for benchmarks that look at both sides."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
