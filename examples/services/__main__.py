"""Run the demo: start the services, serve the pages, end everything on Ctrl-C.

python -m examples.services [--port 8000]      0 stands for a free port
"""

import argparse
import signal
import socket
import sys
from types import FrameType
from typing import NoReturn

import uvicorn

from examples.services import backing


class Server(uvicorn.Server):
    """Says where it is as soon as it can be reached."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            print(f"\n  djust demo: http://127.0.0.1:{sockets[0].getsockname()[1]}/   (Ctrl-C ends it)\n", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.services", description="The djust demo")
    parser.add_argument("--port", type=int, default=8000, help="where to listen on 127.0.0.1; 0: any free port")
    port = parser.parse_args().port

    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, end)
    try:
        with listen(port) as address, backing.services() as lines:
            print(*(f"  {line}" for line in lines), sep="\n", flush=True)
            serve(address)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    print("The demo has ended.", flush=True)
    return 0


def listen(port: int) -> socket.socket:
    """A socket on 127.0.0.1; OSError with advice when the port is taken."""
    address = socket.socket()
    address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        address.bind(("127.0.0.1", port))
    except OSError as error:
        address.close()
        raise OSError(
            f"Port {port} is taken ({error.strerror}). Choose another one: make demo ARGS='--port 8001'"
        ) from None
    return address


def serve(address: socket.socket) -> None:
    """Serve the pages until a signal comes; open pages get two seconds to say goodbye."""
    config = uvicorn.Config(
        "examples.services.asgi:application", log_level="warning", access_log=False, timeout_graceful_shutdown=2
    )
    Server(config).run([address])


def end(signum: int, frame: FrameType | None) -> NoReturn:
    """Leave through the context managers, so that all that was started is ended."""
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
