"""Services: made once, when they are needed; closed at the end of their scope; never a part of a
view.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import Context, copy_context
from functools import partial
from typing import Any

import pytest
from django.http import Http404, HttpRequest
from django.test import Client, RequestFactory
from django.urls import path

from djust import LiveView, computed, event_handler, service, state
from djust.exceptions import ServiceError
from djust.live.registry import registry
from djust.routing import live_session
from djust.services import _process, close_process_services
from djust.testing import LiveClient, override_service
from djust.views import state_of
from tests.asgi_client import Browser

pytestmark = pytest.mark.urls(__name__)

made: list[str] = []
closed: list[str] = []


class Api:
    """A client of something."""

    def __init__(self, name: str) -> None:
        self.name = name
        made.append(name)

    def close(self) -> None:
        closed.append(self.name)


class AsyncApi(Api):
    async def aclose(self) -> None:
        await asyncio.sleep(0)
        closed.append(self.name)


def get_shared() -> Api:
    return Api("shared")


def get_own() -> Api:
    return Api("own")


def get_short() -> Api:
    return Api("short")


async def get_async() -> AsyncApi:
    await asyncio.sleep(0)
    return AsyncApi("async")


@contextmanager
def opened() -> Iterator[Api]:
    made.append("opened")
    yield Api("inside")
    closed.append("opened")


@asynccontextmanager
async def opened_async() -> AsyncIterator[Api]:
    made.append("opened async")
    yield Api("inside async")
    closed.append("opened async")


class SlowToClose(Api):
    def close(self) -> None:
        closed.append(f"on {threading.current_thread().name}")


def find_opened() -> AbstractAsyncContextManager[Api]:
    return opened_async()


def find_async() -> Coroutine[Any, Any, AsyncApi]:
    return get_async()


async def get_slow_to_close() -> SlowToClose:
    return SlowToClose("slow to close")


def broken() -> Api:
    raise ConnectionError("nobody there")


class View(LiveView):
    template = (
        "<body><p>{{ text }}</p><i>{{ view.shared }}{{ view.shared.name }}{{ shared }}</i><b>{{ size }}</b></body>"
    )
    shared = service(get_shared)
    own = service(get_own, scope="page")
    short = service(get_short, scope="call")
    api = service(get_async)
    inside = service(opened, scope="page")
    inside_async = service(opened_async, scope="page")
    found_async = service(find_opened)
    found_coroutine = service(find_async)
    short_async = service(get_slow_to_close, scope="call")
    broken = service(broken)
    text = state(default="")

    @computed
    def size(self) -> int:
        return len(self.shared.name)

    @event_handler
    def use(self, name: str) -> None:
        self.text = getattr(self, name).name

    @event_handler
    async def use_async(self, name: str) -> None:
        self.text = (await getattr(self, name)).name

    @event_handler
    def use_async_here(self) -> None:
        self.text = str(self.api)

    @event_handler
    def work(self) -> None:
        self.start_async(lambda: f"{self.shared.name} {self.short.name}", name="work")

    def handle_async(self, name: str, result: Any) -> None:
        self.text = result


class Provided(LiveView):
    template = "<body>{{ text }}</body>"

    def mount(self, request: HttpRequest, client: Api) -> None:
        self._client = client
        self.text = client.name


class AsyncProvided(Provided):
    async def mount(self, request: HttpRequest, client: Api) -> None:
        super().mount(request, client)


class Awaitable(Api):
    """As some clients are, which are given as they are all the same."""

    def __await__(self) -> Any:
        raise AssertionError


def missing() -> Api:
    raise Http404("no such shop")


urlpatterns = [
    path("view/", View.as_view()),
    path("provided/", live_session(Provided, client=get_own)),
    path("instance/", live_session(Provided, client=Api("instance"))),
    path("async/", live_session(AsyncProvided, client=get_async)),
    path("awaitable/", live_session(Provided, client=Awaitable("awaitable"))),
    path("opened/", live_session(Provided, client=opened)),
    path("opened-async/", live_session(AsyncProvided, client=opened_async)),
    path("broken/", live_session(Provided, client=broken)),
    path("missing/", live_session(Provided, client=missing)),
]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    asyncio.run(close_process_services())
    made.clear()
    closed.clear()
    yield
    asyncio.run(close_process_services())


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 — threads and the collector do not tell
            await asyncio.sleep(0.005)


async def test_a_service_of_the_process_is_made_when_it_is_used_and_shared_by_all_views() -> None:
    async with Browser() as browser:
        one, two = await browser.open("/view/"), await browser.another().open("/view/")
        assert made == ["shared"], "by the computed value of the first page"
        for page in (one, two):
            assert (await page.event("use", {"name": "shared"}))[2] == [0, "shared"]
        assert (made, closed) == (["shared"], [])
    assert closed == ["shared"]


async def test_a_service_of_the_page_is_closed_when_the_page_is_gone() -> None:
    async with Browser() as browser:
        one, two = await browser.open("/view/"), await browser.another().open("/view/")
        for page in (one, two, one):
            await page.event("use", {"name": "own"})
        assert made.count("own") == 2
        registry.clear()
        await until(lambda: closed.count("own") == 2)


async def test_a_service_of_a_call_lives_as_long_as_the_call() -> None:
    async with Browser() as browser:
        page = await browser.open("/view/")
        for _ in range(2):
            await page.event("use", {"name": "short"})
        await until(lambda: closed.count("short") == 2)
        assert made.count("short") == 2
        with pytest.raises(ServiceError, match=r'View\.short is a service of scope "call", and no call is under way'):
            assert View().short


async def test_contexts_are_entered_and_left() -> None:
    async with Browser() as browser:
        page = await browser.open("/view/")
        assert (await page.event("use", {"name": "inside"}))[2] == [0, "inside"]
        assert (await page.event("use_async", {"name": "inside_async"}))[2] == [0, "inside async"]
        registry.clear()
        await until(lambda: {"opened", "opened async"} <= set(closed))


async def test_an_asynchronous_service_is_awaited_and_made_once() -> None:
    async with Browser() as browser:
        pages = [await browser.another().open("/view/") for _ in range(5)]
        answers = await asyncio.gather(*(page.event("use_async", {"name": "api"}) for page in pages))
        assert [answer[2] for answer in answers] == [[0, "async"]] * 5
        assert made.count("async") == 1
        refused = await pages[0].event("use_async_here")
        assert "error" in refused[4]
    assert closed.count("async") == 1


@pytest.mark.parametrize(("name", "once"), [("found_async", "opened async"), ("found_coroutine", "async")])
async def test_a_function_that_turns_out_to_be_asynchronous_is_called_once(name: str, once: str) -> None:
    async with Browser() as browser:
        pages = [await browser.another().open("/view/") for _ in range(3)]
        await asyncio.gather(*(page.event("use_async", {"name": name}) for page in pages))
        await pages[0].event("use_async", {"name": name})
        assert made.count(once) == 1
    assert closed.count(once) == 1


class AsyncFactory:
    async def __call__(self) -> AsyncApi:
        return await get_async()


def find_untold():  # type: ignore[no-untyped-def] # nothing says that it is awaited
    return get_async()


def find_untold_context():  # type: ignore[no-untyped-def] # as above
    return opened_async()


def make_client() -> AsyncApi:
    return AsyncApi("async")


@contextmanager
def opened_here() -> Iterator[str]:
    made.append("opened here")
    yield "here"
    closed.append("opened here")


async def get_opened() -> AbstractContextManager[str]:
    return opened_here()


@pytest.mark.parametrize(("factory", "is_async"), [(opened_here, True), (get_opened, False)])
def test_a_context_that_an_asynchronous_service_turns_out_to_be_is_entered_and_left(
    factory: Any, is_async: bool
) -> None:
    class Opening(LiveView):
        template = "{{ name }}"
        name = state("")
        client: Any = service(factory, scope="call", is_async=is_async)

        @event_handler
        async def use(self) -> None:
            self.name = await self.client

    page = LiveClient(Opening)
    page.event("use")
    assert page.state == {"name": "here"}
    assert closed == ["opened here"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_factory_that_is_a_bare_generator_is_refused(is_async: bool) -> None:
    def bare() -> Iterator[str]:
        yield "client"

    async def bare_async() -> AsyncIterator[str]:
        yield "client"

    factory: Any = bare_async if is_async else bare

    class Bare(LiveView):
        template = ""
        client: Any = service(factory, scope="call")

        @event_handler
        async def use(self) -> None:
            client = self.client
            await client

    decorator = "asynccontextmanager" if is_async else "contextmanager"
    expected = rf"^Bare.client: factory .*bare.* is a generator.* Decorate it with @contextlib.{decorator}.$"
    with pytest.raises(ServiceError, match=expected):
        LiveClient(Bare).event("use")


@pytest.mark.parametrize(
    ("factory", "is_async"),
    [
        (partial(get_async), False),
        (partial(opened_async), False),
        (AsyncFactory(), False),
        (partial(AsyncFactory()), False),
        (find_untold, True),
        (find_untold_context, True),
        (make_client, True),
    ],
)
def test_a_factory_is_seen_or_declared_to_be_asynchronous(factory: Any, is_async: bool) -> None:
    class Declared(LiveView):
        api = service(factory, is_async=is_async)

    async def name() -> str:
        api: Any = await Declared().api
        return str(api.name)

    assert "async" in asyncio.run(name())
    with pytest.raises(ServiceError, match=r"Declared.api: factory .* makes an asynchronous service, which is awaited"):
        assert Declared().api


@pytest.mark.parametrize(
    ("factory", "kind"), [(find_untold, "coroutine"), (find_untold_context, "_AsyncGeneratorContextManager")]
)
def test_a_factory_that_turns_out_to_be_asynchronous_has_to_be_declared(factory: Any, kind: str) -> None:
    class Undeclared(LiveView):
        api = service(factory)

    text = (
        f"Undeclared.api: factory {factory.__name__} returned {kind}, which has to be awaited. "
        f"Declare service({factory.__name__}, is_async=True), and await it in async def methods."
    )
    for _ in range(2):
        with pytest.raises(ServiceError) as caught:
            assert Undeclared().api
        assert str(caught.value) == text


async def test_after_a_coroutine_a_service_of_the_call_is_closed_before_the_answer_and_not_on_the_loop() -> None:
    async with Browser() as browser:
        page = await browser.open("/view/")
        await page.event("use_async", {"name": "short_async"})
        assert len(closed) == 1
        assert closed[0].startswith("on ")
        assert closed != [f"on {threading.current_thread().name}"]


def test_what_belongs_to_a_loop_that_has_ended_is_made_again_and_forgotten() -> None:
    async def name() -> str:
        client: AsyncApi = await View().api
        return client.name

    before = len(_process._slots)
    for _ in range(5):
        assert asyncio.run(name()) == "async"
    assert made == ["async"] * 5
    assert len(_process._slots) - before <= 2


async def test_tasks_use_services() -> None:
    async with Browser() as browser:
        page = await browser.open("/view/")
        await page.event("work")
        assert (await page.receive())[2] == [0, "shared short"]
        await until(lambda: closed == ["short"])


def test_two_hundred_threads_make_one_service() -> None:
    begin, found = threading.Barrier(200), []

    def get_slow() -> Api:
        time.sleep(0.05)
        return Api("slow")

    class Slow(LiveView):
        slow = service(get_slow)

    def ask() -> None:
        begin.wait(20)
        found.append(Slow().slow)

    threads = [threading.Thread(target=ask) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (made, len(found), len(set(map(id, found)))) == (["slow"], 200, 1)


def test_a_factory_may_use_another_service_but_not_itself() -> None:
    class Chain(LiveView):
        first = service(get_shared)
        second = service(lambda: Api(f"on {Chain().first.name}"))

    assert Chain().second.name == "on shared"

    class Circle(LiveView):
        def make() -> Any:  # type: ignore[misc]
            return Circle().itself

        itself = service(make)  # type: ignore[arg-type]

    with pytest.raises(ServiceError, match=r"Circle.itself: factory .*make uses the service that it makes"):
        assert Circle().itself


def test_two_factories_that_wait_for_each_other_are_refused_whatever_thread_comes_first() -> None:
    both, outcomes = threading.Barrier(2), []

    def get_left() -> Any:
        if made.count("once") < 2:
            made.append("once")
            both.wait(10)
        return Pair().right

    def get_right() -> Any:
        if made.count("once") < 2:
            made.append("once")
            both.wait(10)
        return Pair().left

    class Pair(LiveView):
        left = service(get_left)
        right = service(get_right)

    def ask(name: str) -> None:
        try:
            getattr(Pair(), name)
        except ServiceError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=ask, args=[name], daemon=True) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(outcomes) == 2
    assert all("uses the service that it makes, itself or by way of another" in outcome for outcome in outcomes)


async def test_a_coroutine_that_waits_for_itself_is_refused() -> None:
    async def get_first() -> Any:
        return await Circle().second

    async def get_second() -> Any:
        return await Circle().first

    class Circle(LiveView):
        first = service(get_first)
        second = service(get_second)

    async with asyncio.timeout(10):
        with pytest.raises(ServiceError, match=r"Circle.first: factory .*get_first uses the service that it makes"):
            await Circle().first


def test_a_factory_that_fails_is_named_and_asked_again() -> None:
    chances = [ConnectionError("nobody there"), None]

    def sometimes() -> Api:
        if (error := chances.pop(0)) is not None:
            raise error
        return Api("there")

    class Shaky(LiveView):
        api = service(sometimes)

    with pytest.raises(ServiceError, match=r"Shaky.api: factory .*sometimes raised ConnectionError: nobody there") as e:
        assert Shaky().api
    assert isinstance(e.value.__cause__, ConnectionError)
    assert Shaky().api.name == "there"


def test_what_a_factory_that_failed_has_begun_may_use_other_services() -> None:
    begun: list[Context] = []

    def get_first() -> Api:
        if not begun:
            begun.append(copy_context())  # as a thread that it starts, or a task, has one
            raise ConnectionError("nobody there")
        return Api("first")

    class Pair(LiveView):
        first = service(get_first)
        second = service(lambda: Api(f"on {Pair().first.name}"))

    with pytest.raises(ServiceError, match="nobody there"):
        assert Pair().first
    assert begun[0].run(lambda: Pair().second.name) == "on first"


def test_services_are_no_state_and_not_for_templates() -> None:
    view = View()
    View.setup(view, RequestFactory().get("/"))
    assert view.shared.name == "shared"
    assert state_of(view) == {"text": ""}
    assert set(vars(view)) <= {"request", "args", "kwargs", "text", "head"}
    assert repr(View.shared) == "<service get_shared, scope process>"
    assert "<i dj></i>" in Client().get("/view/").content.decode()
    with pytest.raises(AttributeError, match=r"View.shared is a service and cannot be assigned.*override_service"):
        view.shared = Api("mine")  # type: ignore[assignment]


def test_a_view_without_a_page_closes_its_services_when_it_is_collected() -> None:
    async def life() -> None:
        async with Browser():
            view = View()
            assert view.own.name == "own"
            del view
            gc.collect()
            await until(lambda: closed == ["own"])

    asyncio.run(life())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"factory": Api("x")}, "service\\(\\) expects a factory"),
        ({"factory": get_own, "scope": "request"}, 'must be "process", "page" or "call"; got \'request\''),
    ],
)
def test_declarations_that_make_no_sense_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        service(**arguments)


def test_a_name_of_liveview_itself_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Clash\.request is declared as a service"):
        type("Clash", (LiveView,), {"request": service(get_own)})


# Fakes


def test_fakes_take_the_place_of_services_and_providers() -> None:
    class Fake:
        name = "fake"

    with override_service(get_shared, Fake()), override_service(get_own, Fake()):
        assert View().shared.name == "fake"
        assert b"fake" in Client().get("/provided/").content
        with override_service(get_shared, Api("inner")):
            assert View().shared.name == "inner"
        assert View().shared.name == "fake"
    assert View().shared.name == "shared"
    assert closed == []


@override_service(get_async, Api("fake"))
async def test_asynchronous_services_have_fakes_too() -> None:
    async with Browser() as browser:
        page = await browser.open("/view/")
        assert (await page.event("use_async", {"name": "api"}))[2] == [0, "fake"]
        assert "fake" in (await browser.get("/async/")).text


@override_service(opened_async, Api("fake"))
async def test_asynchronous_contexts_have_fakes_too() -> None:
    async with Browser() as browser:
        page = await browser.open("/view/")
        assert (await page.event("use_async", {"name": "inside_async"}))[2] == [0, "fake"]
        assert "fake" in (await browser.get("/opened-async/")).text


def test_a_class_cannot_be_decorated_with_a_fake() -> None:
    with pytest.raises(TypeError, match=r"override_service decorates functions; .* is a class or a generator function"):
        override_service(get_own, Api("fake"))(Api)


# Providers


async def test_providers_are_asked_for_each_page_and_again_when_it_is_restored() -> None:
    async with Browser() as browser:
        page = await browser.open("/provided/")
        await browser.get("/instance/")
        assert made == ["own"]
        registry._attached.clear()  # as a crash does
        await browser.join(page.response.ticket)
        assert made == ["own", "own"]


async def test_a_provider_may_be_a_coroutine() -> None:
    async with Browser() as browser:
        assert "async" in (await browser.get("/async/")).text


async def test_a_client_that_could_be_awaited_is_given_as_it_is() -> None:
    async with Browser() as browser:
        assert "awaitable" in (await browser.get("/awaitable/")).text


@pytest.mark.parametrize("name", ["opened", "opened async"])
async def test_what_a_provider_opens_is_closed_when_the_page_is_gone(name: str) -> None:
    async with Browser() as browser:
        page = await browser.open(f"/{name.replace(' ', '-')}/")
        assert "inside" in page.response.text
        assert (made[0], closed) == (name, [])
        registry.clear()
        await until(lambda: closed == [name])


def test_a_coroutine_cannot_provide_for_a_mount_that_is_none() -> None:
    with pytest.raises(TypeError, match=r"is provided by a coroutine, and Provided.mount is not one"):
        live_session(Provided, client=get_async)


def test_a_name_that_mount_does_not_take_is_an_error_of_the_url_configuration() -> None:
    with pytest.raises(TypeError, match=r'Provided\.mount takes no "clent"'):
        live_session(Provided, clent=get_own)


def test_a_provider_that_fails_is_named() -> None:
    with pytest.raises(ServiceError, match=r"Provided\.client: factory broken raised ConnectionError: nobody there"):
        Client().get("/broken/")
    assert Client().get("/missing/").status_code == 404
