"""The code in the documentation runs."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import stamina
from asgiref.sync import sync_to_async
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import RequestFactory
from django.urls import path

from djust.conf import Config
from djust.signals import event_finished, pool_exhausted, pool_recovered
from tests.asgi_client import Browser, Socket

DOCS = Path(__file__).parent.parent / "docs"
GUIDE = (DOCS / "guide.md").read_text()


def run(page: str) -> dict[str, Any]:
    """The names that all Python blocks of a page define, run one after the other."""
    names: dict[str, Any] = {"__name__": "docs"}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(compile(block, "guide.md", "exec"), names)
    return names


def test_the_views_of_the_guide_show_their_pages(rf: RequestFactory) -> None:
    names = run(GUIDE)
    basket = names["BasketView"].as_view()(rf.get("/basket/")).content.decode()
    assert "Pear" in basket
    assert "1 in the basket" in re.sub("<!--.*?-->", "", basket)
    status = names["urlpatterns"][0].callback(rf.get("/status/")).content.decode()
    assert "<p dj>0</p>" in status


@pytest.mark.django_db(transaction=True)
async def test_the_view_of_the_page_on_security_is_guarded_as_it_says(settings: Any) -> None:
    urls = ModuleType("docs_security")
    vars(urls)["urlpatterns"] = [path("orders/", run((DOCS / "security.md").read_text())["OrdersView"].as_view())]
    settings.ROOT_URLCONF = urls
    group = await sync_to_async(ContentType.objects.get_for_model)(Group)
    names = ("view_order", "change_order")
    view, change = [await Permission.objects.acreate(codename=name, content_type=group) for name in names]
    settings.AUTHENTICATION_BACKENDS = ["tests.test_docs.ShopBackend", "django.contrib.auth.backends.ModelBackend"]
    user = await User.objects.acreate(username="clerk")
    async with Browser() as browser:
        refused = await browser.get("/orders/")
        assert (refused.status, refused.headers["location"]) == (302, "/welcome/?next=/orders/")
        await browser.log_in(user)
        assert (await browser.get("/orders/")).status == 403
        await user.user_permissions.aadd(view)
        assert (await browser.get("/orders/", **{"x-shop": "closed"})).status == 403
        page = await browser.open("/orders/")
        assert (await page.event("ship"))[2] == "You are not allowed to do this."
        await user.user_permissions.aadd(change)
        assert (await page.event("ship"))[2] == [0, "1 shipped"]
        await user.user_permissions.aremove(view)
        assert (await page.event("ship"))[0] == "error"
        assert await page.closing() == 4403


class ShopBackend(ModelBackend):
    """Permissions of groups are those of the shop, which has no models here."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return bool(super().has_perm(user_obj, perm.replace("shop.", "auth."), obj))


async def test_the_views_of_the_page_on_slow_work_do_what_it_says(settings: Any) -> None:
    names = run((DOCS / "async.md").read_text())
    urls = ModuleType("docs_async")
    views = {"sales": names["SalesView"], "export": names["ExportView"], "quote": names["QuoteView"]}
    views["clock"] = names["ClockView"]
    vars(urls)["urlpatterns"] = [path(f"{name}/", view.as_view()) for name, view in views.items()]
    settings.ROOT_URLCONF = urls
    try:
        async with Browser() as browser:
            sales = await browser.open("/sales/")
            assert "One moment…" in sales.response.visible
            assert "2030: 125000" in (await sales.receive_text())
            export = await browser.open("/export/")
            await export.event("export", {}, 2030)
            while "/exports/2030.csv" not in (frame := await export.receive_text()):
                assert "percent" not in frame
            await export.event("export", {}, 1999)
            assert "export failed: there are no figures" in await export.receive_text()
            clock = await browser.open("/clock/")
            first, second = await clock.receive_text(), await clock.receive_text()
            assert re.search(r"\d\d:\d\d:\d\d", first)
            assert first != second
            quote = await browser.open("/quote/")
            told = {"error": "That took too long and was given up. You may try again."}
            assert (await quote.event("ask"))[2:5:2] == [[0, "asking"], told]
    finally:
        event_finished.disconnect(names["remember_slow_turns"])


