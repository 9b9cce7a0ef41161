"""The services behind the demo, each a context manager that starts one and ends what it started.

    with backing.services():            # all of them; the views find them through the environment
        ...

    with backing.s3() as s3:            # or one at a time, as tests do
        ...
        assert s3.calls["list_buckets"] == 1

S3 is moto's server, reached through AWS_ENDPOINT_URL. The REST APIs are those of `rest.py`, reached
through DEMO_API_URL (see `hosts.py`). Redis must be on localhost:6379, because the leaderboard's
code names that port. The demo uses the first of these: a server that listens there, the server that
REDIS_URL names (forwarded to the port), a `redis-server` that it starts, or fakeredis.
"""

import contextlib
import os
import random
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import redis
from fakeredis import TcpFakeServer
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from examples.services.rest import RestServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BUCKETS = {
    "my-bucket": {
        "notes.txt": 812,
        "invoices/january.pdf": 48_213,
        "invoices/february.pdf": 51_020,
        "invoices/march.pdf": 47_772,
        "team.jpg": 183_400,
        "todo.md": 1_204,
    },
    "holiday-photos": {f"2024/beach-{number:02}.jpg": 90_000 + number * 3_517 for number in range(1, 15)},
    "backups": {"monday.tar.gz": 310_000, "thursday.tar.gz": 322_512},
    "empty-bucket": {},
}
PLAYERS = [
    "Ada",
    "Blaise",
    "Chen",
    "Dorothy",
    "Edsger",
    "Fatima",
    "Grace",
    "Hedy",
    "Isaac",
    "Jean",
    "Katherine",
    "Linus",
]
REDIS_PORT = 6379


@contextmanager
def services(play: bool = True) -> Iterator[list[str]]:
    """All services, and the environment by which views find them; yields a line about each."""
    with ExitStack() as stack:
        bucket_store = stack.enter_context(s3())
        stack.enter_context(environment(bucket_store.environment))
        api = stack.enter_context(rest())
        stack.enter_context(environment({"DEMO_API_URL": api.url}))
        board = stack.enter_context(leaderboard(play))
        yield [f"S3: moto at {bucket_store.url}", f"REST APIs: {api.url}", f"Redis: {board}"]


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# ---- S3 ------------------------------------------------------------------------------------------


