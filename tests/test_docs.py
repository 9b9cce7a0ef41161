"""The code in the documentation runs."""

from __future__ import annotations

import ast
import json
import re
import threading
from datetime import date
from functools import cache
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
from django.test import Client, RequestFactory
from django.test.utils import isolate_apps
from django.urls import path

from djust import exceptions
from djust.conf import Config
from djust.events.parameters import converter
from djust.exceptions import HandlerError
from djust.health import report
from djust.signals import event_finished, pool_exhausted, pool_recovered
from djust.testing import LiveClient
from tests.asgi_client import Browser, Socket

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))])
PAGES += [DOCS.parent / "ARCHITECTURE.md", DOCS.parent / "benchmarks" / "README.md"]
COLUMNS = 100


def text_of(page: str) -> str:
    return (DOCS / page).read_text()


def blocks(text: str) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def run(page: str, module: str = "docs") -> dict[str, Any]:
    """The names that all Python blocks of a page define, run one after the other."""
    names: dict[str, Any] = {"__name__": module}
    for block in blocks(text_of(page)):
        exec(compile(block, page, "exec"), names)
    return names


def urls_of(**views: Any) -> ModuleType:
    """A URL configuration in which each view has a path of its name."""
    urls = ModuleType("docs_urls")
    vars(urls)["urlpatterns"] = [path(f"{name}/", view.as_view()) for name, view in views.items()]
    return urls


def test_the_first_page_of_the_readme_counts(settings: Any) -> None:
    readme = (ROOT / "README.md").read_text()
    template = re.findall(r"```django\n(.*?)```", readme, flags=re.DOTALL)[0]
    loader = ("django.template.loaders.locmem.Loader", {"counter.html": template})
    options = {"loaders": [loader]}
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": options}]
    names: dict[str, Any] = {"__name__": "docs"}
    exec(blocks(readme)[0], names)
    page = LiveClient(names["CounterView"])
    page.click("increment", by="5")
    assert "<p>5</p>" in page.html


def test_the_basket_of_the_page_on_views_holds_what_was_put_into_it() -> None:
    page = LiveClient(run("views.md")["BasketView"])
    assert "Pear" in page.html
    assert "1 in the basket" in page.html
    page.submit("add", name="Plum")
    page.click("remove", item_id="1")
    assert page.state["items"] == [{"id": 2, "name": "Plum"}]


def test_the_booking_of_the_page_on_events_converts_its_parameters() -> None:
    page = LiveClient(run("events.md")["BookingView"])
    page.change("choose", value="2030-01-31")
    page.click("add_guests", 1)
    assert page.state == {"day": date(2030, 1, 31), "guests": 2}
    assert page.pushed == [("guests", {"count": 2})]
    page.change("choose", value="")
    assert page.state["day"] is None
    with pytest.raises(HandlerError, match="must be"):
        page.change("choose", value="soon")


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [(bool, "on", True), (list[int], "3", [3]), (int | None, "", None), (str | None, "", ""), (bool, "", False)],
)
def test_parameters_become_what_the_table_of_the_page_on_events_says(
    annotation: Any, value: Any, expected: Any
) -> None:
    convert = converter(annotation)
    assert convert(value) == expected


def test_the_form_of_the_page_on_forms_shows_its_errors_and_thanks(client: Client, settings: Any) -> None:
    view = run("forms.md")["ContactView"]
    page = LiveClient(view)
    page.submit("send", name="Ada", email="ada")
    assert "Enter a valid email address" in page.html
    page.submit("send", name="Ada", email="ada@example.com")
    assert "Thank you, Ada." in page.html
    settings.ROOT_URLCONF = urls_of(contact=view)
    posted = client.post("/contact/", {"name": "Zoë", "email": "zoe@example.com"})
    assert "Thank you, " in posted.content.decode()


def test_the_status_of_the_page_on_services_comes_from_its_url(rf: RequestFactory) -> None:
    callback = run("services.md")["urlpatterns"][1].callback
    assert "<p dj>0</p>" in callback(rf.get("/status/")).content.decode()


