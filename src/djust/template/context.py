"""Names: where they stand while code is generated, and the context of a rendering.

`Names` is the compile-time view: which names are Python locals (bound by pure `for`, `with` and
`include`), and which Python variable holds Django's context for all others.

`page_context` is the run-time view of a live page: Django's `RequestContext` with the view's data
on top. Context processors run only when a template asks for a name that the data lacks; most events
never ask.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest
from django.template import Context, RequestContext
from django.template.base import Template
from django.template.context import BaseContext, RenderContext


@dataclass(slots=True, frozen=True)
class Names:
    """`local`: name → Python expression. `context`: the Python variable of Django's context.

    `repeated`: the code runs once per round of a loop, so that speed counts for more than length.
    """

    context: str = "context"
    local: Mapping[str, str] = field(default_factory=dict)
    repeated: bool = False

    def bind(self, names: Mapping[str, str]) -> Names:
        return Names(self.context, {**self.local, **names}, self.repeated)

    def unbind(self, names: Collection[str]) -> Names:
        """These names stand on Django's context from here on."""
        local = {name: code for name, code in self.local.items() if name not in names}
        return Names(self.context, local, self.repeated)

    def within_loop(self) -> Names:
        return Names(self.context, self.local, repeated=True)


_CONTEXTS = frozenset({Context, RequestContext})


class _Processors(dict[str, Any]):
    """What context processors say about a request, asked when upper layers lack a name."""

    def __init__(self, template: Template, request: HttpRequest) -> None:
        super().__init__()
        self._pending: tuple[Template, HttpRequest] | None = (template, request)

    def _fill(self) -> None:
        if self._pending is None:
            return
        template, request = self._pending
        try:
            for processor in template.engine.template_context_processors:
                self.update(processor(request))
        except Exception as error:
            # Django calls them before it renders: their errors stand for no variable's value.
            error.silent_variable_failure = False  # type: ignore[attr-defined]
            raise
        self._pending = None

    def __contains__(self, name: object) -> bool:
        self._fill()
        return dict.__contains__(self, name)

    def __getitem__(self, name: str) -> Any:
        self._fill()
        return dict.__getitem__(self, name)

    def __iter__(self) -> Iterator[str]:
        self._fill()
        return dict.__iter__(self)

    def keys(self) -> Any:
        self._fill()
        return dict.keys(self)


class _Lazy(dict[str, Any]):
    """Names that are computed when they are read, once per rendering."""

    def __init__(self, getters: Mapping[str, Callable[[], Any]]) -> None:
        super().__init__()
        self._getters = getters

    def __contains__(self, name: object) -> bool:
        return name in self._getters

    def __getitem__(self, name: str) -> Any:
        if not dict.__contains__(self, name):
            self[name] = self._getters[name]()
        return dict.__getitem__(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._getters)

    def keys(self) -> Any:
        return self._getters.keys()


def page_context(
    template: Template,
    request: HttpRequest,
    data: Mapping[str, Any],
    lazy: Mapping[str, Callable[[], Any]] | None = None,
    fixed: Mapping[str, Any] | None = None,
    *,
    auto_related: bool = True,
) -> RequestContext:
    """The context of one rendering of a live page.

    From below: context processors, `fixed` (names whose value holds for the life of the page, such
    as the CSRF token), `lazy` (names with a function that gives their value), `data`.
    `auto_related`: loops fetch relations early (`template/optimize/prefetch.py`).
    """
    context = RequestContext(request)
    context.dicts[1:] = [_Processors(template, request)]
    vars(context)["_processors_index"] = 1  # where Django expects the layer of the processors
    vars(context)["auto_related"] = auto_related
    if fixed:
        context.dicts.append(dict(fixed))
    if lazy:
        context.dicts.append(_Lazy(lazy))
    context.dicts.append(data if type(data) is dict else dict(data))
    context.template, context.template_name = template, template.name
    return context


class rendering:  # noqa: N801 - used as a function
    """While it is entered, `template` is the one that `context` renders, as in `Template.render`.

    It does what `RenderContext.push_state` does, in a third of the time.
    """

    __slots__ = ("_before", "_state", "_template")

    def __init__(self, context: Context, template: Template) -> None:
        self._state, self._template = context.render_context, template

    def __enter__(self) -> None:
        state = self._state
        self._before = state.template
        state.template = self._template
        state.dicts.append({})

    def __exit__(self, *error: object) -> None:
        self._state.template = self._before
        self._state.dicts.pop()


def isolated_context(context: Context, data: Any) -> Context:
    """`context.new(data)`, which has the same properties and only these names; faster."""
    if type(context) not in _CONTEXTS or isinstance(data, BaseContext):
        return context.new(data)
    inner, state = object.__new__(type(context)), object.__new__(RenderContext)
    vars(inner).update(vars(context))
    vars(inner).pop("_processors_index", None)
    vars(state).update(vars(context.render_context))
    state.dicts = state.dicts[:]
    inner.render_context = state
    inner.dicts = [{"True": True, "False": False, "None": None}, *([] if data is None else [data])]
    return inner


def stored_by(context: Context) -> list[tuple[Any, str]]:
    """The caches and keys that this rendering has filled."""
    stored: list[tuple[Any, str]] = vars(context).setdefault("_djust_stored", [])
    return stored


class Checkpoint:
    """What a context held before a rendering, so that one that fails leaves nothing behind.

    Tags set names on the innermost layer, keep state in the innermost layer of `render_context`,
    change settings, and store fragments in caches.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._layers = [(layer, dict.copy(layer)) for layer in (context.dicts[-1], context.render_context.dicts[-1])]
        self._settings = context.autoescape, context.use_l10n, context.use_tz
        self._stored = len(stored_by(context))

    def restore(self) -> None:
        stored = stored_by(self._context)
        for cache, key in stored[self._stored :]:
            cache.delete(key)
        del stored[self._stored :]
        for layer, before in self._layers:
            layer.clear()
            dict.update(layer, before)
        self._context.autoescape, self._context.use_l10n, self._context.use_tz = self._settings
