"""`live_session` in `path()`."""

from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path

from djust import LiveView, event_handler
from djust.live.registry import registry
from djust.routing import live_session
from tests.asgi_client import Browser
from tests.test_transports import PostWire

pytestmark = pytest.mark.urls(__name__)

made: list["Client"] = []


class Client:
    def __init__(self) -> None:
        made.append(self)

    def recent(self, limit: int) -> list[int]:
        return list(range(limit))


class NeedsRegion:
    def __init__(self, region: str) -> None: ...


class Dashboard(LiveView):
    template = "<p>{{ metrics }}</p>"

    def mount(self, request: HttpRequest, client: Any = None, limit: int = 0, **kwargs: Any) -> None:
        self._client = client
        self.metrics = client.recent(limit)


class AsyncDashboard(Dashboard):
    async def mount(self, request: HttpRequest, *, client: Any, limit: int) -> None:  # type: ignore[override]
        super().mount(request, client, limit)


class Form(Dashboard):
    template = "<body><p>{{ metrics }}</p><form method='post' dj-submit='clear'>{% csrf_token %}</form></body>"

    @event_handler
    def clear(self) -> None:
        self.metrics: list[int] = []


def get_client() -> Client:
    return Client()


urlpatterns = [
    path("function/", live_session(Dashboard, client=get_client, limit=3)),
    path("class/", live_session(Dashboard, client=Client, limit=2)),
    path("async/", live_session(AsyncDashboard, client=Client, limit=1)),
    path("form/", live_session(Form, client=Client, limit=2)),
    path("clash/<int:limit>/", live_session(Dashboard, client=Client, limit=2)),
]


@pytest.mark.parametrize(("url", "shown"), [("/function/", [0, 1, 2]), ("/class/", [0, 1]), ("/async/", [0])])
async def test_mount_receives_what_is_provided(url: str, shown: list[int]) -> None:
    made.clear()
    async with Browser() as browser:
        assert f"<p>{shown}</p>" in (await browser.get(url)).visible
        assert len(made) == 1


@pytest.mark.parametrize("url", ["/function/", "/async/"])
async def test_each_page_gets_its_own_and_a_remounted_page_as_well(url: str) -> None:
    made.clear()
    async with Browser() as browser:
        page = await browser.open(url)
        await browser.open(url)
        assert len(made) == 2
        await page.close()
        registry.clear()
        _, frame = await browser.join(page.response.ticket)
        assert frame[0] == "all"
        assert len(made) == 3


async def test_a_page_of_a_form_or_of_posted_frames_receives_what_is_provided() -> None:
    async with Browser() as browser:
        page = PostWire(browser, "/form/")
        await page.open()
        registry.clear()
        posted = await browser.get("/form/", "POST", **{"x-csrftoken": browser.cookies["csrftoken"]})
        assert (posted.status, "<p>[]</p>" in posted.visible) == (200, True)
        registry.clear()
        assert (await page.join(page.response.ticket, 1))[0] == "all"


async def test_a_name_that_is_also_part_of_the_url_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    made.clear()
    async with Browser() as browser:
        assert (await browser.get("/clash/5/")).status == 500
    assert 'Dashboard: "limit" is provided by live_session and is a part of the URL as well.' in caplog.text
    assert made == []


def test_the_view_keeps_its_class() -> None:
    view: Any = live_session(Dashboard, client=Client)
    assert view.view_class is Dashboard


def test_a_class_that_needs_arguments_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"missing a required argument: 'region'.*lambda: NeedsRegion\(…\)"):
        live_session(Dashboard, client=NeedsRegion)


def test_a_callable_that_hides_its_signature_is_called() -> None:
    live_session(Dashboard, client=dict)
    live_session(Dashboard, client=int)


def test_a_name_that_mount_does_not_take_is_refused_at_once() -> None:
    with pytest.raises(
        TypeError, match=r'AsyncDashboard.mount takes no "cleint"; its keyword arguments are: client, li'
    ):
        live_session(AsyncDashboard, cleint=Client)


@pytest.mark.parametrize("thing", ["/prefix", Client, None, Dashboard.as_view()])
def test_only_live_views_have_sessions(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"^live_session\(\) expects a LiveView class as its first argument; got"):
        live_session(thing)


def test_a_value_may_have_the_name_of_the_first_parameter() -> None:
    live_session(Dashboard, client=Client, view_class=5)


def test_the_request_cannot_be_provided() -> None:
    with pytest.raises(TypeError, match=r"^live_session\(Dashboard, request=…\): mount receives the request"):
        live_session(Dashboard, request=1)


def test_a_mount_that_takes_no_request_is_refused_at_once() -> None:
    class Forgetful(LiveView):
        def mount(self) -> None: ...  # type: ignore[override]

    with pytest.raises(TypeError, match=r"^Forgetful\.mount\(self\) -> None does not take the request\."):
        live_session(Forgetful)
