"""The pages on services: their code runs, against real servers where there are some."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest
import redis
from celery import Celery
from django.apps import apps
from django.test import override_settings

from djust.checks.sources import Project
from djust.checks.templates import check_templates
from djust.checks.views import check_view
from djust.loop import page_loop
from djust.services import close_process_services
from djust.testing import LiveClient
from examples.services import backing
from tests.engines import PostgresServer, RedisServer

DOCS = Path(__file__).parent.parent / "docs"
PAGES = "\n".join((DOCS / f"{name}.md").read_text() for name in ("services", "external-services", "resilience"))
MODULE = "tests.myapp.external_services"


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The code of the pages as a module: imported once, because it defines a model and a task."""
    file = tmp_path_factory.mktemp("guide") / "external_services.py"
    file.write_text("\n\n".join(re.findall(r"```python\n(.*?)```", PAGES, flags=re.DOTALL)))
    spec = importlib.util.spec_from_file_location(MODULE, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[MODULE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    asyncio.run_coroutine_threadsafe(close_process_services(), page_loop.loop).result(10)
    del sys.modules[MODULE], apps.all_models["myapp"]["catalogproduct"]
    apps.clear_cache()


@pytest.fixture(scope="module")
def s3() -> Iterator[backing.S3]:
    with backing.s3() as s3, backing.environment(s3.environment):
        yield s3


class Web:
    """The hosts of the page; what they were asked, and whether they can be reached."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.is_down = False

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked[request.url.host] += 1
        if self.is_down:
            raise httpx.ConnectError("refused", request=request)
        if request.url.host == "api.example.com":
            lamp = {"id": 4, "name": "Lamp", "price": "19.90"}
            return httpx.Response(200, json={"results": [lamp] if request.url.params["q"] in "lamp" else []})
        if request.url.host == "rates.example.com":
            return httpx.Response(200, json={"rate": "1.10"})
        assert request.url.host == "api.weather.example.com"
        return httpx.Response(200, json={"sky": f"sunny in {request.url.params['city']}"})

    async def answer_later(self, request: httpx.Request) -> httpx.Response:
        return self.answer(request)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    web = Web()
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", web.answer)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", web.answer_later)
    return web


def test_the_broken_view_is_warned_about_and_refused_in_strict_mode(
    guide: Any, s3: backing.S3, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="djust.serialization"):
        assert "my-bucket" in LiveClient(guide.BrokenView).html
    assert "BrokenView.client" in caplog.text
    with (
        override_settings(LIVEVIEW_CONFIG={"strict_serialization": True}),
        pytest.raises(TypeError, match=r"BrokenView\.client"),
    ):
        LiveClient(guide.BrokenView)


def test_the_checks_find_the_broken_view_and_nothing_else(guide: Any) -> None:
    project = Project(owns=lambda name: name == MODULE)
    assert guide.StockView in project.views
    found = [finding for view in project.views for finding in check_view(view, project)]
    found += check_templates(project)
    assert [(finding.id, finding.msg.partition(" ")[0]) for finding in found] == [("djust.V006", "BrokenView.client")]


def test_a_helper_method(guide: Any, s3: backing.S3) -> None:
    page = LiveClient(guide.FilesView)
    assert "notes.txt, 812\xa0bytes" in page.html
    page.click("delete", key="notes.txt")
    assert "notes.txt" not in page.html


def test_a_declared_client_is_one_for_the_process(guide: Any, s3: backing.S3) -> None:
    page = LiveClient(guide.BucketsView)
    assert "my-bucket, holiday-photos" in page.html
    client = page.view.s3
    assert LiveClient(guide.BucketsView).view.s3 is client


def test_a_client_for_one_call(guide: Any) -> None:
    page = LiveClient(guide.ConvertView)
    page.event("convert", text="pear")
    assert page.html == "4"


def test_models_without_a_table_survive_a_restart(guide: Any, web: Web) -> None:
    page = LiveClient(guide.CatalogView)
    page.input("search", value="la")
    assert "<li>Lamp for 19.90</li>" in page.html
    page.restart()
    assert "<li>Lamp for 19.90</li>" in page.html
    page.input("search", value="x")
    assert "Nothing found" in page.html


def test_handed_in_from_the_url_configuration(guide: Any) -> None:
    with override_settings(ROOT_URLCONF=guide):
        page = LiveClient("/dashboard/")
    page.click("refresh")
    assert page.state["values"] == [12, 15, 11]


def test_coroutines(guide: Any, web: Web) -> None:
    page = LiveClient(guide.CitiesView)
    page.click("look", "Lima", "Oslo")
    assert page.state["skies"] == {"Lima": "sunny in Lima", "Oslo": "sunny in Oslo"}
    page.click("look", "Rome")
    assert page.state["skies"] == {"Rome": "sunny in Rome"}


def test_slow_services(guide: Any, web: Web) -> None:
    page = LiveClient(guide.ForecastView)
    assert "One moment" in page.html
    page.settle()
    assert "<p>sunny in London</p>" in page.html
    page.change("choose", value="Lima")
    page.change("choose", value="London")
    page.settle()
    assert "<p>sunny in London</p>" in page.html


def test_services_that_fail(guide: Any, web: Web) -> None:
    page, other = LiveClient(guide.RateView), LiveClient(guide.RateView)
    page.click("refresh")
    assert page.state["rate"] == "1.10"
    web.is_down = True
    page.click("refresh")
    assert "may be old" not in page.html
    page.click("refresh")
    assert web.asked["rates.example.com"] == 1 + 2
    assert ["may be old" in each.html for each in (page, other)] == [True, True]
    page.click("refresh")
    assert web.asked["rates.example.com"] == 3
    guide.rates_breaker.close()
    web.is_down = False
    page.click("refresh")
    assert ["may be old" in each.html for each in (page, other)] == [False, False]


@pytest.mark.services
def test_redis(guide: Any, settings: Any) -> None:
    with RedisServer() as server:
        settings.REDIS_URL = server.address
        redis.Redis.from_url(server.address).zadd("board", {"Ada": 5, "Zoë": 5})
        page, other = LiveClient(guide.LeaderboardView), LiveClient(guide.LeaderboardView)
        assert page.state["scores"] == [("Zoë", 5), ("Ada", 5)]
        page.click("cheer", player="Ada")
        assert [each.state["scores"] for each in (page, other)] == [[("Ada", 6), ("Zoë", 5)]] * 2


@pytest.mark.services
def test_postgresql(guide: Any, settings: Any) -> None:
    with PostgresServer() as server:
        settings.WAREHOUSE_URL = server.address
        with psycopg.connect(server.address) as connection:
            connection.execute("create table stock as values ('a', 1), ('b', 2), ('a', 3)")
            connection.execute("alter table stock rename column1 to sku")
            connection.execute("alter table stock rename column2 to amount")
        assert LiveClient(guide.StockView).html == "a: 4 b: 2 "


def test_celery(guide: Any) -> None:
    app = Celery("guide", set_as_current=True)
    app.conf.task_always_eager = True
    page = LiveClient(guide.ReportView, user=SimpleNamespace(pk=7, is_authenticated=True))
    page.click("make", 2030)
    assert page.state == {"percent": 100, "file": "/reports/2030.pdf"}


@pytest.mark.parametrize("name", ["test_dashboard", "test_files", "test_buckets", "test_forecast_that_cannot_be_had"])
def test_the_tests_of_the_guide_pass(guide: Any, name: str) -> None:
    getattr(guide, name)()


def test_every_test_of_the_guide_is_run() -> None:
    assert len(re.findall(r"^def test_", PAGES, flags=re.MULTILINE)) == 4
