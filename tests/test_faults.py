"""Services that fail or hang are felt by their caller alone, and a page outlives them.

Redis and PostgreSQL that are killed and started again are in `test_pubsub`, servers that are killed
in `test_several_workers` and `browser/test_survival`.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.config import Config
from django.http import HttpRequest
from django.urls import path

from djust import LiveView, event_handler, state
from tests.asgi_client import Browser

pytestmark = pytest.mark.urls(__name__)

READ_SECONDS = 1.0
LISTING = (
    b'<?xml version="1.0"?><ListAllMyBucketsResult><Owner><ID>1</ID></Owner><Buckets><Bucket><Name>photos</Name>'
    b"<CreationDate>2030-01-01T00:00:00.000Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>"
)


class FakeS3(BaseHTTPRequestHandler):
    """Answers, fails, or hangs until it may go on."""

    mood = "well"
    goes_on = threading.Event()

    def do_GET(self) -> None:
        if self.mood == "hangs":
            self.goes_on.wait(10)
        status = 500 if self.mood == "fails" else 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(LISTING)))
        self.end_headers()
        self.wfile.write(LISTING)

    def log_message(self, format: str, *args: object) -> None: ...


endpoint = ""


class Buckets(LiveView):
    template = "<body><p>{{ buckets|join:' ' }}</p><b>{{ clicks }}</b></body>"
    buckets: list[str] = state(default=[])
    clicks = state(default=0)

    def mount(self, request: HttpRequest) -> None:
        settings = Config(connect_timeout=READ_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "eu-central-1"}
        self._s3 = boto3.client("s3", endpoint_url=endpoint, config=settings, **keys)

    @event_handler
    def reload(self) -> None:
        self.buckets = [bucket["Name"] for bucket in self._s3.list_buckets()["Buckets"]]

    @event_handler
    async def click(self) -> None:
        self.clicks += 1


urlpatterns = [path("", Buckets.as_view())]


@contextmanager
def s3() -> Iterator[None]:
    global endpoint
    FakeS3.mood = "well"
    FakeS3.goes_on.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeS3) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        yield
        FakeS3.goes_on.set()
        server.shutdown()


async def test_a_service_that_fails_costs_one_event_and_the_next_one_works() -> None:
    with s3():
        async with Browser() as browser:
            page = await browser.open("/")
            FakeS3.mood = "fails"
            failed = await page.event("reload")
            assert (failed[0], failed[2], "error" in failed[4]) == (1, 0, True)
            FakeS3.mood = "well"
            assert (await page.event("reload"))[:3] == [2, 1, [0, "photos"]]


async def test_a_service_that_hangs_is_felt_by_its_caller_alone() -> None:
    with s3():
        async with Browser() as browser:
            page, other = await browser.open("/"), await browser.another().open("/")
            FakeS3.mood = "hangs"
            start = time.monotonic()
            waiting = asyncio.create_task(page.event("reload"))
            times = []
            for _ in range(50):
                before = time.monotonic()
                await other.event("click")
                times.append(time.monotonic() - before)
            assert not waiting.done()
            assert max(times) < READ_SECONDS / 2
            failed = await waiting
            assert "error" in failed[4]
            assert time.monotonic() - start >= READ_SECONDS
            FakeS3.mood = "well"
            assert (await page.event("reload"))[:3] == [2, 1, [0, "photos"]]


async def test_a_port_that_is_closed_is_an_error_and_found_open_again() -> None:
    global endpoint
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
        async with Browser() as browser:
            page = await browser.open("/")
            assert "error" in (await page.event("reload"))[4]
            assert (await page.event("click"))[:2] == [2, 1]
