"""The nodes of a page: its views, what they show now, and what the browser has received of that.

    nodes = Nodes(view, request)            a page of one node, the root
    nodes.prepare()                         the template is evaluated for the first time
    nodes.html()                            the first HTML
    nodes.renew()  ->  Change               evaluated again: what the browser has to receive
    nodes.all()    ->  (values, plans)      everything, for a browser that starts over
    nodes.add(Node(child, request, "c1"))   a view inside, whose root element is marked dj-node="c1"
    nodes.get("c1")                         the node that an event names

A node is one view and everything that the framework keeps about it. What a child shows is a value
of its parent, `(fragment, values)`, as an include is: the code that renders the parent calls
`evaluate` of the child. So one evaluation of the root brings all nodes up to date, and one diff
tells the browser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template import Template
from django.utils.functional import SimpleLazyObject
from django.utils.timezone import get_current_timezone
from django.utils.translation import get_language

from djust.conf import config
from djust.context import LiveContext, context_of
from djust.events.handlers import Handler, handlers_of
from djust.pubsub.subscriptions import deliver_messages, inbox_of
from djust.render.diff import SentFragments
from djust.render.values import Fragment, Values
from djust.state.fields import check_types, computed_getters
from djust.state.tracking import Tracker
from djust.state.validation import check_state
from djust.template import CompiledTemplate, compile_template
from djust.template.context import page_context, rendering
from djust.views import LiveView, awaits_context, given_context_data, state_of


class Change(NamedTuple):
    """What an evaluation has changed. `state_error` is what is wrong with the state."""

    diff: list[Any]
    fragments: list[Any]
    state_error: TypeError | None
    # The template's outermost parent is another one, or it was compiled again: another document.
    whole: bool = False


class Node:
    """One view of a page."""

    __slots__ = (
        *("_compiled", "_fixed", "_lazy", "_request", "_template", "_tracker"),
        *("context", "data", "handlers", "id", "is_connected", "is_woken", "last", "state_error", "view"),
    )

    def __init__(self, view: LiveView, request: HttpRequest, node_id: str = "") -> None:
        self.id = node_id
        self.view = view
        self.context: LiveContext = context_of(view)
        self.handlers: Mapping[str, Handler] = handlers_of(type(view))
        # What get_context_data has given, where it was awaited, for the next rendering.
        self.data: object = None
        self.state_error: TypeError | None = None
        # Its view knows that a browser has the page.
        self.is_connected = False
        # A turn for its messages is on its way.
        self.is_woken = False
        self._request = request
        self._tracker = Tracker()
        self._lazy = computed_getters(view)
        # One token for the life of the page: Django's processor masks it differently in each
        # rendering.
        self._fixed = {"csrf_token": SimpleLazyObject(partial(get_token, request)), "view": view}
        # Set by the first evaluation.
        self._template: Template
        self._compiled: CompiledTemplate | None = None
        self.last: tuple[Fragment, Values] | None = None

    def evaluate(self, *, is_inside: bool = False) -> tuple[Fragment, Values]:
        """What the view shows now: as a page, or as a value of the view that it stands inside."""
        compiled = self._compiled
        if compiled is None:
            self._template = self.view.get_template()
            compiled = self._compiled = compile_template(self._template)
        # The template finds `view` among the fixed names.
        is_plain = type(self.view).get_context_data is LiveView.get_context_data
        data = state_of(self.view) if is_plain else self._context_data()
        # get_context_data may have changed it.
        self.state_error = self._find_state_error(data if is_plain else state_of(self.view))
        if self.state_error is not None and self.last is None and not is_inside:
            raise self.state_error
        tracked = compiled.tracked
        same = self._tracker.unchanged(data, tracked, (get_language(), get_current_timezone())) if tracked else tracked
        related = self.view.auto_related
        context = page_context(self._template, self._request, data, self._lazy, self._fixed, auto_related=related)
        try:
            with rendering(context, self._template):
                self.last = compiled.inner(context) if is_inside else compiled.evaluate(context, self.last, same)
        except BaseException:
            # The values were noted but not shown: the next rendering must not skip them.
            self._tracker.forget()
            raise
        self.data = None
        return self.last

    def _context_data(self) -> dict[str, Any]:
        data: object = self.view.get_context_data() if self.data is None else self.data
        if not isinstance(data, dict):
            raise TypeError(
                f"{type(self.view).__name__}.get_context_data must return a dict; got {type(data).__name__}. "
                "Does it end with `return super().get_context_data(**kwargs)`?"
            )
        return data

    def _find_state_error(self, state: dict[str, Any]) -> TypeError | None:
        """What the declared types, or strict serialization, have against the state."""
        try:
            check_types(self.view)
            check_state(type(self.view), state, strict=config.strict_serialization)
        except TypeError as error:
            return error
        return None

    @property
    def has_messages(self) -> bool:
        return bool(inbox_of(self.view))

    def deliver_messages(self) -> Any:
        """Call `handle_info` for the messages that wait; to be awaited if it is an `async def`."""
        self.is_woken = False
        return deliver_messages(self.view)


class Nodes:
    """The nodes of one page, by their ids; that of the root is empty.

    Parents come before what is inside them.
    """

    __slots__ = ("_nodes", "_sent", "_shown", "awaits_data", "root")

    def __init__(self, view: LiveView, request: HttpRequest) -> None:
        self.root = Node(view, request)
        self._nodes: tuple[Node, ...] = (self.root,)
        # Whether there is a get_context_data to be awaited before the page can be rendered.
        self.awaits_data = awaits_context(type(view))
        self._sent = SentFragments()
        # Set by `prepare`.
        self._shown: tuple[Fragment, Values]

    def add(self, node: Node) -> None:
        """Let the page have one node more, inside another one."""
        self._nodes += (node,)
        self.awaits_data = self.awaits_data or awaits_context(type(node.view))

    def get(self, node_id: str) -> Node | None:
        if not node_id:
            return self.root
        return next((node for node in self._nodes if node.id == node_id), None)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    async def await_data(self) -> None:
        """Await each `get_context_data` that is an `async def`, for the next rendering."""
        for node in self._nodes:
            node.data = await given_context_data(node.view)

    def prepare(self) -> None:
        """Evaluate the template for the first time, after the view was mounted."""
        self._shown = self.root.evaluate()
        if (error := self._state_error()) is not None:
            raise error

    def html(self) -> str:
        fragment, values = self._shown
        return fragment.html(values)

    def renew(self) -> Change:
        before, self._shown = self._shown, self.root.evaluate()
        fragment, values = self._shown
        if fragment is not before[0]:
            return Change([], [], self._state_error(), whole=True)
        return Change(*self._sent.diff(fragment, before[1], values), self._state_error())

    def _state_error(self) -> TypeError | None:
        """What is wrong with the state of the views, found when they were evaluated."""
        return next((node.state_error for node in self._nodes if node.state_error is not None), None)

    def all(self) -> tuple[Any, list[Any]]:
        """All values; the browser starts over."""
        return self._sent.all(*self._shown)

    def begin_again(self) -> None:
        """The browser has received nothing."""
        self._sent = SentFragments()

    def place(self, reason: str) -> str:
        """Where in the template the browser met `reason`, if it says so."""
        return self._sent.place(reason)

    def pushed(self) -> list[tuple[str, Any]]:
        """The events that the views have pushed since the last call."""
        # A task may push one just now.
        outboxes = [node.context.outbox for node in self._nodes if node.context.outbox]
        return [outbox.pop(0) for outbox in outboxes for _ in range(len(outbox))]

    def stop(self) -> None:
        for node in self._nodes:
            node.context.stop()
