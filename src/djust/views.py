"""`LiveView`: what users write.

    class CounterView(LiveView):
        template = "<p>{{ count }}</p><button dj-click='add'>+</button>"
        count = state(default=0)

        @event_handler
        def add(self):
            self.count += 1

An instance holds what its author assigned, and what Django's own `View` puts there. What djust
keeps about it stands in its `LiveContext` (`context.py`) and in its page (`live/page.py`). `get`
and `post` hand over to the *responder*, which is `live/responder.py`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial, update_wrapper
from typing import Any, ClassVar, TypeAlias
from weakref import WeakKeyDictionary

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template import Engine, Template, loader
from django.utils.decorators import classonlymethod
from django.utils.functional import classproperty
from django.views.generic import View

from djust import access
from djust.context import context_of
from djust.events.handlers import is_handler
from djust.pubsub import subscriptions
from djust.services import Service, is_pending, provided_by
from djust.state.fields import per_class, prepare_fields, public_state
from djust.tasks import BackgroundTasks, page_now, running_task

Answer: TypeAlias = HttpResponseBase | Coroutine[Any, Any, HttpResponseBase]
Responder: TypeAlias = "Callable[[LiveView, HttpRequest], Answer]"


class LiveView(BackgroundTasks, View):
    """A reactive view: public attributes are its state, `@event_handler` methods its events.

    `mount` runs once per page, with the keyword arguments of the URL and what `live_session`
    provides. The template is `template_name`, or the text in `template`. If it loops over a
    queryset, the relations that it reads are fetched for all items at once, which
    `auto_related = False` turns off.
    """

    template_name: ClassVar[str | None] = None
    template: ClassVar[str | None] = None
    auto_related: ClassVar[bool] = True

    # Guards of `djust.access`. They have no values here, or they would hide those of a mixin that
    # comes after.
    login_required: ClassVar[bool]
    login_url: ClassVar[str | None]
    permission_required: ClassVar[str | Iterable[str] | None]

    def mount(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Prepare the page: `def` or `async def`. A response that it returns is the answer."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        prepare_fields(cls, _OWN_NAMES)
        if is_handler(vars(cls).get("authorize")):
            raise TypeError(
                f"{cls.__name__}.authorize is asked before each turn of a page, and cannot be an event handler as "
                "well. Choose another name for the handler."
            )
        for name, member in vars(cls).items():
            if isinstance(member, Service) and name in _OWN_NAMES:
                raise TypeError(
                    f"{cls.__name__}.{name} is declared as a service, and LiveView has a member of this name itself. "
                    "Choose another name."
                )

    def missing_state(self, name: str, error: Exception) -> None:
        """A saved attribute cannot be restored, because a row that it held is gone.

        Assign something else to it here. By default, the page is remounted.
        """
        raise error

    def restore(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Prepare a page whose process is gone. By default, this calls `mount` with its arguments.

        Afterwards djust assigns the saved state. This is the place for private attributes.
        """
        return self.mount(request, *args, **_accepted(kwargs, mount_names(type(self))))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The names that the template sees: all public state, `view`, and `kwargs`."""
        return {"view": self, **state_of(self), **kwargs}

    def __getitem__(self, name: object) -> str:
        """Templates look here before they look for an attribute. This hides services from them."""
        if isinstance(name, str) and isinstance(inspect.getattr_static(type(self), name, None), Service):
            return ""
        raise KeyError(name)

    def get_template(self) -> Template:
        """The template of this page."""
        if self.template is not None:
            return _inline_template(type(self), self.template)
        if self.template_name is None:
            raise ImproperlyConfigured(
                f"{type(self).__name__} has no template. Set template_name, or write the template into template."
            )
        template = getattr(loader.get_template(self.template_name), "template", None)
        if not isinstance(template, Template):
            raise ImproperlyConfigured(
                f'{type(self).__name__}: "{self.template_name}" is not found by a DjangoTemplates engine, '
                "and only Django's own template language can be live."
            )
        return template

    def handle_error(self, event: str, error: Exception) -> Any:
        """Handle an exception of a handler or a task; `event` is its name.

        By default it is raised on: logged with its traceback, and the user sees that something went
        wrong. If an override returns, neither happens. In any case the page shows the state as
        it is now.
        """
        raise error

    def push_event(self, name: str, payload: Any = None) -> None:
        """Send an event to client hooks, and as a DOM event, after the changes of this turn.

        From inside a task it is sent at once.
        """
        try:
            copied = json.loads(json.dumps(payload, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f'{type(self).__name__}.push_event("{name}"): the payload must be what JSON can hold ({error}). '
                "Convert dates, numbers of other kinds and models to text or dictionaries."
            ) from error
        page = page_now(self)
        context_of(self).outbox.append((name, copied))
        if page is not None and running_task.get() is not None:
            page.tasks.flush(self)

    def subscribe(self, topic: str) -> None:
        """Let `handle_info` receive what is published to `topic` from now on."""
        subscriptions.subscribe(self, topic)

    async def asubscribe(self, topic: str) -> None:
        """As `subscribe`, for coroutines: returns when no later message can be missed."""
        await subscriptions.asubscribe(self, topic)

    def unsubscribe(self, *topics: str) -> None:
        """End the subscriptions to `topics`, or to all if none is given."""
        subscriptions.unsubscribe(self, *topics)

    def connected(self) -> Any:
        """A browser has the page: `def` or `async def`, after `mount`, and after each reconnecting.

        What it changes is shown. `authorize` is asked, as before every turn.
        """

    def disconnected(self) -> Any:
        """The connection to the browser is lost; it may come back. What this changes is shown then.

        Neither guards nor `authorize` are asked: the visitor may have been refused by now.
        """

    def unmount(self) -> Any:
        """The page is gone: its visitor has left, has logged out, or the server ends.

        The last call of a page whose HTML was sent. Its services still work. Neither guards nor
        `authorize` are asked. A page may be restored in another process without this call, because
        a process that crashes calls nothing.
        """

    def handle_info(self, message: Any) -> Any:
        """Receive a message of a topic: `def` or `async def`. `MessagesMissed` asks to reload."""

    def authorize(self, handler: str) -> Any:
        """Decide whether code of this view may run now: `def` or `async def`.

        `handler` is the name of the handler or task, or `handle_info`. False or `PermissionDenied`
        refuses the turn: no code of the view runs, and the page stays open.
        """
        return True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """As Django's, for visitors whom `login_required` and its like (`djust.access`) let in."""
        refused = access.refusal(self, request)
        return super().dispatch(request, *args, **kwargs) if refused is None else answer_of(self, refused)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Answer:
        """Mount the page and answer with its HTML."""
        return _respond(self, request)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Answer:
        """Answer events of a browser without a socket, or a form of one without JavaScript.

        It does so through `get`, with a GET like this request: guards of `get` protect `post`.
        """
        return _respond(self, request)

    def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Answer:
        """As `get`; the server leaves the content out."""
        return self.get(request, *args, **kwargs)

    @classproperty
    def view_is_async(cls) -> bool:  # noqa: N805 — a class property of Django's
        """Whether `mount`, `restore`, `get_context_data` or `get` is `async def`: Django asks."""
        return any(map(iscoroutinefunction, (cls.mount, cls.restore, cls.get_context_data, cls.get)))

    @classonlymethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., Any]:  # noqa: N805 — a class method of Django's
        """The function for `path()`."""
        view = super().as_view(**initkwargs)
        return mark_own(_awaited(view) if cls.view_is_async else view)


