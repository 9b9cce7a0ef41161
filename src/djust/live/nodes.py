"""What a page shows: its template, the values that its parts have now, and what the browser has been told.

display.prepare()                       the template is evaluated for the first time
display.prepare(data)                   the same, where get_context_data was awaited, as in renew(data)
display.html()                          the first HTML
display.renew()  ->  Change             evaluated again: what the browser has to be told
display.all()    ->  (values, plans)    everything, for a browser that starts over
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template import Template
from django.utils.functional import SimpleLazyObject
from django.utils.timezone import get_current_timezone
from django.utils.translation import get_language

from djust.conf import config
from djust.render.sent import SentFragments
from djust.render.values import Fragment, Values
from djust.state.fields import check_types, computed_getters
from djust.state.tracking import Tracker
from djust.state.validation import check_state
from djust.template import CompiledTemplate, compile_template
from djust.template.context import page_context, rendering
from djust.views import LiveView, state_of


class Change(NamedTuple):
    """What an evaluation has changed. `state_error` is what is wrong with the state."""

    diff: list[Any]
    fragments: list[Any]
    state_error: TypeError | None
    # The template's outermost parent is another one, or it was compiled anew: another document.
    whole: bool = False


class Display:
    """What one page shows of its view."""

    __slots__ = ("_compiled", "_fixed", "_last", "_lazy", "_request", "_sent", "_template", "_tracker", "_view")

    def __init__(self, view: LiveView, request: HttpRequest) -> None:
        self._view = view
        self._request = request
        self._sent = SentFragments()
        self._tracker = Tracker()
        self._lazy = computed_getters(view)
        # One token for the life of the page: Django's processor masks it differently in each rendering.
        self._fixed = {"csrf_token": SimpleLazyObject(partial(get_token, request)), "view": view}
        # These are set by `prepare`.
        self._template: Template
        self._compiled: CompiledTemplate
        self._last: tuple[Fragment, Values]

    def prepare(self, given: object = None) -> None:
        """Evaluate the template for the first time, after the view was mounted."""
        self._template = self._view.get_template()
        self._compiled = compile_template(self._template)
        data, state = self._data(given)
        if (state_error := self._offence(state)) is not None:
            raise state_error
        self._last = self._evaluate(data, None)

    def html(self) -> str:
        """The HTML of what is shown."""
        fragment, values = self._last
        return fragment.html(values)

    def renew(self, given: object = None) -> Change:
        """Evaluate the template again."""
        data, state = self._data(given)
        state_error = self._offence(state)
        before, (fragment, values) = self._last, self._evaluate(data, self._last)
        self._last = fragment, values
        if fragment is not before[0]:
            return Change([], [], state_error, whole=True)
        return Change(*self._sent.diff(fragment, before[1], values), state_error)

    def all(self) -> tuple[Any, list[Any]]:
        """All values; the browser starts over."""
        return self._sent.all(*self._last)

    def begin_again(self) -> None:
        """The browser has been told nothing."""
        self._sent = SentFragments()

    def place(self, reason: str) -> str:
        """Where in the template the browser met `reason`, if it says so."""
        return self._sent.place(reason)

    def _data(self, given: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """The names for the template, and the public state, which get_context_data may have changed."""
        if type(self._view).get_context_data is LiveView.get_context_data:
            # The template finds `view` among the fixed names.
            state = state_of(self._view)
            return state, state
        data: object = self._view.get_context_data() if given is None else given
        if not isinstance(data, dict):
            raise TypeError(
                f"{type(self._view).__name__}.get_context_data must return a dict; got {type(data).__name__}. "
                "Does it end with `return super().get_context_data(**kwargs)`?"
            )
        return data, state_of(self._view)

    def _offence(self, state: dict[str, Any]) -> TypeError | None:
        """What the declared types, or strict serialization, have against the state."""
        try:
            check_types(self._view)
            check_state(type(self._view), state, strict=config().strict_serialization)
        except TypeError as error:
            return error
        return None

    def _evaluate(self, data: dict[str, Any], last: tuple[Fragment, Values] | None) -> tuple[Fragment, Values]:
        tracked = self._compiled.tracked
        same = self._tracker.unchanged(data, tracked, (get_language(), get_current_timezone())) if tracked else tracked
        related = self._view.auto_related
        context = page_context(self._template, self._request, data, self._lazy, self._fixed, auto_related=related)
        try:
            with rendering(context, self._template):
                return self._compiled.evaluate(context, last, same)
        except BaseException:
            # What was watched was not shown: the next rendering must not take it for the same.
            self._tracker.forget()
            raise
