"""Services: what views talk with, declared once, made when it is first needed, and never a part of their state.

    def get_s3():
        return boto3.client("s3")

    class Buckets(LiveView):
        s3 = service(get_s3)                        # one client for all views of the process that name this factory

    self.s3.list_buckets()                          # in mount, handlers and tasks

A service lives in a *scope*: the process, the page, or one call (a mount, a turn of the page, a task). At its end it is
closed by `close()`, `aclose()`, or by leaving the context that it is. The values stand in the scopes and not on the
view, so neither state nor templates nor snapshots can hold them.

A factory that is `async def`, or that gives a coroutine or an asynchronous context manager, makes a service that is
awaited: `client = await self.api`. It belongs to the event loop on which it was made.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Generic, Literal, ParamSpec, TypeVar, cast, overload

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404

from djust.context import all_contexts, context_of
from djust.exceptions import ServiceError
from djust.loop import page_loop

logger = logging.getLogger("djust")

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
Scopes = Literal["process", "page", "call"]

_CLOSE_SECONDS = 5.0
# What a factory raises to answer the request; these are no failures of the service.
_ANSWERS = (Http404, PermissionDenied, SuspiciousOperation)


class _Slot:
    """A service of one scope: made once, whoever asks at the same time."""

    __slots__ = ("async_lock", "close", "is_async", "is_made", "lock", "maker", "spare", "value")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.async_lock: asyncio.Lock | None = None
        # The task or thread that makes it.
        self.maker: object = None
        self.is_made = False
        # It is made and closed by coroutines.
        self.is_async = False
        # What the factory gave when this was found out, for the first who awaits it.
        self.spare: list[Any] = []
        self.value: Any = None
        self.close: Callable[[], Any] | None = None


class _Scope:
    """The services of the process, of a page or of a call, by their factories; asynchronous ones by their loop, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[object, _Slot] = {}

    def slot(self, key: object) -> _Slot:
        with self._lock:
            if key not in self._slots:
                # Under WSGI each asynchronous request has a loop of its own, and takes what was made on it along.
                for old in [old for old in self._slots if isinstance(old, tuple) and old[1].is_closed()]:
                    del self._slots[old]
                self._slots[key] = _Slot()
            return self._slots[key]

    def take(self) -> list[_Slot]:
        """Everything that was made, the newest first; the scope is empty again."""
        with self._lock:
            slots = [slot for slot in self._slots.values() if slot.is_made]
            self._slots.clear()
        return slots[::-1]

    def close(self) -> None:
        """Close everything: what needs the event loop there, the rest here."""
        for slot in self.take():
            closing = _closed(slot)
            if closing is not None:
                page_loop.call(_finish, closing)

    def stop(self) -> None:
        """Close everything, soon: the page of this scope is gone."""
        page_loop.call(lambda: _finish(self.aclose()))

    async def aclose(self) -> None:
        """Close everything: what blocks in a thread."""
        for slot in self.take():
            closing = await asyncio.to_thread(_closed, slot)
            if closing is not None:
                await closing


def _closed(slot: _Slot) -> Awaitable[None] | None:
    """Close one service; what is left to be awaited."""
    try:
        closing = slot.close() if slot.close is not None else None
    except Exception:
        logger.exception("A service could not be closed: %s", type(slot.value).__name__)
        return None
    return _awaited(closing, slot) if inspect.isawaitable(closing) else None


async def _awaited(closing: Awaitable[Any], slot: _Slot) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await closing
    except Exception:
        logger.exception("A service could not be closed: %s", type(slot.value).__name__)


def _finish(closing: Awaitable[None]) -> None:
    _closing.add(task := asyncio.ensure_future(closing))
    task.add_done_callback(_closing.discard)


_closing: set[asyncio.Future[None]] = set()
_process = _Scope()
_call: ContextVar[list[_Scope] | None] = ContextVar("djust_services", default=None)
_overrides: dict[Callable[[], Any], list[Any]] = {}
# Clients do not survive a fork.
os.register_at_fork(after_in_child=_process.__init__)  # type: ignore[misc] # it is made anew