def test_the_views_of_the_page_on_pubsub_receive_what_is_published() -> None:
    with isolate_apps("tests.myapp"):
        names = run("pubsub.md", "tests.myapp.docs")
    orders, stock = LiveClient(names["OrdersView"]), LiveClient(names["StockView"])
    names["publish"]("orders", "eight figs")
    names["publish"]("stock", 6)
    assert orders.state["orders"] == ["eight figs"]
    assert "<p>6</p>" in stock.html
    stock.restart()
    assert "<p>7</p>" in stock.html, "it was loaded again"
    assert names["PRODUCT_CHANGES"] == "model:myapp.product"


@pytest.mark.django_db
def test_the_view_of_the_page_on_restoring_survives_the_loss_of_its_row() -> None:
    view = run("reconnecting.md")["GroupView"]
    group = Group.objects.create(name="editors")
    page = LiveClient(view, pk=group.pk)
    page.restart()
    assert "<h1>editors</h1>" in page.html
    group.delete()
    page.restart()
    assert "This group was deleted." in page.html


@pytest.mark.django_db(transaction=True)
async def test_the_view_of_the_page_on_authorization_is_guarded_as_it_says(settings: Any) -> None:
    settings.ROOT_URLCONF = urls_of(orders=run("authorization.md")["OrdersView"])
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


async def test_the_views_of_the_page_on_background_tasks_do_what_it_says(settings: Any) -> None:
    names = run("background.md")
    settings.ROOT_URLCONF = urls_of(sales=names["SalesView"], export=names["ExportView"], clock=names["ClockView"])
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


async def test_the_handler_of_the_page_on_events_is_given_up_after_its_time_out(settings: Any) -> None:
    settings.ROOT_URLCONF = urls_of(quote=run("events.md")["QuoteView"])
    async with Browser() as browser:
        quote = await browser.open("/quote/")
        error = {"error": "That took too long and was given up. You may try again."}
        assert (await quote.event("ask"))[2:5:2] == [[0, "asking"], error]


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
    names = run("resilience.md")
    settings.ROOT_URLCONF = urls_of(weather=names["WeatherView"])
    # Without the pauses between attempts.
    without_pauses = stamina.set_testing(True, attempts=3)
    with without_pauses, ThreadingHTTPServer(("127.0.0.1", 0), Moody) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.WEATHER_URL = f"http://127.0.0.1:{server.server_address[1]}"
        async with Browser() as browser:
            page = await browser.open("/weather/")
            assert "no figure yet" in page.response.visible
            assert "21 °C" in await ask(page)
            Moody.mood, Moody.asked = "ill", 0
            for _ in range(5):
                await ask(page)
            assert Moody.asked == 15, "each call three times"
            assert "The weather service is down" in (await browser.another().get("/weather/")).text
            await ask(page)
            assert Moody.asked == 15, "nobody asks any more"
            Moody.mood = "well"
            circuit = names["WeatherView"]().weather.circuit
            circuit.half_open()
            await ask(page)
            assert circuit.current_state == "closed"
        client = names["AsyncWeather"](settings.WEATHER_URL)
        assert await client.now("Lisbon") == {"degrees": 21}
        await client.aclose()
        server.shutdown()


async def ask(page: Socket) -> str:
    await page.post("ask", {"city": "Lisbon"})
    return await page.receive_text()


def test_the_test_of_the_page_on_testing_passes() -> None:
    run("testing.md")["test_basket"]()


def test_the_page_on_settings_lists_every_setting_once() -> None:
    rows = [row.split("|")[1] for row in text_of("settings.md").splitlines() if row.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]
    assert sorted(listed) == sorted(Config.__dataclass_fields__)


def test_the_page_on_settings_tells_their_defaults() -> None:
    rows = [row.split("|")[1:3] for row in text_of("settings.md").splitlines() if row.startswith("| `")]
    defaults = {name.strip(" `"): ast.literal_eval(default.strip(" `")) for name, default in rows}
    assert defaults == {name: field.default for name, field in Config.__dataclass_fields__.items()}


def test_the_page_on_events_lists_every_exception() -> None:
    table = text_of("events.md").partition("\n## Exceptions\n")[2]
    listed = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    assert sorted([*listed, "DjustError"]) == sorted(exceptions.__all__)


def test_what_is_needed_of_browsers_is_what_the_client_uses() -> None:
    client = ROOT / "client"
    sources = "".join(path.read_text() for path in [*(client / "src").rglob("*.ts"), client / "build.js"])
    rows = [line.split("|") for line in (DOCS / "browsers.md").read_text().splitlines() if line.startswith("| ")]
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row[1])]

    words = [name.removeprefix("new ").partition("(")[0].strip("<>") for name in named]

    assert len(words) > 25
    assert [word for word in words if word not in sources] == []