@dataclass
class S3:
    """A running S3 server. `calls` counts requests since it was filled, by boto3's method names."""

    url: str
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def environment(self) -> dict[str, str]:
        """What makes `boto3.client("s3")` talk with this server and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }


@contextmanager
def s3(port: int = 0) -> Iterator[S3]:
    """Moto's S3 on `port` (0: a free one), filled with BUCKETS."""
    application = DomainDispatcherApplication(create_backend_app)
    calls: Counter[str] = Counter()

    def counting(environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        calls[operation(environ)] += 1
        return application(environ, start_response)

    server = make_server("127.0.0.1", port, counting, threaded=True, request_handler=QuietHandler)
    with running(server.serve_forever, server.shutdown, server.server_close):
        store = S3(f"http://127.0.0.1:{server.port}", calls)
        with environment(store.environment):
            fill(boto3.client("s3"))
        calls.clear()
        yield store


class QuietHandler(MotoRequestHandler):
    """Moto's own handler without a log line per request: the terminal belongs to the demo."""

    def log_request(self, *args: Any) -> None:
        pass


def operation(environ: "WSGIEnvironment") -> str:
    """The boto3 method behind a request, such as `list_buckets`, from its verb and path."""
    bucket, _, key = environ["PATH_INFO"].strip("/").partition("/")
    verb = {"GET": "get", "PUT": "put", "DELETE": "delete", "HEAD": "head"}.get(environ["REQUEST_METHOD"], "post")
    if verb == "get" and not bucket:
        return "list_buckets"
    if verb == "get" and not key:
        return "list_objects_v2" if "list-type=2" in environ["QUERY_STRING"] else "list_objects"
    return f"{verb}_object" if key else f"{verb}_bucket"


def fill(client: Any) -> None:
    """Create the demo's buckets and objects.

    Moto keeps its state per process, so what an earlier server has left is deleted first.
    """
    for bucket in client.list_buckets()["Buckets"]:
        for entry in client.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            client.delete_object(Bucket=bucket["Name"], Key=entry["Key"])
        client.delete_bucket(Bucket=bucket["Name"])
    for name, objects in BUCKETS.items():
        client.create_bucket(Bucket=name)
        for key, size in objects.items():
            client.put_object(Bucket=name, Key=key, Body=b"." * size)


# ---- REST ----------------------------------------------------------------------------------------


@dataclass
class Rest:
    """The running REST server. `requests` counts by host and path."""

    url: str
    requests: Counter[tuple[str, str]]


@contextmanager
def rest(port: int = 0, delay: float = 0.15) -> Iterator[Rest]:
    """The product and weather APIs on `port` (0: a free one); each answer takes `delay` seconds."""
    server = RestServer(port, delay)
    with running(server.serve_forever, server.shutdown, server.server_close):
        yield Rest(f"http://127.0.0.1:{server.server_address[1]}", server.requests)


# ---- Redis ---------------------------------------------------------------------------------------


@contextmanager
def leaderboard(play: bool = True) -> Iterator[str]:
    """A Redis on localhost:6379 with a leaderboard; yields which Redis it is.

    If `play`, a game changes the scores all the time. A leaderboard that exists is not changed.
    """
    with ExitStack() as stack:
        name = stack.enter_context(redis_server())
        client = stack.enter_context(redis.Redis(host="localhost", port=REDIS_PORT, db=0))
        if not client.exists("leaderboard"):
            client.zadd("leaderboard", {player: 1000 - 37 * place for place, player in enumerate(PLAYERS)})
            stack.callback(forget, client)
            if play:
                stack.enter_context(game(client))
        yield name


class FakeRedis(TcpFakeServer):
    """Takes its port again right after an earlier run."""

    allow_reuse_address = True


@contextmanager
def redis_server() -> Iterator[str]:
    """Whatever can serve localhost:6379.

    A server that listens already, the one that REDIS_URL names, `redis-server`, or fakeredis.
    """
    if answers():
        yield "the server that listens on localhost:6379 already"
    elif url := os.environ.get("REDIS_URL"):
        target = urlsplit(url)
        with forwarding((target.hostname or "localhost", target.port or REDIS_PORT)):
            yield f"{url}, reached through localhost:6379"
    elif program := shutil.which("redis-server"):
        with redis_process(program):
            yield "redis-server on localhost:6379"
    else:
        server = FakeRedis(("127.0.0.1", REDIS_PORT), server_type="redis")
        with running(server.serve_forever, server.shutdown, server.server_close):
            yield "fakeredis on localhost:6379 (redis-server is not installed)"


@contextmanager
def forwarding(target: tuple[str, int]) -> Iterator[None]:
    """Forward connections from localhost:6379, the port in the leaderboard's code, to `target`."""

    class Carrier(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(target) as other:
                threading.Thread(target=carry, args=(other, self.request), daemon=True).start()
                carry(self.request, other)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    server = Server(("127.0.0.1", REDIS_PORT), Carrier)
    with running(server.serve_forever, server.shutdown, server.server_close):
        yield


def carry(source: socket.socket, sink: socket.socket) -> None:
    """Copy bytes until one end closes."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def redis_process(program: str) -> Iterator[None]:
    """`redis-server` as a child process that writes nothing to disk and ends with the block.

    It has a process group of its own, so that Ctrl-C in the terminal reaches only the demo, which
    ends Redis after its pages.
    """
    listen = ["--port", str(REDIS_PORT), "--bind", "127.0.0.1", "-::1"]
    with tempfile.TemporaryDirectory() as folder:
        command = [program, *listen, "--save", "", "--appendonly", "no", "--dir", folder]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, process_group=0)
        try:
            until(answers, "redis-server did not start on localhost:6379.", lambda: child.poll() is not None)
            yield
        finally:
            child.terminate()
            child.wait(timeout=10)


def answers() -> bool:
    """Does a Redis answer on localhost:6379? OSError with advice when somebody else does."""
    try:
        connection = socket.create_connection(("localhost", REDIS_PORT), timeout=2)
    except OSError:
        return False
    with connection:
        connection.sendall(b"*1\r\n$4\r\nPING\r\n")
        if not connection.recv(16).startswith(b"+PONG"):
            raise OSError(
                f"Port {REDIS_PORT} is taken, but not by a Redis without password. The leaderboard needs one."
            )
    return True


def forget(client: "redis.Redis") -> None:
    """Remove the leaderboard from a server that goes on without us."""
    try:
        client.delete("leaderboard")
    except redis.ConnectionError:  # It has gone already.
        pass


@contextmanager
def game(client: "redis.Redis") -> Iterator[None]:
    """Players who score all the time, so that a refresh has something to show."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.7):
            try:
                client.zincrby("leaderboard", random.randrange(5, 60), random.choice(PLAYERS))
            except redis.ConnectionError:  # A server that was not ours has gone; the game goes with it.
                return

    with running(run, over.set):
        yield


# ---- threads -------------------------------------------------------------------------------------


@contextmanager
def running(work: Callable[[], object], *end: Callable[[], object]) -> Iterator[None]:
    """Run `work` in a thread; afterwards call `end` and wait for it."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        for action in end:
            action()
        thread.join(timeout=5)


def until(condition: Callable[[], bool], message: str, hopeless: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for `condition`; OSError with `message` after `seconds` or when it is `hopeless`."""
    end = time.monotonic() + seconds
    while not condition():
        if hopeless() or time.monotonic() > end:
            raise OSError(message)
        time.sleep(0.05)