class Service(Generic[T]):
    """What `service()` puts into the class."""

    def __init__(self, factory: Callable[[], Any], scope: Scopes) -> None:
        self.factory = factory
        self.scope = scope
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<service {name_of(self.factory)}, scope {self.scope}>"

    @overload
    def __get__(self, instance: None, owner: type) -> Service[T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        if instance is None:
            return self
        title = f"{type(instance).__name__}.{self.name}"
        if self.factory in _overrides:
            fake = _overrides[self.factory][-1]
            return _Ready(fake) if is_asynchronous(self.factory) else fake
        scope = self._scope_of(instance, title)
        slot = scope.slot(self.factory)
        if not slot.is_made and not slot.is_async:
            if is_asynchronous(self.factory):
                slot.is_async = True
            else:
                _make(slot, self.factory, title)
        return self._pending(scope, title, slot.spare) if slot.is_async else slot.value

    def __set__(self, instance: object, value: object) -> None:
        raise AttributeError(
            f"{type(instance).__name__}.{self.name} is a service and cannot be assigned. "
            f"In tests use djust.testing.override_service({name_of(self.factory)}, …)."
        )

    def _scope_of(self, instance: object, title: str) -> _Scope:
        if self.scope == "process":
            return _process
        if self.scope == "page":
            return context_of(instance).part(_Scope)
        scopes = _call.get()
        if scopes is None:
            raise ServiceError(
                f'{title} is a service of scope "call", and no call is under way: it can be used while mount, a '
                'handler or a task runs. Use scope="page" for a longer life.'
            )
        if not scopes:
            scopes.append(_Scope())
        return scopes[0]

    def _pending(self, scope: _Scope, title: str, spare: list[Any]) -> _Pending[Any]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ServiceError(
                f"{title}: factory {name_of(self.factory)} makes an asynchronous service, which is awaited in async "
                "def methods and cannot be used in others."
            ) from None
        return _Pending(scope.slot((self.factory, loop)), self.factory, title, spare)


@overload
def service(factory: Callable[[], Coroutine[Any, Any, T]], *, scope: Scopes = ...) -> Service[Awaitable[T]]: ...
@overload
def service(factory: Callable[[], AbstractAsyncContextManager[T]], *, scope: Scopes = ...) -> Service[Awaitable[T]]: ...
@overload
def service(factory: Callable[[], AbstractContextManager[T]], *, scope: Scopes = ...) -> Service[T]: ...
@overload
def service(factory: Callable[[], T], *, scope: Scopes = ...) -> Service[T]: ...
def service(factory: Callable[[], Any], *, scope: Scopes = "process") -> Any:
    """Declare a service of a view: `factory()` makes it when it is first used.

    `scope` says how long it lives, and for whom: "process" (all views that name this factory share one), "page" or
    "call" (one mount, handler or task). At its end it is closed.
    """
    if not callable(factory):
        raise TypeError(f"service() expects a factory, a callable without arguments; got {factory!r:.100}.")
    if scope not in ("process", "page", "call"):
        raise TypeError(f'service(scope=…) must be "process", "page" or "call"; got {scope!r}.')
    return Service(factory, scope)


# Making


def _make(slot: _Slot, factory: Callable[[], Any], title: str) -> None:
    """Let the slot have its service, or a spare one of those that a coroutine has to make."""
    me = _wait(slot, factory, title)
    with slot.lock:
        _waits.pop(me, None)
        if slot.is_made or slot.is_async:
            return
        slot.maker = me
        try:
            made = called(factory, title)
            if inspect.iscoroutine(made) or _is_async_context(made):
                slot.spare.append(made)
                slot.is_async = True
            else:
                with failures_of(factory, title):
                    _put(slot, made)
        finally:
            slot.maker = None


def _put(slot: _Slot, made: Any) -> None:
    if _is_context(made):
        slot.value = made.__enter__()
        slot.close = lambda: made.__exit__(None, None, None)
    else:
        slot.value, slot.close = made, _closer(made)
    slot.is_made = True


async def _put_async(slot: _Slot, made: Any) -> None:
    if inspect.iscoroutine(made):
        made = await made
    if _is_async_context(made):
        slot.value = await made.__aenter__()
        slot.close = lambda: made.__aexit__(None, None, None)
    else:
        slot.value, slot.close = made, _closer(made)
    slot.is_async = slot.is_made = True


# What a task or thread waits for; and a lock, so that of two that would wait for each other one sees it.
_waits: dict[object, _Slot] = {}
_waiting = threading.Lock()


def _wait(slot: _Slot, factory: Callable[[], Any], title: str) -> object:
    """Say that the one who calls, which is given, waits for a slot; refused if the maker of it waits for the caller."""
    try:
        me: object = asyncio.current_task() or threading.get_ident()
    except RuntimeError:
        me = threading.get_ident()
    with _waiting:
        following: _Slot | None = slot
        while following is not None and following.maker is not None:
            if following.maker == me:
                raise ServiceError(
                    f"{title}: factory {name_of(factory)} uses the service that it makes, itself or by way of another "
                    "one. Let one of them do without the other."
                )
            following = _waits.get(following.maker)
        _waits[me] = slot
    return me


class _Pending(Generic[T]):
    """An asynchronous service: `await` it."""

    def __init__(self, slot: _Slot, factory: Callable[[], Any], title: str, spare: list[Any]) -> None:
        self._slot = slot
        self._factory = factory
        self._title = title
        self._spare = spare

    def __await__(self) -> Generator[Any, None, T]:
        return self._made().__await__()

    async def _made(self) -> T:
        slot = self._slot
        if not slot.is_made:
            slot.async_lock = slot.async_lock or asyncio.Lock()
            me = _wait(slot, self._factory, self._title)
            try:
                async with slot.async_lock:
                    _waits.pop(me, None)
                    if not slot.is_made:
                        await self._make(me)
            finally:
                _waits.pop(me, None)
        return cast("T", slot.value)

    async def _make(self, me: object) -> None:
        self._slot.maker = me
        try:
            with failures_of(self._factory, self._title):
                try:
                    made = self._spare.pop()
                except IndexError:
                    made = self._factory()
                await _put_async(self._slot, made)
        finally:
            self._slot.maker = None


class _Ready(Generic[T]):
    """Something that is there already, for who awaits it."""

    def __init__(self, value: T) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, T]:
        yield from ()
        return self._value


