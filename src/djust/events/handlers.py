"""Handlers: the methods that a browser may call, and how what it sends becomes a call.

    class Search(LiveView):
        @event_handler
        def filter(self, value: str, limit: int | None = None): ...

    handlers_of(Search)["filter"].bind(["x"], {"limit": "20"})
    ->  ([], {"value": "x", "limit": 20})

Only declared handlers can be called, and only declared parameters are passed. A value that does not
fit its annotation refuses the event: the handler is not called, and the browser gets an error that
names handler and parameter.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar, get_type_hints, overload

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings

from djust.events.parameters import Converter, Refused, Unsupported, converter, unchanged
from djust.exceptions import HandlerError, ParameterError
from djust.state.fields import per_class

logger = logging.getLogger("djust")

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "_djust_event_handler"

# On a method that runs in the background, put there by `@background` (tasks.py).
BACKGROUND_MARK = "_djust_background"

# What the client adds automatically; a handler that does not name them has not forgotten anything.
_UNASKED = frozenset({"value", "field", "key", "code", "csrfmiddlewaretoken"})
_reported: set[tuple[str, str]] = set()


@overload
def event_handler(function: F) -> F: ...
@overload
def event_handler(*, timeout: float | None = None) -> Callable[[F], F]: ...
def event_handler(function: F | None = None, *, timeout: float | None = None) -> F | Callable[[F], F]:
    """Let the browser call this method: `@event_handler` or `@event_handler()`, on `def` and `async
    def`.

    After `timeout` seconds the event is answered with an error. An `async def` is cancelled then; a
    `def` cannot be stopped, and what it returns later is dropped.
    """
    return partial(_mark, timeout=timeout) if function is None else _mark(function, timeout)


def _mark(function: F, timeout: float | None) -> F:
    if not inspect.isroutine(function):
        raise TypeError(f"@event_handler decorates methods; got {function!r}.")
    if function.__name__.startswith("_"):
        raise TypeError(
            f"{function.__qualname__} cannot be an event handler: names that begin with an underscore are private. "
            f'Call it "{function.__name__.strip("_")}".'
        )
    setattr(function, _MARK, timeout)
    if iscoroutinefunction(function):
        # Decorators that copy the attributes of what they wrap keep this mark.
        markcoroutinefunction(function)
    return function


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter. `expected` is its annotation in words."""

    name: str
    convert: Converter
    expected: str
    default: Any
    positional_only: bool
    keyword_only: bool


