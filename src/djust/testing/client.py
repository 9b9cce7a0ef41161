"""`LiveClient`: a browser for tests, without a browser, a server or a socket.

    page = LiveClient(BasketView, basket_id=7)          or LiveClient("/basket/7/", user=ada)
    page.click("remove", item_id=1)
    assert "Pear" not in page.html

As with a browser, its events go into the channel of the page: see `testing/driver.py`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import ResolverMatch

from djust.exceptions import HandlerError
from djust.live.guards import MOUNT, WITHOUT_MIDDLEWARE
from djust.live.mount import Mount, Purpose, with_sync_thread
from djust.protocol import frames as wire
from djust.state.codec import encode_state
from djust.state.fields import fields_version
from djust.state.snapshots import Snapshot
from djust.testing.driver import Driver
from djust.testing.markup import fields_to_send, handlers_in
from djust.testing.requests import request_for
from djust.views import LiveView, state_of

_MARKS = re.compile(r"<!--(?:\[|\]|,)-->|(<[a-zA-Z][^\s<>/]*) dj(?=[\s/>])")


class LiveClient:
    """A page of a live view, as its browser would show it.

    `view` is a view class, whose `mount` gets the other keyword arguments, or the URL of a view,
    which is requested with all middleware. `user` has logged in; `session` is what their session
    holds. For a URL, `client` may be a `django.test.Client` that has done more. `path` is the path
    of the request that a view class sees. Nothing may take longer than `timeout` seconds.

    An exception of a handler, a template or `handle_info` is raised by the method that caused it.
    """

    def __init__(
        self,
        view: type[LiveView] | str,
        /,
        *,
        user: Any = None,
        session: dict[str, Any] | None = None,
        client: Client | None = None,
        path: str = "/",
        timeout: float = 10.0,
        **kwargs: Any,
    ) -> None:
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "LiveClient runs handlers in the thread of the test, and this one runs an event loop. Make the test an "
                "ordinary def; coroutines of views are awaited nevertheless."
            )
        self._title = view if isinstance(view, str) else view.__name__
        self._driver = Driver(self._title, timeout)
        self._ref = 0
        self._is_open = self._is_away = self._was_closed = False
        self._request: Callable[[Mount], HttpResponseBase]
        if isinstance(view, str):
            if kwargs:
                raise TypeError(f"LiveClient({view!r}): the URL says what mount gets; it takes no {min(kwargs)}=….")
            browser = client or Client()
            _prepare(browser, user, session)
            self._request = partial(_get, browser, view)
        else:
            request = request_for(path, user, session)
            self._request = partial(_mount, self._driver, view, kwargs, request)
        #: The answer to the request, such as a redirect; empty if a page was mounted.
        self.response: HttpResponseBase
        self._open(Mount(Purpose.NAVIGATE))

    def _open(self, mount: Mount) -> None:
        self.response = self._request(mount)
        if mount.restore_failed:
            self._open(Mount(Purpose.NAVIGATE))
            return
        # Django's client empties an answer without content: a copy, made by middleware perhaps.
        page = mount.page if self.response.status_code == 204 else mount.page_in(self.response)
        if page is not None:
            self._is_open = True
            self._driver.attach(page)

    # Looking at the page

    @property
    def html(self) -> str:
        """The HTML of the page as it is now, without our marks."""
        return _MARKS.sub(r"\1", self._caught_up().page.html())

    @property
    def state(self) -> dict[str, Any]:
        """The public attributes of the view, by name."""
        return dict(state_of(self._caught_up().page.view))

    @property
    def view(self) -> Any:
        """The view itself. What a test changes in it is shown after the next event."""
        return self._caught_up().page.view

    @property
    def pushed(self) -> list[tuple[str, Any]]:
        """What `push_event` has sent so far: names and payloads, as JSON gives them."""
        return list(self._caught_up().pushed)

    def _caught_up(self) -> Driver:
        self._opened.receive()
        return self._opened

    @property
    def _opened(self) -> Driver:
        if self._was_closed:
            raise RuntimeError(f"{self._title}: the page was closed. Open another one: LiveClient(…).")
        if self._is_away:
            raise RuntimeError(f"{self._title}: the page is disconnected. Call reconnect() first.")
        if not self._is_open:
            status = f"{self.response.status_code} {self.response.headers.get('Location', '')}".strip()
            raise RuntimeError(
                f"{self._title}: no live page was mounted; the answer was {status}, and is in .response. Does it ask "
                "for a user (LiveClient(…, user=…)), or is it no LiveView?"
            )
        return self._driver

    # Acting as the user

    def click(self, handler: str, /, *args: Any, **params: Any) -> None:
        """Click the element with `dj-click="handler"`, which must be there.

        Parameters are given here, not read from the element.
        """
        self._act("dj-click", handler, args, params)

    def change(self, handler: str, /, *args: Any, **params: Any) -> None:
        """Change the field with `dj-change="handler"`: `value="…"` is the parameter, as a rule."""
        self._act("dj-change", handler, args, params)

    def input(self, handler: str, /, *args: Any, **params: Any) -> None:
        """Type into the field with `dj-input="handler"`: the parameter is `value`, as a rule."""
        self._act("dj-input", handler, args, params)

    def submit(self, handler: str, /, **fields: Any) -> None:
        """Submit the form with `dj-submit="handler"`: the given fields, and what the others show.

        A list is a repeated field or a multiple selection, None leaves a field out, and a boolean
        is a checkbox. If several forms have this handler, it is the one whose hidden fields have
        the given values.
        """
        self._event(handler, (), fields_to_send(self.html, self._title, handler, fields))

    def event(self, handler: str, /, *args: Any, **params: Any) -> None:
        """Call a handler as an event of any other kind does, such as one that a script sends."""
        self._event(handler, args, params)

    def ask(self, handler: str, /, *args: Any, **params: Any) -> Any:
        """As `event`; gives what the handler returns, as `pushEvent` of a script gets it."""
        return self._event(handler, args, params, asks=True)

    def _act(self, directive: str, handler: str, args: tuple[Any, ...], params: dict[str, Any]) -> None:
        known = handlers_in(self.html, directive)
        if handler not in known:
            raise AssertionError(
                f'{self._title}: no element of the page has {directive}="{handler}"; '
                f"the page has it for: {', '.join(sorted(known)) or 'nothing'}."
            )
        self._event(handler, args, params)

    def _event(self, handler: str, args: tuple[Any, ...], params: dict[str, Any], *, asks: bool = False) -> Any:
        self._ref += 1
        text = json.dumps([self._ref, handler, params, args, int(asks)], cls=DjangoJSONEncoder)
        self._opened.receive(text)
        answer = self._opened.answer(self._ref)
        if answer[0] == wire.ERROR:
            raise HandlerError(answer[2])
        extra = answer[-1] if isinstance(answer[-1], dict) else {}
        return extra.get(wire.EXTRA_REPLY)

    # Background tasks

    def settle(self) -> None:
        """Let background tasks (`assign_async`, `start_async`, `@background`) run to their end.

        Until then, tasks wait. So a test sees what the page shows in the meantime.
        """
        self._opened.settle()

    def disconnect(self) -> None:
        """Lose the connection: the page stays, and waits for `reconnect`. Its view's `disconnected`
        is called.
        """
        self._opened.disconnect()
        self._is_away = True

    def reconnect(self) -> None:
        """Connect again, as a browser does automatically. The view's `connected` is called."""
        self._is_away = False
        self._opened.reconnect()

    def restart(self) -> None:
        """Simulate a restart of the server: a new view is restored from a snapshot of the state."""
        page = self._caught_up().page
        state, version = encode_state(state_of(page.view)), fields_version(type(page.view))
        self._leave()
        snapshot = Snapshot(version, page.fingerprint, page.version, self._ref, page.tab_id, state)
        self._open(Mount(Purpose.RESTORE, snapshot=snapshot))

    def close(self) -> None:
        """Leave the page. A test needs this only if background tasks of its page still run."""
        self._leave()
        self._was_closed = True

    def _leave(self) -> None:
        if self._is_open:
            self._driver.leave()
            self._is_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _prepare(browser: Client, user: Any, session: dict[str, Any] | None) -> None:
    if user is not None:
        browser.force_login(user)
    if session:
        stored = browser.session
        stored.update(session)
        stored.save()


def _get(browser: Client, url: str, mount: Mount) -> HttpResponseBase:
    meta: dict[str, Any] = {MOUNT: mount}
    return browser.get(url, **meta)


def _mount(
    driver: Driver, view_class: type[LiveView], kwargs: dict[str, Any], request: HttpRequest, mount: Mount
) -> HttpResponseBase:
    function = view_class.as_view()
    # The guards of the class are asked before each event, as for a page with a URL.
    request.resolver_match = ResolverMatch(function, (), kwargs)
    vars(request)[MOUNT] = mount
    request.META[WITHOUT_MIDDLEWARE] = True
    response = function(request, **kwargs)
    if inspect.iscoroutine(response):
        response = driver.run(with_sync_thread(response))
    session = vars(request).get("session")
    if session is not None and session.modified:
        # As Django's middleware does.
        session.save()
    answer: HttpResponseBase = response
    return answer
