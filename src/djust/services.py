"""Services: clients of other systems. A view declares a service once; it is made when it is first
needed, and is never a part of the view's state.

    def get_s3():
        return boto3.client("s3")

    class Buckets(LiveView):
        s3 = service(get_s3)        # one client for all views of the process with this factory

    self.s3.list_buckets()                          # in mount, handlers and tasks

A service lives in a *scope*: the process, the page, or one call (a mount, a turn of the page, a
task). At its end it is closed by `close()`, `aclose()`, or by leaving the context that it is. The
values stand in the scopes and not on the view, so neither state nor templates nor snapshots can
hold them.

An asynchronous service is awaited, `client = await self.api`, and belongs to the event loop on
which it was made. A factory that is `async def`, or an asynchronous context manager, makes such a
service; so does one whose annotation says that it returns a coroutine or an asynchronous context
manager. Where djust cannot see it, declare it: `api = service(get_api, is_async=True)`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cached_property, partial
from typing import Any, Generic, Literal, TypeVar, get_origin, overload

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404

from djust import process
from djust.context import all_contexts, context_of
from djust.exceptions import ServiceError
from djust.loop import page_loop
from djust.process import Phase

logger = logging.getLogger("djust")

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Lifetime = Literal["process", "page", "call"]

_CLOSE_SECONDS = 5.0
_NOT_CLOSED = "A service could not be closed: %s"
# Exceptions by which a factory answers the request. They are no failures of the service.
_ANSWERS = (Http404, PermissionDenied, SuspiciousOperation)


class _Slot:
    """A service of one scope: made once, however many callers ask at the same time."""

    __slots__ = ("close", "factory", "is_async", "is_made", "lock", "needs", "value")

    def __init__(self, factory: Callable[[], Any], *, is_async: bool) -> None:
        self.factory = factory
        self.is_async = is_async
        self.lock: Any = asyncio.Lock() if is_async else threading.Lock()
        # While the factory runs: the services that it has asked for.
        self.needs: set[_Slot] | None = None
        self.is_made = False
        self.value: Any = None
        self.close: Any = None

    def make(self, title: str) -> Any:
        """The service, made if it is not there; `title` is what errors call it."""
        self._refuse_circle(title)
        with self.lock:
            if not self.is_made:
                with self._making(title):
                    self.open(self.factory(), title)
        return self.value

    async def make_async(self, title: str) -> Any:
        """The same for an asynchronous service."""
        if not self.is_made:
            self._refuse_circle(title)
            async with self.lock:
                if not self.is_made:
                    with self._making(title):
                        await self._open_async(self.factory(), title)
        return self.value

    def open(self, made: Any, title: str) -> None:
        """Take what the factory returned; a context is entered."""
        if inspect.iscoroutine(made) or _is_async_context(type(made)):
            if inspect.iscoroutine(made):
                made.close()
            raise ServiceError(
                f"{title}: factory {name_of(self.factory)} returned {type(made).__name__}, which has to be awaited. "
                f"Declare service({name_of(self.factory)}, is_async=True), and await it in async def methods."
            )
        if inspect.isgenerator(made) or inspect.isasyncgen(made):
            decorator = "contextmanager" if inspect.isgenerator(made) else "asynccontextmanager"
            raise ServiceError(
                f"{title}: factory {name_of(self.factory)} is a generator, from which djust takes no service. "
                f"Decorate it with @contextlib.{decorator}."
            )
        if _is_context(type(made)):
            self._put(made.__enter__(), partial(made.__exit__, None, None, None))
        else:
            self._put(made)

    async def _open_async(self, made: Any, title: str) -> None:
        if inspect.iscoroutine(made):
            made = await made
        if _is_async_context(type(made)):
            self._put(await made.__aenter__(), partial(made.__aexit__, None, None, None))
        else:
            self.open(made, title)

    def _put(self, value: Any, close: Any = None) -> None:
        # Asynchronous clients have `aclose`.
        self.close = close or getattr(value, "aclose", getattr(value, "close", None))
        self.value, self.is_made = value, True

    @contextmanager
    def _making(self, title: str) -> Iterator[None]:
        token = _making.set(self)
        self.needs = set()
        try:
            with failures_of(self.factory, title):
                yield
        finally:
            _making.reset(token)
            # Another thread may look through the set just now.
            self.needs = None

    def _refuse_circle(self, title: str) -> None:
        """Raise if this service, to be made, needs the one for which it is asked for here."""
        asking = _making.get()
        needs = None if asking is None else asking.needs
        if asking is None or needs is None:
            return
        with _needs_lock:
            if self._does_need(asking):
                raise ServiceError(
                    f"{title}: factory {name_of(self.factory)} uses the service that it makes, itself or by way of "
                    "another one. Let one of them do without the other."
                )
            needs.add(self)

    def _does_need(self, other: _Slot) -> bool:
        return self is other or any(needed._does_need(other) for needed in self.needs or ())

    def begin_closing(self) -> Coroutine[Any, Any, None] | None:
        """Close the service, which may block. Returns what has to be awaited after that."""
        try:
            closing = self.close() if callable(self.close) else None
        except Exception:
            logger.exception(_NOT_CLOSED, type(self.value).__name__)
            return None
        return self._finish_closing(closing) if inspect.isawaitable(closing) else None

    async def _finish_closing(self, closing: Awaitable[Any]) -> None:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await closing
        except Exception:
            logger.exception(_NOT_CLOSED, type(self.value).__name__)


# What this chain of calls is making: the factory of one service may use another one.
_making: ContextVar[_Slot | None] = ContextVar("djust_making", default=None)
_needs_lock = process.Lock()


class Services:
    """The services of a process, page or call, by factory; asynchronous ones also by loop."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all services without closing them: clients do not survive a fork."""
        self._lock = threading.Lock()
        self._slots: dict[tuple[object, asyncio.AbstractEventLoop | None], _Slot] = {}

    def slot(self, factory: Callable[[], Any], loop: asyncio.AbstractEventLoop | None = None) -> _Slot:
        """The place of a service, on a loop if it is asynchronous."""
        with self._lock:
            slot = self._slots.get((factory, loop))
            if slot is None:
                # Under WSGI, each asynchronous request has a loop of its own. Services that were
                # made on it end with it.
                for old in [key for key in self._slots if key[1] is not None and key[1].is_closed()]:
                    del self._slots[old]
                slot = self._slots[factory, loop] = _Slot(factory, is_async=loop is not None)
            return slot

    def add(self, factory: Callable[[], Any], *, is_async: bool) -> _Slot:
        """The place of a service that no factory leads to, so that the scope closes it."""
        slot = _Slot(factory, is_async=is_async)
        with self._lock:
            self._slots[slot, None] = slot
        return slot

    def drain(self) -> list[_Slot]:
        """Everything that was made, the newest first; the scope is empty again."""
        with self._lock:
            slots = [slot for slot in self._slots.values() if slot.is_made]
            self._slots.clear()
        return slots[::-1]

    def close(self) -> None:
        """Close everything: asynchronous services on the event loop, the others in this thread."""
        for slot in self.drain():
            if (closing := slot.begin_closing()) is not None:
                page_loop.call(_spawn, closing)

    def stop(self) -> None:
        """Close everything, soon: the page of this scope is gone."""
        page_loop.call(lambda: _spawn(self.aclose()))

    async def aclose(self) -> None:
        """Close everything; services that may block, in a thread."""
        for slot in self.drain():
            if (closing := await asyncio.to_thread(slot.begin_closing)) is not None:
                await closing


