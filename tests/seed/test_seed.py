"""Every code block of the guide that defines a view runs unchanged: mounted, rendered, every
handler driven.

S3 is moto's server, Redis a real one on localhost:6379 (fakeredis's server where there is none),
and httpx is answered for the two hosts of the guide.
"""

from __future__ import annotations

import importlib
import json
import logging
import re
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import redis
from django.core.checks import CheckMessage
from django.test import override_settings
from django.urls import clear_url_caches, path, set_urlconf

from djust import LiveView, state
from djust.checks.sources import Project
from djust.checks.templates import check_templates
from djust.checks.views import check_view
from djust.decorators import event_handler
from djust.testing import LiveClient
from examples.services import backing
from tests.asgi_client import Browser
from tests.seed.blocks import GUIDE, blocks

BLOCKS = blocks(GUIDE.read_text())
VIEWS = [
    "S3BrowserView",
    "S3BrowserView",
    "ProductCatalogView",
    "DashboardView",
    "S3View",
    "WeatherView",
    "LeaderboardView",
]

TEMPLATES = {
    "s3_browser.html": "{% for b in buckets %}<b>{{ b }}</b>{% endfor %}<i>{{ selected_bucket }}</i>"
    "<ul>{% for o in objects %}<li>{{ o.key }} {{ o.size }}</li>{% endfor %}</ul>",
    "catalog.html": "<i>{{ search_query }}</i><ul>{% for p in products %}<li>{{ p.pk }} {{ p.name }} {{ p.price }} "
    "{{ p.sku }} {{ p.in_stock }}</li>{% endfor %}</ul>",
    "dashboard.html": "<ul>{% for m in metrics %}<li>{{ m }}</li>{% endfor %}</ul>",
    "s3.html": "<ul>{% for file in files %}<li>{{ file }}</li>{% endfor %}</ul>",
    "weather.html": "<h1>{{ city }}</h1><p>{{ forecast.sky }}</p>",
    "leaderboard.html": "<ol>{% for s in scores %}<li>{{ s.name }} {{ s.score }}</li>{% endfor %}</ol>",
}


def block_of(name: str, *, wrong: bool = False) -> str:
    """The block that defines class `name`."""
    return next(b for b in BLOCKS if f"class {name}(" in b and b.startswith("# WRONG") == wrong)


def run(name: str, **names: Any) -> Any:
    """Execute the block that defines `name` in a module that has `names`; returns the class."""
    module = types.ModuleType("tests.myapp.views")
    vars(module).update(names)
    exec(compile(block_of(name), f"<guide: {name}>", "exec"), vars(module))
    return getattr(module, name)


@pytest.fixture(autouse=True)
def site() -> Iterator[Any]:
    """Templates for the views, and a URL configuration that a test fills."""
    site = types.ModuleType("tests.seed_urls")
    vars(site)["urlpatterns"] = []
    sys.modules[site.__name__] = site
    loaders = [("django.template.loaders.locmem.Loader", TEMPLATES)]
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": loaders}}
    with override_settings(ROOT_URLCONF=site.__name__, TEMPLATES=[engine]):
        clear_url_caches()
        yield site
    clear_url_caches()
    set_urlconf(None)
    del sys.modules[site.__name__]