def answer_of(view: LiveView, response: HttpResponseBase) -> Answer:
    """`response` as `view.get` returns one: to be awaited where the view is asynchronous."""
    return _given(response) if type(view).view_is_async else response


async def _given(response: HttpResponseBase) -> HttpResponseBase:
    return response


# An attribute of a view's function that names itself: on a decorator's copy, it names another.
OWN_FUNCTION = "_djust_function"


def mark_own(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function for `path()` as our own."""
    setattr(function, OWN_FUNCTION, function)
    return function


def _awaited(view: Callable[..., Answer]) -> Callable[..., Any]:
    """`view` with everything before `mount` in a thread.

    `setup`, `dispatch` and mixins such as LoginRequiredMixin are synchronous and may query the
    database.
    """

    async def asynchronous(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Django marks the function of a view with asynchronous methods as asynchronous, though it
        # runs in a thread here. From Python 3.12 on, a `partial` of it is marked as well.
        def synchronous() -> Answer:
            try:
                return view(request, *args, **kwargs)
            except (StopIteration, GeneratorExit) as error:
                # A future cannot hold these: its coroutine would wait for ever.
                raise RuntimeError(f"{type(error).__name__} was raised before the view was mounted.") from error

        answer = await sync_to_async(synchronous, thread_sensitive=True)()
        return await answer if inspect.isawaitable(answer) else answer

    return update_wrapper(asynchronous, view)


# State

_OWN_NAMES = frozenset(dir(LiveView)) | access.NAMES | {"request", "args", "kwargs"}


def is_own_name(name: str) -> bool:
    """Whether this is the name of something that Django or this class put into a view."""
    return name in _OWN_NAMES


def overrides(view_class: type[Any], name: str) -> bool:
    """Whether a view class has a method of its own in place of that of `LiveView`."""
    return getattr(view_class, name) is not getattr(LiveView, name)


@per_class
def has_hooks(view_class: type[Any]) -> bool:
    """Whether a view class has a method for what happens to its pages, such as `connected`."""
    return any(overrides(view_class, name) for name in ("connected", "disconnected", "unmount"))


# The public state of a view, without what Django and `LiveView` put into it.
state_of = partial(public_state, reserved=_OWN_NAMES)


@per_class
def awaits_context(view_class: type[Any]) -> bool:
    """Whether `get_context_data` of a view class is an `async def`."""
    return iscoroutinefunction(view_class.get_context_data)


async def given_context_data(view: LiveView) -> object:
    """What an `async def get_context_data` gives; None for others, which rendering calls itself."""
    if not awaits_context(type(view)):
        return None
    given: Any = view.get_context_data()
    return await given


# Templates

_inline: WeakKeyDictionary[type, Template] = WeakKeyDictionary()


def _inline_template(view_class: type, source: str) -> Template:
    template = _inline.get(view_class)
    engine = Engine.get_default()
    if template is None or template.source != source or template.engine is not engine:
        template = _inline[view_class] = Template(source, name=f"{view_class.__name__}.template", engine=engine)
    return template


# The responder

_responder: Responder | None = None


def install_responder(responder: Responder) -> None:
    """Let `responder(view, request)` answer the requests of all LiveViews."""
    global _responder
    _responder = responder


def _respond(view: LiveView, request: HttpRequest) -> Answer:
    assert _responder is not None, "importing djust installs one"
    return _responder(view, request)


# Mounting

# An attribute of requests. It stays with copies, such as the GET that stands for a POST.
_PROVIDED = "_djust_provided"


def provide(request: HttpRequest, provided: Mapping[str, Callable[[], Any]]) -> None:
    """Let `mount` receive these by name. They are called when a view is mounted."""
    setattr(request, _PROVIDED, provided)


def mount_view(view: LiveView, request: HttpRequest, *, again: bool = False) -> Any | Awaitable[Any]:
    """Call `mount`, or `restore` if it happens `again`, with the keyword arguments that it takes.

    Gives what it returns: for `async def`, a coroutine.
    """
    kwargs = dict(view.kwargs)
    provided: Mapping[str, Callable[[], Any]] = getattr(request, _PROVIDED, {})
    if clash := provided.keys() & kwargs.keys():
        raise TypeError(
            f'{type(view).__name__}: "{min(clash)}" is provided by live_session and is a part of the URL as well. '
            "Rename one of them."
        )
    for name, factory in provided.items():
        kwargs[name] = provided_by(factory, view, name)

    def mounted() -> Any:
        if again:
            return view.restore(request, **_accepted(kwargs, restore_names(type(view))))
        return view.mount(request, **_accepted(kwargs, mount_names(type(view))))

    async def mounted_with_pending() -> Any:
        for name in provided:
            if is_pending(kwargs[name]):
                kwargs[name] = await kwargs[name]
        result = mounted()
        return await result if inspect.isawaitable(result) else result

    return mounted_with_pending() if any(is_pending(kwargs[name]) for name in provided) else mounted()


def _accepted(kwargs: dict[str, Any], names: frozenset[str] | None) -> dict[str, Any]:
    return kwargs if names is None else {name: value for name, value in kwargs.items() if name in names}


@per_class
def mount_names(view_class: type[Any]) -> frozenset[str] | None:
    """The keyword arguments that `mount` names, or None if it takes all."""
    return _keyword_names(view_class, "mount")


@per_class
def restore_names(view_class: type[Any]) -> frozenset[str] | None:
    """The keyword arguments that `restore` names, or None if it takes all."""
    return _keyword_names(view_class, "restore")


def _keyword_names(view_class: type[Any], method: str) -> frozenset[str] | None:
    signature = inspect.signature(getattr(view_class, method))
    parameters = list(signature.parameters.values())
    kinds = [parameter.kind for parameter in parameters]
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if inspect.Parameter.VAR_POSITIONAL not in kinds[:2] and sum(kind in by_position for kind in kinds) < 2:
        raise TypeError(
            f"{view_class.__name__}.{method}{signature} does not take the request. "
            f"Write def {method}(self, request, …)."
        )
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return None
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(parameter.name for parameter in parameters[2:] if parameter.kind in by_name)