def test_the_page_on_serving_lists_every_pool_of_threads() -> None:
    table = text_of("serving.md").partition("\n## Thread pools\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall(r"`([a-z-]+)`", row)) == sorted(report()["pools"])


# Links, paths and lines


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> list[str]:
    """The lines of a page outside of its code blocks."""
    lines, is_code = [], False
    for line in page.read_text().splitlines():
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            lines.append(line)
    return lines


@cache
def anchors(page: Path) -> frozenset[str]:
    """What a link to a heading of a page names: its words in lower case, as GitHub makes them."""
    headings = [line.lstrip("#").strip() for line in prose(page) if line.startswith("#")]
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def leads_nowhere(target: Path, anchor: str) -> bool:
    return not target.exists() or bool(anchor and anchor not in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_of_the_documentation_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", " ".join(prose(page)))
    lost = [f"{name}#{anchor}" for name, anchor in links if leads_nowhere(page.parent / name if name else page, anchor)]
    assert lost == []


def test_the_index_lists_every_page_of_the_documentation_once() -> None:
    linked = re.findall(r"^\* \[[^]]+\]\(([\w-]+\.md)\): ", text_of("README.md"), flags=re.MULTILINE)
    assert sorted([*linked, "README.md"]) == sorted(page.name for page in DOCS.rglob("*.md"))


SOURCES = [
    *PAGES,
    ROOT / "pyproject.toml",
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "client" / "src").rglob("*.ts"),
    *(ROOT / "client" / "tests").rglob("*.ts"),
    *(ROOT / "tests").rglob("*.py"),
    *(ROOT / "examples").rglob("*.py"),
    *(ROOT / "benchmarks").rglob("*.py"),
]


def test_every_page_of_the_documentation_that_a_file_names_exists() -> None:
    """Hints of system checks and docstrings name pages, too."""
    found = [
        f"{named(source)}: docs/{page}#{anchor}"
        for source in SOURCES
        for page, anchor in re.findall(r"\bdocs/([\w./-]+\.md)(?:#([\w-]+))?", source.read_text())
        if leads_nowhere(DOCS / page, anchor)
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_that_the_documentation_names_exists(page: Path) -> None:
    names = re.findall(r"`((?:src|client|tests|docs|examples|benchmarks|scripts)/[\w./-]*)`", " ".join(prose(page)))
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_lines_of_prose_are_not_too_long(page: Path) -> None:
    # A link alone on its line cannot be broken.
    lines = [line for line in prose(page) if not line.startswith(("|", "#")) and not re.fullmatch(r"\S+", line)]
    assert [line for line in lines if len(line) > COLUMNS] == []


PHRASES = (
    "adopts",
    "anew",
    "beside the page",
    "by itself",
    "good-bye",
    "half a character",
    "hears from",
    "is told",
    "laid over",
    "left out",
    "sign of life",
    "still who they were",
    "what survives",
)


def test_documentation_code_and_tests_use_the_words_of_the_field() -> None:
    """Comments, docstrings, messages and names of tests included."""
    texts = {named(source): source.read_text().lower() for source in SOURCES if source != Path(__file__)}
    words = {name: re.sub(r"[\s#*_]+", " ", text) for name, text in texts.items()}
    assert [(name, phrase) for name, text in words.items() for phrase in PHRASES if phrase in text] == []


# Monitoring


async def test_the_health_check_and_the_receivers_of_the_page_on_monitoring_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = run("monitoring.md")
    try:
        response = await names["health"](None)
        found = json.loads(response.content)
        assert (response.status_code, found["healthy"], found["state_cache"]) == (200, True, "available")
        pool_exhausted.send_robust(sender=None, pool="turn", threads=128, hung=96, waiting=7)
        pool_recovered.send_robust(sender=None, pool="turn", threads=32, hung=0, waiting=0)
    finally:
        pool_exhausted.disconnect(names["alert"])
        pool_recovered.disconnect(names["all_clear"])
        event_finished.disconnect(names["remember_slow_turns"])
        names["otel"].uninstrument()
    assert caplog.messages == ["pool turn: 96 of 128 threads hang, 7 jobs wait", "pool turn has recovered"]
