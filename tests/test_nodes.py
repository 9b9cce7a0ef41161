"""A page of two nodes, put together by hand: a view whose template shows another view inside."""

import asyncio
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import override_settings
from django.urls import path

from djust import LiveView, apublish, event_handler, service, state
from djust.context import context_of
from djust.live.nodes import Node
from djust.live.page import Page
from djust.live.registry import registry
from djust.pubsub.hub import hub
from djust.pubsub.subscriptions import inbox_of
from djust.render.values import Fragment, Values
from tests.asgi_client import Browser, Socket

pytestmark = pytest.mark.urls(__name__)

calls: list[str] = []


class Client:
    def __init__(self) -> None:
        calls.append("opened")

    def close(self) -> None:
        calls.append("closed")


class Slot:
    """What the parent's template includes. It looks like a template that has been compiled."""

    nodelist = ()

    def __init__(self, node: Node) -> None:
        self.node = node
        self.template = self._djust_compiled = self

    def render(self, context: Any) -> str:
        raise NotImplementedError

    def inner(self, context: Any) -> tuple[Fragment, Values]:
        return self.node.evaluate(is_inside=True)


class Recorder(LiveView):
    client: Any = service(Client, scope="page")

    @event_handler
    def load(self) -> None:
        self.start_async(self.wait, name="load")

    async def wait(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            calls.append(f"{type(self).__name__} cancelled")
            raise

    @event_handler
    def figures(self, n: int) -> None:
        self.assign_async("loaded", lambda: n)

    @event_handler
    def connect(self) -> None:
        assert self.client

    @event_handler
    def push(self) -> None:
        self.push_event("pushed", type(self).__name__)

    def connected(self) -> None:
        calls.append(f"{type(self).__name__} connected")

    def disconnected(self) -> None:
        calls.append(f"{type(self).__name__} disconnected")

    def unmount(self) -> None:
        calls.append(f"{type(self).__name__} unmount")


class Child(Recorder):
    template = (
        '<section dj-node="c1"><b>{{ n }}</b>{% for tag in tags %}<i>{{ tag }}</i>{% endfor %}'
        "{% if loaded.ok %}{{ loaded.result }}{% endif %}</section>"
    )
    n = state(0, type=int)
    tags: list[str] = state(default=[])

    @event_handler
    def add(self, by: int = 1) -> int:
        self.n += by
        return self.n

    @event_handler
    async def tag(self, tag: str) -> None:
        self.tags.append(tag)

    @event_handler
    def spoil(self) -> None:
        self.n = "text"

    def handle_info(self, message: Any) -> None:
        if isinstance(message, str):
            self.tags.append(message)


class AsyncChild(Child):
    async def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        await asyncio.sleep(0)
        return {**LiveView.get_context_data(self, **kwargs), "tags": [f"{self.n}!"]}


class Parent(Recorder):
    template = (
        "<main><h1>{{ title }}</h1>{% include view.slot %}"
        "{% if loaded.ok %}<u>{{ loaded.result }}</u>{% endif %}</main>"
    )
    title = state("one")
    child_class: type[Child] = Child

    def mount(self, request: HttpRequest) -> None:
        self._child = self.child_class()
        self._child.setup(request)
        page = context_of(self).page
        assert isinstance(page, Page)
        page.add(node := Node(self._child, request, "c1"))
        self._slot = Slot(node)
        self.subscribe("titles")
        self._child.subscribe("tags")

    @property
    def slot(self) -> Slot:
        return self._slot

    @event_handler
    def rename(self, title: str) -> None:
        self.title = title
        self._child.n = 100

    def handle_info(self, message: Any) -> None:
        if isinstance(message, str):
            self.title = message


class AsyncParent(Parent):
    child_class = AsyncChild

    async def mount(self, request: HttpRequest) -> None:  # type: ignore[override]
        super().mount(request)


urlpatterns = [path("two/", Parent.as_view()), path("async/", AsyncParent.as_view())]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()


async def send(page: Socket, name: str, params: dict[str, Any] | None = None, target: str = "") -> Any:
    page.ref += 1
    await page.send([page.ref, name, params or {}, *([target] if target else []), [], 1])
    return await page.receive()


def html() -> str:
    return registry.attached_pages()[0].html()


async def test_the_first_html_holds_both_nodes() -> None:
    async with Browser() as browser:
        response = await browser.get("/two/")
        assert '<main><h1>one</h1><section dj-node="c1"><b>0</b></section></main>' in response.visible


async def test_events_reach_their_node_and_only_what_has_changed_is_sent() -> None:
    async with Browser() as browser:
        page = await browser.open("/two/")
        plans = [[1, [0, [["t"], "l2", "b"]]], [0, [0, [["t"], "b", "b"]]]]
        assert await send(page, "add", {"by": 2}, "c1") == [1, 1, [1, [1, [0, 2], 1]], plans, {"reply": 2}]
        assert await send(page, "add", {}, "c1") == [2, 2, [1, [1, [0, 3], 1]], 0, {"reply": 3}]
        assert await send(page, "rename", {"title": "two"}) == [3, 3, [0, "two", 1, [1, [0, 100], 1]]]
        assert calls == ["Parent connected", "Child connected"]
        tag = [2, [[0, 0], [["t"]]], "<i dj></i>"]
        assert await send(page, "tag", {"tag": "x"}, "c1") == [
            *(4, 4, [1, [1, [1, [0, 0, 0, [0, [["x"]]]]], 1]], [tag])
        ]
        assert '<section dj-node="c1"><b dj>100</b>' in html()


@pytest.mark.parametrize(("target", "known"), [("c2", '"c1"'), ("c1\n", '"c1"'), ("x" * 200, '"c1"')])
async def test_an_unknown_target_is_refused_and_nothing_is_called(
    target: str, known: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Browser() as browser:
        page = await browser.open("/two/")
        text = "This part of the page is not there any more."
        assert await send(page, "add", {}, target) == ["error", 1, text]
        with override_settings(DEBUG=True):
            detail = (await send(page, "add", {}, target))[3]
        assert detail == (
            f'Parent has no node "{ascii(target[:100])[1:-1]}", for which the event "add" is meant; '
            f"its nodes are {known}. "
            "A node is named by the attribute dj-node of the nearest element around the one that was used."
        )
        assert caplog.messages == [f"{text} {detail}"] * 2
        assert "<b dj>0</b>" in html()


async def test_a_handler_of_one_node_is_none_of_the_other() -> None:
    async with Browser() as browser:
        page = await browser.open("/two/")
        assert await send(page, "add") == ["error", 1, "Parent.add is not an event handler."]
        assert await send(page, "rename", {"title": "x"}, "c1") == ["error", 2, "Child.rename is not an event handler."]


@pytest.mark.parametrize("rest", [["c1"], ["c1", []], ["c1", [], 0]])
async def test_members_after_the_target_may_be_omitted(rest: list[Any]) -> None:
    async with Browser() as browser:
        page = await browser.open("/two/")
        await page.send([1, "add", {}, *rest])
        assert (await page.receive())[2] == [1, [1, [0, 1], 1]]


@pytest.mark.parametrize("rest", [[7], [[], 0, "c1"], ["c1", "c1"], ["c1", [], 0, 0]])
async def test_a_target_in_another_place_is_not_a_valid_frame(rest: list[Any]) -> None:
    async with Browser() as browser:
        page = await browser.open("/two/")
        await page.send([1, "add", {}, *rest])
        assert await page.closing() == 4400


async def test_what_is_wrong_with_the_state_of_a_node_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/two/")
        frame = await send(page, "spoil", {}, "c1")
        assert (frame[2], "error" in frame[4]) == ([1, [1, [0, "text"], 1]], True)
    assert caplog.messages[0] == "Child.spoil raised TypeError"
    assert "Child.n must be int" in str(caplog.records[0].exc_info[1])  # type: ignore[index]


async def test_a_page_whose_inner_node_begins_with_a_wrong_state_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Child, "setup", lambda view, request: setattr(view, "n", "text"))
    registry.clear()
    async with Browser() as browser:
        assert (await browser.get("/two/")).status == 500
        assert registry.pages() == []


async def test_each_node_pushes_events_of_its_own() -> None:
    async with Browser() as browser:
        page = await browser.open("/two/")
        assert (await send(page, "push", {}, "c1"))[4]["push"] == [["pushed", "Child"]]
        assert (await send(page, "push"))[4]["push"] == [["pushed", "Parent"]]


async def test_tasks_of_the_same_name_are_those_of_their_nodes() -> None:
    async with Browser() as browser:
        page = await browser.open("/two/")
        held = registry.attached_pages()[0]
        child = held.view._child
        await send(page, "load")
        await send(page, "load", {}, "c1")
        assert (held.view.running_tasks, child.running_tasks) == ({"load"}, {"load"})
        child.cancel_async("load")
        assert (held.view.running_tasks, child.running_tasks) == ({"load"}, set())
        await send(page, "figures", {"n": 7}, "c1")
        assert (await page.receive())[2] == [1, [2, [2, [1, [7]]], 1]]
        await send(page, "figures", {"n": 8})
        assert (await page.receive())[2][0] == 2


async def test_what_is_published_reaches_the_node_that_has_subscribed() -> None:
    async with Browser() as browser:
        page = await browser.open("/two/")
        await apublish("titles", "new")
        assert (await page.receive())[2] == [0, "new"]
        await apublish("tags", "x")
        assert '["x"]' in await page.receive_text()


async def test_both_nodes_are_stopped_with_their_page() -> None:
    async with Browser() as browser:
        page = await browser.open("/two/")
        held = registry.attached_pages()[0]
        views = [held.view, held.view._child]
        for target in ("", "c1"):
            await send(page, "load", {}, target)
            await send(page, "connect", {}, target)
        assert all(inbox_of(view) is not None for view in views)
        await page.close()
        registry.clear()
        async with asyncio.timeout(5):
            while calls.count("closed") < 2 or hub._subscribers:  # noqa: ASYNC110 — nobody tells
                await asyncio.sleep(0.005)
        assert [inbox_of(view) for view in views] == [None, None]
    assert calls[:4] == ["Parent connected", "Child connected", "opened", "opened"]
    assert sorted(calls[4:]) == [
        *("Child cancelled", "Child disconnected", "Child unmount"),
        *("Parent cancelled", "Parent disconnected", "Parent unmount"),
        *("closed", "closed"),
    ]
    hooks = [call for call in calls if "unmount" in call or "disconnected" in call]
    assert hooks == ["Child disconnected", "Parent disconnected", "Child unmount", "Parent unmount"]


async def test_a_node_may_await_its_context_data() -> None:
    async with Browser() as browser:
        page = await browser.open("/async/")
        assert "<b>0</b><i>0!</i>" in page.response.visible
        await send(page, "add", {}, "c1")
        assert "<b dj>1</b><!--[--><i dj>1!</i>" in html()