def _spawn(work: Coroutine[Any, Any, None]) -> None:
    _spawned.add(task := asyncio.ensure_future(work))
    task.add_done_callback(_spawned.discard)


_spawned: set[asyncio.Future[None]] = set()
_process = Services()
_call: ContextVar[list[Services] | None] = ContextVar("djust_services", default=None)
overrides: dict[Callable[[], Any], list[Any]] = {}
"""Fakes by factory, the innermost last; see `djust.testing.override_service`."""


class Service(Generic[T]):
    """What `service()` puts into the class."""

    def __init__(self, factory: Callable[[], Any], scope: Lifetime, is_async: bool) -> None:
        self.factory = factory
        self.scope = scope
        self.name = ""
        self._declared_async = is_async

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<service {name_of(self.factory)}, scope {self.scope}>"

    @cached_property
    def is_async(self) -> bool:
        """Whether the service is awaited. Asked at its first use, when annotations resolve."""
        return self._declared_async or is_asynchronous(self.factory)

    @overload
    def __get__(self, instance: None, owner: type) -> Service[T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if self.factory in overrides:
            return _fake_of(self.factory, self.is_async)
        title = f"{type(instance).__name__}.{self.name}"
        scope = self._scope_of(instance, title)
        if not self.is_async:
            slot = scope.slot(self.factory)
            return slot.value if slot.is_made else slot.make(title)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ServiceError(
                f"{title}: factory {name_of(self.factory)} makes an asynchronous service, which is awaited in async "
                "def methods and cannot be used in others."
            ) from None
        return _Pending(partial(scope.slot(self.factory, loop).make_async, title))

    def __set__(self, instance: object, value: object) -> None:
        raise AttributeError(
            f"{type(instance).__name__}.{self.name} is a service and cannot be assigned. "
            f"In tests use djust.testing.override_service({name_of(self.factory)}, …)."
        )

    def _scope_of(self, instance: object, title: str) -> Services:
        if self.scope == "process":
            return _process
        if self.scope == "page":
            return context_of(instance).part(Services)
        scopes = _call.get()
        if scopes is None:
            raise ServiceError(
                f'{title} is a service of scope "call", and no call is under way: it can be used while mount, a '
                'handler or a task runs. Use scope="page" for a longer life.'
            )
        if not scopes:
            scopes.append(Services())
        return scopes[0]


_Async = Callable[[], Coroutine[Any, Any, T]] | Callable[[], AbstractAsyncContextManager[T]]


@overload
def service(factory: _Async[T], *, scope: Lifetime = ..., is_async: bool = ...) -> Service[Awaitable[T]]: ...
@overload
def service(factory: Callable[[], T], *, scope: Lifetime = ..., is_async: Literal[True]) -> Service[Awaitable[T]]: ...
@overload
def service(factory: Callable[[], AbstractContextManager[T]], *, scope: Lifetime = ...) -> Service[T]: ...
@overload
def service(factory: Callable[[], T], *, scope: Lifetime = ...) -> Service[T]: ...
def service(factory: Callable[[], Any], *, scope: Lifetime = "process", is_async: bool = False) -> Any:
    """Declare a service of a view: `factory()` makes it when it is first used.

    `scope` says how long it lives, and for whom: "process" (all views that name this factory share
    one), "page" or "call" (one mount, handler or task). At its end it is closed. `is_async=True`
    says that the service is awaited, where neither the factory nor its annotation says so.
    """
    if not callable(factory):
        raise TypeError(f"service() expects a factory, a callable without arguments; got {factory!r:.100}.")
    if scope not in ("process", "page", "call"):
        raise TypeError(f'service(scope=…) must be "process", "page" or "call"; got {scope!r}.')
    return Service(factory, scope, is_async)


# Asynchronous or not


class _Pending(Generic[T]):
    """An asynchronous service: `await` it. Nothing is made before."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._make = make

    def __await__(self) -> Generator[Any, None, T]:
        return self._make().__await__()


def is_asynchronous(factory: Any) -> bool:
    """Whether one can see that what `factory` makes is awaited."""
    while isinstance(factory, partial):
        factory = factory.func
    if isinstance(factory, type):
        return _is_async_context(factory)
    if not inspect.isroutine(factory):
        factory = type(factory).__call__
    if inspect.iscoroutinefunction(factory) or inspect.isasyncgenfunction(inspect.unwrap(factory)):
        return True
    try:
        returned = inspect.get_annotations(factory, eval_str=True).get("return")
    except Exception:  # noqa: BLE001 — an annotation may be any expression, and name what only type checkers import
        return False
    kind = get_origin(returned) or returned
    return isinstance(kind, type) and (
        kind is Awaitable or issubclass(kind, Coroutine) or (kind is not Any and _is_async_context(kind))
    )


def is_pending(value: object) -> bool:
    """Whether a provider made `value` with a coroutine. Some clients are awaitable, too."""
    return inspect.iscoroutine(value) or isinstance(value, _Pending)


def _is_context(kind: type) -> bool:
    return hasattr(kind, "__enter__") and not hasattr(kind, "close") and kind.__module__ != "_thread"


def _is_async_context(kind: type) -> bool:
    return hasattr(kind, "__aenter__") and not (hasattr(kind, "aclose") or hasattr(kind, "close"))


@contextmanager
def failures_of(factory: Callable[[], Any], title: str) -> Iterator[None]:
    """What a factory raises becomes a `ServiceError` that names view, service and factory."""
    try:
        yield
    except (ServiceError, *_ANSWERS):
        raise
    except Exception as error:
        raise ServiceError(f"{title}: factory {name_of(factory)} raised {type(error).__name__}: {error}") from error


def name_of(factory: object) -> str:
    """What messages call a factory."""
    return str(getattr(factory, "__qualname__", None) or type(factory).__name__)


# Scopes that end


class call_scope:  # noqa: N801 — used as a word: `with call_scope():`
    """While this is entered, services of scope "call" live; afterwards they are closed.

    On an event loop, use `async with`, so that a service that blocks does not block the loop.
    """

    __slots__ = ("_scopes", "_token")

    def __enter__(self) -> None:
        self._scopes: list[Services] = []
        self._token = _call.set(self._scopes)

    def __exit__(self, *_: object) -> None:
        _call.reset(self._token)
        for scope in self._scopes:
            scope.close()

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        _call.reset(self._token)
        for scope in self._scopes:
            await scope.aclose()


def _all_scopes() -> list[Services]:
    pages = (context.take_out(Services) for context in all_contexts())
    return [_process, *filter(None, pages)]


async def close_process_services() -> None:
    """The server ends: close everything."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            for scope in _all_scopes():
                await scope.aclose()
    except TimeoutError:
        logger.warning("Not all services were closed within %g seconds.", _CLOSE_SECONDS)


def _close_at_exit() -> None:
    for scope in _all_scopes():
        for slot in scope.drain():
            # No loop runs any more, so asynchronous services cannot be closed.
            is_async = slot.is_async or inspect.iscoroutinefunction(slot.close)
            if not is_async and (closing := slot.begin_closing()) is not None:
                closing.close()


def _forget() -> None:
    for scope in [_process, *(context.find(Services) for context in all_contexts())]:
        if scope is not None:
            scope.reset()


process.register(Phase.SERVICES, stop=close_process_services, at_exit=_close_at_exit, forget=_forget)


# What providers give


def _fake_of(factory: Callable[[], Any], is_async: bool) -> Any:
    fake = overrides[factory][-1]

    async def make() -> Any:
        return fake

    return _Pending(make) if is_async else fake


def provided_by(factory: Callable[[], Any], view: object, name: str) -> Any:
    """What a provider of `live_session` gives to `mount`: `is_pending` if it is asynchronous.

    What a generator with `@contextmanager` opens is closed when the page is gone. Anything else is
    not closed: the provider may give the same object to all pages.
    """
    if factory in overrides:
        return _fake_of(factory, is_asynchronous(factory))
    title = f"{type(view).__name__}.{name}"
    function = inspect.unwrap(factory)
    if inspect.isasyncgenfunction(function):
        return context_of(view).part(Services).add(factory, is_async=True).make_async(title)
    with failures_of(factory, title):
        made = factory()
        if inspect.isgeneratorfunction(function) and _is_context(type(made)):
            slot = context_of(view).part(Services).add(factory, is_async=False)
            slot.open(made, title)
            return slot.value
    return _await_provider(made, factory, title) if inspect.iscoroutine(made) else made


async def _await_provider(made: Awaitable[Any], factory: Callable[[], Any], title: str) -> Any:
    with failures_of(factory, title):
        return await made