@dataclass(frozen=True, slots=True)
class Handler:
    """A method that the browser may call. `title` is its name with the class."""

    name: str
    title: str
    is_async: bool
    parameters: tuple[Parameter, ...]
    by_position: tuple[str, ...]
    receiver: str
    more_args: Parameter | None
    more_names: Parameter | None
    timeout: float | None
    background: bool

    def bind(self, args: list[Any], params: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of the call: `args` by position win over `params` by name."""
        if len(args) > len(self.by_position) and self.more_args is None:
            raise ParameterError(
                f"{self.title} takes at most {len(self.by_position)} arguments by position; {len(args)} came."
            )
        given = {**params, **dict(zip(self.by_position, args, strict=False))}
        more = args[len(self.by_position) :]
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.name in given:
                value = self._converted(parameter, parameter.name, given.pop(parameter.name))
            elif parameter.default is inspect.Parameter.empty:
                raise ParameterError(f'{self.title}: parameter "{parameter.name}" is missing.')
            elif not parameter.positional_only:
                continue
            else:
                value = parameter.default
            if parameter.positional_only or (more and not parameter.keyword_only):
                positional.append(value)
            else:
                named[parameter.name] = value
        if self.more_args is not None:
            positional += [self._converted(self.more_args, self.more_args.name, value) for value in more]
        if given:
            self._add_more_names(given, named)
        return positional, named

    def _add_more_names(self, given: dict[str, Any], named: dict[str, Any]) -> None:
        if self.more_names is not None:
            for name, value in given.items():
                # Python would take the receiver's name for a second value of `self`.
                if name != self.receiver:
                    named[name] = self._converted(self.more_names, name, value)
        elif settings.DEBUG:
            for name in given.keys() - _UNASKED:
                if (self.title, name) not in _reported:
                    _reported.add((self.title, name))
                    logger.warning(
                        '%s has no parameter "%s", which the browser sent; it was ignored.', self.title, name
                    )

    def _converted(self, parameter: Parameter, name: str, value: Any) -> Any:
        try:
            return parameter.convert(value)
        except Refused as error:
            raise ParameterError(
                f'{self.title}: parameter "{_shown(name)}" must be {parameter.expected}.', f"Got {value!r:.200}."
            ) from error


@per_class
def handlers_of(view_class: type[Any]) -> Mapping[str, Handler]:
    """The handlers of a view class by name, inherited ones included.

    An override without decorator is not one.
    """
    return {name: read_handler(view_class, name, function) for name, function in handler_functions(view_class).items()}


def handler_functions(view_class: type[Any]) -> dict[str, Callable[..., Any]]:
    """The functions that a browser may call, by name; their signatures are not read."""
    members: dict[str, object] = {}
    for owner in reversed(view_class.__mro__):
        members.update(vars(owner))
    handlers = {name: member for name, member in members.items() if inspect.isfunction(member) and is_handler(member)}
    return dict(sorted(handlers.items()))


def is_handler(member: object) -> bool:
    """Whether this is a function that `event_handler` has decorated."""
    return _MARK in getattr(member, "__dict__", ())


def _shown(name: str) -> str:
    """A name that the browser chose, fit for a message and a log."""
    return name[:100] if name.isprintable() else ascii(name[:100])[1:-1]


def refusal(view_class: type, name: str) -> HandlerError:
    """The error for an event whose name is not a handler's."""
    known = ", ".join(f'"{handler}"' for handler in sorted(handlers_of(view_class))) or "none"
    title, asked = view_class.__name__, _shown(name)
    return HandlerError(
        f"{title}.{asked} is not an event handler.",
        f'The browser asked for "{asked}"; handlers of {title} are {known}. Decorate the method with @event_handler.',
    )


def read_handler(view_class: type, name: str, function: Callable[..., Any]) -> Handler:
    """The handler that a function is; `TypeError` if no browser can fill one of its parameters."""
    title = f"{view_class.__name__}.{name}"
    try:
        receiver, *declared = inspect.signature(function).parameters.values()
        hints = _hints(function, {parameter.name: parameter.annotation for parameter in declared})
    except NameError as error:
        raise TypeError(
            f"{title}: an annotation cannot be resolved ({error}). Annotations of handlers are read when the program "
            "runs, so what they name must be imported, not only under TYPE_CHECKING."
        ) from error
    parameters = {parameter.name: _parameter(title, parameter, hints.get(parameter.name)) for parameter in declared}
    rest = {parameter.kind: parameters.pop(parameter.name) for parameter in declared if parameter.kind in _MORE}
    return Handler(
        name=name,
        title=title,
        is_async=iscoroutinefunction(function),
        parameters=tuple(parameters.values()),
        by_position=tuple(parameter.name for parameter in parameters.values() if not parameter.keyword_only),
        receiver=receiver.name,
        more_args=rest.get(inspect.Parameter.VAR_POSITIONAL),
        more_names=rest.get(inspect.Parameter.VAR_KEYWORD),
        timeout=vars(function)[_MARK],
        background=BACKGROUND_MARK in vars(function),
    )


_MORE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _hints(function: Callable[..., Any], annotations: dict[str, Any]) -> dict[str, Any]:
    # Without the return annotation, which may name anything.
    given = {name: hint for name, hint in annotations.items() if hint is not inspect.Parameter.empty}
    return get_type_hints(SimpleNamespace(__annotations__=given), inspect.unwrap(function).__globals__)


def _parameter(title: str, parameter: inspect.Parameter, hint: Any) -> Parameter:
    annotated = parameter.annotation is not inspect.Parameter.empty
    try:
        convert = converter(hint) if annotated else unchanged
    except Unsupported as error:
        raise TypeError(
            f'{title}: parameter "{parameter.name}" is annotated {inspect.formatannotation(hint)}, and a browser '
            "cannot send one. Use int, float, bool, str, Decimal, UUID, date, datetime, time, an Enum, a Literal, "
            "a dataclass, list, dict, Optional or none."
        ) from error
    return Parameter(
        name=parameter.name,
        convert=convert,
        expected=inspect.formatannotation(hint) if annotated else "",
        default=parameter.default,
        positional_only=parameter.kind is inspect.Parameter.POSITIONAL_ONLY,
        keyword_only=parameter.kind is inspect.Parameter.KEYWORD_ONLY,
    )