def is_asynchronous(factory: Callable[[], Any]) -> bool:
    """Whether one can see that what `factory` makes is awaited."""
    if isinstance(factory, type):
        return _is_async_context_class(factory)
    return inspect.iscoroutinefunction(factory) or inspect.isasyncgenfunction(inspect.unwrap(factory))


def is_pending(value: object) -> bool:
    """Whether `value` is what a provider makes with a coroutine. Some clients can be awaited, and are not meant."""
    return inspect.iscoroutine(value) or isinstance(value, _Ready)


def _is_context(made: Any) -> bool:
    return hasattr(type(made), "__enter__") and not hasattr(made, "close") and type(made).__module__ != "_thread"


def _is_async_context(made: Any) -> bool:
    return _is_async_context_class(type(made))


def _is_async_context_class(kind: type) -> bool:
    return hasattr(kind, "__aenter__") and not (hasattr(kind, "aclose") or hasattr(kind, "close"))


def _closer(made: Any) -> Callable[[], Any] | None:
    """How an object without a context is closed; `aclose` is what asynchronous clients have."""
    for name in ("aclose", "close"):
        closer = getattr(made, name, None)
        if callable(closer):
            return cast("Callable[[], Any]", closer)
    return None


def called(factory: Callable[[], Any], title: str) -> Any:
    """What `factory()` gives; its failure names view, service and factory."""
    with failures_of(factory, title):
        return factory()


@contextmanager
def failures_of(factory: Callable[[], Any], title: str) -> Iterator[None]:
    """What a factory raises becomes a `ServiceError` that says where."""
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

    On an event loop it is `async with`, so that nobody waits there for one that blocks.
    """

    __slots__ = ("_scopes", "_token")

    def __enter__(self) -> None:
        self._scopes: list[_Scope] = []
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


def _scopes_of_pages() -> list[_Scope]:
    return [scope for context in all_contexts() if (scope := context.take_out(_Scope)) is not None]


async def close_process_services() -> None:
    """The server ends: close everything."""
    scopes = [_process, *_scopes_of_pages()]
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            for scope in scopes:
                await scope.aclose()
    except TimeoutError:
        logger.warning("Not all services were closed within %g seconds.", _CLOSE_SECONDS)


@atexit.register
def _close_at_exit() -> None:
    for scope in [_process, *_scopes_of_pages()]:
        for slot in scope.take():
            if not slot.is_async and not inspect.iscoroutinefunction(slot.close):
                _closed(slot)


# Fakes


class override_service:  # noqa: N801 — used as a word: `with override_service(get_s3, fake):`
    """While this is entered, or the function that it decorates runs, `fake` is what services and providers of
    `factory` are. It is neither called nor closed.
    """

    def __init__(self, factory: Callable[[], Any], fake: Any) -> None:
        self._factory = factory
        self._fake = fake

    def __enter__(self) -> Any:
        _overrides.setdefault(self._factory, []).append(self._fake)
        return self._fake

    def __exit__(self, *_: object) -> None:
        fakes = _overrides[self._factory]
        fakes.pop()
        if not fakes:
            del _overrides[self._factory]

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function or a coroutine function."""
        if isinstance(function, type) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"override_service decorates functions; {function!r} is a class or a generator function. Decorate each "
                "test, or write `with override_service(…):` where it is set up."
            )
        if inspect.iscoroutinefunction(function):

            async def asynchronous(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return cast("Callable[P, R]", wraps(function)(asynchronous))

        @wraps(function)
        def synchronous(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return synchronous


def provided_by(factory: Callable[[], Any], view: object, name: str) -> Any:
    """What a provider of `live_session` gives to `mount`: `is_pending` if it is asynchronous.

    What a generator with `@contextmanager` opens is closed when the page is gone. Anything else is the provider's own,
    which may well give the same to all pages.
    """
    if factory in _overrides:
        fake = _overrides[factory][-1]
        return _Ready(fake) if is_asynchronous(factory) else fake
    title = f"{type(view).__name__}.{name}"
    made = called(factory, title)
    if inspect.isgeneratorfunction(inspect.unwrap(factory)) and _is_context(made):
        slot = context_of(view).part(_Scope).slot(object())
        with failures_of(factory, title):
            _put(slot, made)
        return slot.value
    if inspect.isasyncgenfunction(inspect.unwrap(factory)):
        return _opened(made, context_of(view).part(_Scope).slot(object()), factory, title)
    return _awaited_by(made, factory, title) if inspect.iscoroutine(made) else made


async def _opened(made: Any, slot: _Slot, factory: Callable[[], Any], title: str) -> Any:
    with failures_of(factory, title):
        await _put_async(slot, made)
    return slot.value


async def _awaited_by(made: Awaitable[Any], factory: Callable[[], Any], title: str) -> Any:
    with failures_of(factory, title):
        return await made