class Moody(BaseHTTPRequestHandler):
    """A weather service with moods."""

    mood = "well"
    asked = 0

    def do_GET(self) -> None:
        Moody.asked += 1
        text = b'{"degrees": 21}'
        self.send_response(200 if self.mood == "well" else 503)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None: ...


async def test_the_page_on_resilience_repeats_gives_up_and_recovers(settings: Any) -> None:
    names = run((DOCS / "guides" / "resilience.md").read_text())
    urls = ModuleType("docs_resilience")
    vars(urls)["urlpatterns"] = [path("weather/", names["WeatherView"].as_view())]
    settings.ROOT_URLCONF = urls
    # Without the pauses between attempts.
    without_pauses = stamina.set_testing(True, attempts=3)
    with without_pauses, ThreadingHTTPServer(("127.0.0.1", 0), Moody) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.WEATHER_URL = f"http://127.0.0.1:{server.server_address[1]}"
        async with Browser() as browser:
            page = await browser.open("/weather/")
            assert "no figure yet" in page.response.visible
            assert "21 °C" in await told(page)
            Moody.mood, Moody.asked = "ill", 0
            for _ in range(5):
                await told(page)
            assert Moody.asked == 15, "each call three times"
            assert "The weather service is down" in (await browser.another().get("/weather/")).text
            await told(page)
            assert Moody.asked == 15, "nobody asks any more"
            Moody.mood = "well"
            circuit = names["WeatherView"]().weather.circuit
            circuit.half_open()
            await told(page)
            assert circuit.current_state == "closed"
        client = names["AsyncWeather"](settings.WEATHER_URL)
        assert await client.now("Lisbon") == {"degrees": 21}
        await client.aclose()
        server.shutdown()


async def told(page: Socket) -> str:
    await page.post("ask", {"city": "Lisbon"})
    return await page.receive_text()


def test_the_test_of_the_page_on_testing_passes() -> None:
    run((DOCS / "testing.md").read_text())["test_basket"]()


def test_the_guide_lists_every_setting_once() -> None:
    table = GUIDE.partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]
    assert sorted(listed) == sorted(Config.__dataclass_fields__)


@pytest.mark.parametrize("name", re.findall(r"\]\(([\w./-]+\.md)\)", (DOCS.parent / "README.md").read_text()))
def test_links_of_the_readme_lead_somewhere(name: str) -> None:
    assert (DOCS.parent / name).exists()


def test_what_is_needed_of_browsers_is_what_the_client_uses() -> None:
    client = DOCS.parent / "client"
    sources = "".join(path.read_text() for path in [*(client / "src").glob("*.ts"), client / "build.js"])
    rows = [line.split("|") for line in (DOCS / "browsers.md").read_text().splitlines() if line.startswith("| ")]
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row[1])]

    words = [name.removeprefix("new ").partition("(")[0].strip("<>") for name in named]

    assert len(words) > 25
    assert [word for word in words if word not in sources] == []


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_links_of_the_documentation_lead_somewhere(page: Path) -> None:
    names = re.findall(r"\]\(([\w./-]+\.md)\)", page.read_text())
    assert [name for name in names if not (page.parent / name).exists()] == []


async def test_the_health_check_and_the_receivers_of_the_page_on_operations_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = run((DOCS / "operations.md").read_text())
    try:
        response = await names["health"](None)
        found = json.loads(response.content)
        assert (response.status_code, found["healthy"], found["state_cache"]) == (200, True, "available")
        pool_exhausted.send_robust(sender=None, pool="turn", threads=128, hung=96, waiting=7)
        pool_recovered.send_robust(sender=None, pool="turn", threads=32, hung=0, waiting=0)
    finally:
        pool_exhausted.disconnect(names["alert"])
        pool_recovered.disconnect(names["all_clear"])
    assert caplog.messages == ["pool turn: 96 of 128 threads hang, 7 jobs wait", "pool turn has recovered"]