@pytest.fixture(scope="module")
def s3() -> Iterator[backing.S3]:
    with backing.s3() as s3, backing.environment(s3.environment):
        yield s3


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """The two hosts of the guide; what they were asked."""
    requests: list[httpx.Request] = []

    def answer(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if request.url.host == "api.example.com":
            lamp = {"id": 4, "name": "Lamp", "price": "19.90", "sku": "L-4", "available": True}
            table = {"id": 7, "name": "Table <big>", "price": "80.00", "sku": "T-7", "available": False}
            found = [p for p in (lamp, table) if request.url.params["q"].lower() in p["name"].lower()]  # type: ignore[attr-defined]
            return httpx.Response(200, json={"results": found})
        assert request.url.host == "api.weather.example.com"
        return httpx.Response(200, json={"sky": f"sunny in {request.url.params['city']}"})

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    return requests


def test_all_view_blocks_of_the_guide_are_found() -> None:
    found = [name for block in BLOCKS for name in VIEWS if f"class {name}(LiveView)" in block]
    assert sorted(set(found)) == sorted(set(VIEWS))
    assert sum("(LiveView):" in block for block in BLOCKS) == len(VIEWS)


def test_indentation_is_all_that_is_added_to_the_lines_of_the_guide() -> None:
    lines = [line.strip() for line in GUIDE.read_text().splitlines()]
    for block in BLOCKS:
        code = [line.strip() for line in block.splitlines()]
        assert any(lines[start : start + len(code)] == code for start in range(len(lines)))


async def test_the_s3_browser(site: Any, s3: backing.S3) -> None:
    site.urlpatterns.append(path("s3/", run("S3BrowserView").as_view()))
    s3.calls.clear()
    async with Browser() as browser:
        page = await browser.open("/s3/")
        for bucket in backing.BUCKETS:
            assert f">{bucket}</b>" in page.response.text
        answer = json.dumps(await page.event("select_bucket", {"bucket_name": "my-bucket"}))
        for key in backing.BUCKETS["my-bucket"]:
            assert key in answer
        # The list is empty, and the name another one.
        answer = json.dumps((await page.event("select_bucket", {"bucket_name": "empty-bucket"}))[2])
        assert "empty-bucket" in answer
    assert s3.calls["list_buckets"] == 1
    assert s3.calls["list_objects_v2"] == 2


async def test_the_product_catalogue(site: Any, api: list[httpx.Request]) -> None:
    models = types.ModuleType("tests.myapp.models")
    exec(compile(block_of_models(), "<guide: models.py>", "exec"), vars(models))
    view = run("ProductCatalogView", ExternalProduct=vars(models)["ExternalProduct"])
    site.urlpatterns.append(path("catalog/", view.as_view()))
    async with Browser() as browser:
        page = await browser.open("/catalog/")
        assert "4 Lamp 19.90 L-4 True" in without_marks(page.response.text)
        assert "7 Table &lt;big&gt; 80.00 T-7 False" in without_marks(page.response.text)
        assert (await page.event("search", {"value": "lamp"}))[2] == [0, "lamp", 1, [0, [1, 1]]]
        answer = await page.event("search", {"value": "big"})
        assert "7 Table <big> 80.00 T-7 False" in json.dumps(answer[2])
    assert [request.url.params["q"] for request in api] == ["", "lamp", "big"]


def block_of_models() -> str:
    return next(block for block in BLOCKS if block.startswith("# models.py"))


class MetricsClient:
    def __init__(self) -> None:
        self.rounds = 0

    def get_recent(self, limit: int) -> list[str]:
        self.rounds += 1
        return [f"{limit} in round {self.rounds}"]


async def test_the_dashboard_with_its_own_url_configuration(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clients: list[MetricsClient] = []

    def get_metrics_client() -> MetricsClient:
        clients.append(MetricsClient())
        return clients[-1]

    for name, content in {
        "myapp": {},
        "myapp.views": {"DashboardView": run("DashboardView")},
        "myapp.services": {"get_metrics_client": get_metrics_client},
    }.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    urls = next(block for block in BLOCKS if block.startswith("# urls.py"))
    exec(compile(urls, "<guide: urls.py>", "exec"), vars(site))
    async with Browser() as browser:
        page = await browser.open("/dashboard/")
        assert "20 in round 1" in page.response.text
        assert "20 in round 2" in json.dumps((await page.event("refresh_metrics"))[2])
        assert len(clients) == 1
        other = await browser.open("/dashboard/")
        assert "20 in round 1" in other.response.text
    assert len(clients) == 2


async def test_the_dashboard_without_a_client(site: Any) -> None:
    site.urlpatterns.append(path("dashboard/", run("DashboardView").as_view()))
    async with Browser() as browser:
        page = await browser.open("/dashboard/")
        assert await page.event("refresh_metrics") == [1, 0]


async def test_deleting_a_file(site: Any, s3: backing.S3) -> None:
    site.urlpatterns.append(path("files/", run("S3View", **guide_imports()).as_view()))
    async with Browser() as browser:
        page = await browser.open("/files/")
        assert "notes.txt" in page.response.text
        assert len((await page.event("delete_file", {"key": "notes.txt"}))[2]) == 2
        again = await browser.get("/files/")
        assert "notes.txt" not in again.text
    assert s3.calls["delete_object"] == 1


async def test_the_weather(site: Any, api: list[httpx.Request]) -> None:
    site.urlpatterns.append(path("weather/", run("WeatherView", **guide_imports()).as_view()))
    async with Browser() as browser:
        page = await browser.open("/weather/")
        assert "<h1>London</h1><p>sunny in London</p>" in without_marks(page.response.text)
        answer = await page.event("change_city", {"value": "Rome"})
        assert answer[2] == [0, "Rome", 1, "sunny in Rome"]


async def test_the_leaderboard(site: Any) -> None:
    with backing.leaderboard(play=False):
        server = redis.Redis(host="localhost", port=6379, db=0)
        before = server.zrange("leaderboard", 0, -1, withscores=True)
        try:
            server.zadd("leaderboard", {"Zoë": 10**9})
            site.urlpatterns.append(path("leaderboard/", run("LeaderboardView", **guide_imports()).as_view()))
            async with Browser() as browser:
                page = await browser.open("/leaderboard/")
                assert "Zoë 1000000000" in without_marks(page.response.text)
                assert await page.event("refresh") == [1, 0]
                server.zadd("leaderboard", {"Zoë": 10**9 + 1})
                assert "1000000001" in json.dumps((await page.event("refresh"))[2])
        finally:
            server.zrem("leaderboard", "Zoë")
        assert server.zrange("leaderboard", 0, -1, withscores=True) == before


def guide_imports() -> dict[str, Any]:
    """What the shorter examples of the guide leave to the first one."""
    return {"LiveView": LiveView, "state": state, "event_handler": event_handler, "boto3": boto3}


def without_marks(html: str) -> str:
    for mark in ("<!--[-->", "<!--]-->", "<!--,-->", " dj"):
        html = html.replace(mark, "")
    return html


# The block marked WRONG

TEXT = (
    "LiveView state contains non-serializable value: S3 (from botocore.client). "
    "This will be converted to a string, which may cause AttributeError on deserialization. "
    "Consider using self._<attr> for private state, or re-initialize in mount()/event handlers."
)


@pytest.fixture
def wrong_view(s3: backing.S3) -> type[LiveView]:
    module = types.ModuleType("tests.myapp.views")
    vars(module).update(guide_imports())
    exec(compile(block_of("S3BrowserView", wrong=True), "<guide: WRONG>", "exec"), vars(module))
    view: type[LiveView] = vars(module)["S3BrowserView"]
    return view


async def test_the_wrong_view_is_warned_about_once(
    site: Any, wrong_view: type[LiveView], caplog: pytest.LogCaptureFixture
) -> None:
    site.urlpatterns.append(path("wrong/", wrong_view.as_view()))
    with caplog.at_level(logging.WARNING, logger="djust.serialization"):
        async with Browser() as browser:
            assert (await browser.get("/wrong/")).status == 200
            assert (await browser.get("/wrong/")).status == 200
    records = [record for record in caplog.records if record.name == "djust.serialization"]
    assert len(records) == 1
    assert records[0].levelname == "WARNING"
    assert records[0].getMessage().startswith(TEXT)
    assert "S3BrowserView.s3_client" in records[0].getMessage()


def test_the_restored_wrong_view_has_a_text_in_place_of_its_client(wrong_view: type[LiveView]) -> None:
    page = LiveClient(wrong_view)
    assert page.state["s3_client"].list_buckets()["Buckets"]
    page.restart()
    client = page.state["s3_client"]
    assert re.fullmatch(r"<botocore\.client\.S3 object at 0x[0-9a-f]+>", client)
    with pytest.raises(AttributeError):
        client.list_buckets()


async def test_the_wrong_view_is_an_error_in_strict_mode(
    site: Any, wrong_view: type[LiveView], caplog: pytest.LogCaptureFixture
) -> None:
    site.urlpatterns.append(path("wrong/", wrong_view.as_view()))
    settings_block = next(block for block in BLOCKS if block.startswith("# settings.py"))
    settings: dict[str, Any] = {}
    exec(compile(settings_block, "<guide: settings.py>", "exec"), settings)
    with override_settings(LIVEVIEW_CONFIG=settings["LIVEVIEW_CONFIG"]):
        async with Browser() as browser:
            assert (await browser.get("/wrong/")).status == 500
    error = next(record.exc_info[1] for record in caplog.records if record.exc_info)
    assert isinstance(error, TypeError)
    assert str(error).startswith(TEXT)
    assert "S3BrowserView.s3_client" in str(error)


# The checks


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], list[CheckMessage]]]:
    """Writes a module `myapp.views`, and gives what the checks find in it, templates included."""
    (tmp_path / "myapp").mkdir()
    (tmp_path / "myapp" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def check(source: str) -> list[CheckMessage]:
        sys.modules.pop("myapp.views", None)
        (tmp_path / "myapp" / "views.py").write_text(source)
        importlib.import_module("myapp.views")
        project = Project(owns=lambda name: name == "myapp.views")
        assert project.views
        views = [finding for view in project.views for finding in check_view(view, project)]
        return [*views, *check_templates(project)]

    yield check
    for name in ("myapp", "myapp.views"):
        sys.modules.pop(name, None)


IMPORTS = "import boto3\nfrom djust import LiveView, state\nfrom djust.decorators import event_handler\n"
MODEL = "from tests.myapp.models import Customer as ExternalProduct\n"


@pytest.mark.parametrize("name", sorted(set(VIEWS)))
def test_nothing_is_found_in_the_blocks_of_the_guide(checked: Callable[[str], list[CheckMessage]], name: str) -> None:
    assert checked(IMPORTS + MODEL + block_of(name)) == []


def test_the_block_marked_wrong_is_found(checked: Callable[[str], list[CheckMessage]]) -> None:
    block = block_of("S3BrowserView", wrong=True)
    # Its template reads names, too, that this block does not have.
    [finding] = [finding for finding in checked(IMPORTS + block) if finding.id != "djust.V009"]
    line = 4 + next(number for number, text in enumerate(block.splitlines()) if "boto3.client(" in text)
    assert str(finding) == (
        f"myapp/views.py:{line}: (djust.V006) S3BrowserView.s3_client looks like a service instance stored in state.\n"
        "\tHINT: Service instances are not JSON-serializable. Use a helper method instead."
    )


def test_every_sentence_of_the_guide_about_checks_is_what_they_say(
    checked: Callable[[str], list[CheckMessage]],
) -> None:
    source = IMPORTS + (
        "class ApiClient: pass\nclass MyServiceClass: pass\nclass Other: pass\n\n"
        "class MyView(LiveView):\n    template = ''\n\n    def mount(self, request):\n"
        "        self.api_client = ApiClient()\n        self.other = Other()\n\n"
        "        self.service = MyServiceClass()\n"
    )
    told = [str(finding).partition(": ")[2] for finding in checked(source)]
    guide = [line.strip() for line in GUIDE.read_text().splitlines()]
    start = guide.index("(djust.V006) MyView.api_client looks like a service instance stored in state.")
    assert told[0] == f"{guide[start]}\n\t{guide[start + 1]}"
    start = next(number for number, line in enumerate(guide) if line.startswith("(djust.V008) myapp/views.py:15 -- "))
    assert told[-1] == f"{guide[start]}\n{guide[start + 1]}\n\t{guide[start + 2]}"
    assert [text[:12] for text in told] == [
        "(djust.V006)",
        "(djust.V008)",
        "(djust.V008)",
        "(djust.V006)",
        "(djust.V008)",
    ]


@pytest.mark.parametrize(
    "example",
    [
        'boto3.client("s3")', "httpx.Client()", "requests.Session()", "psycopg2.connect()", "redis.Redis()",
        'open("data.csv")',
        "threading.Thread(target=print)", "websockets.connect('')", "(x for x in range(10))",
        "lambda x: x + 1",
    ],
)  # fmt: skip
def test_what_the_guide_s_table_calls_not_serializable_is_found(
    checked: Callable[[str], list[CheckMessage]], example: str
) -> None:
    imports = "import httpx, redis, requests, threading, websockets\nimport psycopg as psycopg2\n"
    view = f"class V(LiveView):\n    template = ''\n    def mount(self, request):\n        self.value = {example}\n"
    assert checked(IMPORTS + imports + view)


@pytest.mark.parametrize(
    "example",
    [
        "'a', 1, 1.5, True, None", "[], {}, (), set()", "Product.objects.get(pk=1)",
        "Product.objects.filter(active=True)",
        "datetime.date.today()", "datetime.datetime(2030, 1, 1)", "uuid.UUID(int=1)", "decimal.Decimal(1)",
        '{"items": [{"name": "Widget", "price": 9.99}]}',
    ],
)  # fmt: skip
def test_nothing_is_found_in_what_the_guide_s_table_calls_serializable(
    checked: Callable[[str], list[CheckMessage]], example: str
) -> None:
    imports = "import datetime, decimal, uuid\nfrom tests.myapp.models import Order as Product\n"
    view = f"class V(LiveView):\n    template = ''\n    def mount(self, request):\n        self.value = {example}\n"
    assert checked(IMPORTS + imports + view) == []
