"""The record that the framework keeps about each view."""

import gc
from dataclasses import dataclass
from typing import Any
from weakref import ref

from djust import LiveView, event_handler, service
from djust.context import all_contexts, context_of
from djust.decorators import rate_limit

closed: list[str] = []


class Client:
    def close(self) -> None:
        closed.append("client")


class Board(LiveView):
    template = "<p></p>"
    client: Any = service(Client, scope="page")

    @event_handler
    @rate_limit(2, seconds=60)
    def add(self) -> None: ...


@dataclass
class Compared(LiveView):
    n: int = 0


class Part:
    def __init__(self) -> None:
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1


class Page:
    tasks: Any = None

    def wake(self) -> None: ...


def test_a_view_has_one_record_for_all_that_the_framework_keeps() -> None:
    view = Board()
    context = context_of(view)
    view.push_event("saved")
    view.subscribe("board")
    view.add()
    assert view.client is view.client
    assert context_of(view) is context
    assert context.outbox == [("saved", None)]
    assert sorted(part.__name__ for part in context._parts) == ["Inbox", "Services", "_Calls"]
    assert vars(view) == {}
    context.stop()


def test_equal_views_have_records_of_their_own() -> None:
    one, other = Compared(), Compared()
    assert one == other
    assert context_of(one) is not context_of(other)


def test_a_record_goes_with_its_view_and_its_parts_stop() -> None:
    view = Compared()
    context, part = ref(context_of(view)), context_of(view).part(Part)
    del view
    gc.collect()
    assert context() is None
    assert part.stops == 1
    assert not any(context.find(Part) for context in all_contexts())


def test_a_record_holds_neither_view_nor_page() -> None:
    view, page = Compared(), Page()
    context_of(view).start(page)
    assert context_of(view).page is page
    known = ref(view)
    del page
    assert context_of(view).page is None
    del view
    assert known() is None


def test_parts_stop_once_and_a_view_that_is_used_on_gets_new_ones() -> None:
    view = Compared()
    context = context_of(view)
    first = context.part(Part)
    assert context.part(Part) is first
    context.stop()
    context.stop()
    second = context.part(Part)
    assert (first.stops, second.stops, first is second) == (1, 0, False)
    assert context.take_out(Part) is second
    context.stop()
    assert second.stops == 0


def test_a_view_without_a_page_is_not_woken() -> None:
    view = Compared()
    context_of(view).wake()
