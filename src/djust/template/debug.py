"""Errors of generated code, traced back to the template.

While code is generated, every line is noted with the place in the template it was generated for. When it raises, the
line of the traceback leads to that place: it becomes a note of the exception ("In template a.html, line 3"), and where
the engine is in debug mode the `template_debug` that Django's error page shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from traceback import walk_tb
from typing import Any

from django.template import TemplateSyntaxError
from django.template.base import Node, Template, Token


class Place(str):
    """Where a node stands, such as "a.html:3", and the node; the `{% partial %}` that shows it, if there is one."""

    __slots__ = ("node", "partial")
    node: Node
    partial: Place | None

    @classmethod
    def of(cls, node: Node) -> Place:
        token, origin = getattr(node, "token", None), getattr(node, "origin", None)
        name = getattr(origin, "template_name", None) or getattr(origin, "name", None) or "<template>"
        place = cls(f"{name}:{getattr(token, 'lineno', None) or 0}")
        place.node, place.partial = node, None
        return place


def explain(error: Exception, filename: str, places: Sequence[str], templates: Sequence[Template]) -> Exception:
    """Tell `error`, which generated code in `filename` has raised, where in which template it happened; returns it.

    `places` are those of the generated lines. An error that knows already (of an include inside) is left alone. For
    any KeyError in a partial, Django says that there is no such partial, and so do we.
    """
    place = place_of(error, filename, places)
    place = None if place is None else _innermost(place, error)
    if isinstance(error, KeyError) and place is not None and place.partial is not None:
        place, cause = place.partial, error
        name = vars(place.node)["partial_name"]
        error = TemplateSyntaxError(f"Partial '{name}' is not defined in the current template.")
        error.__context__ = cause
    _note(error, place, templates)
    return error


def _note(error: Exception, place: Place | None, templates: Sequence[Template]) -> None:
    token: Token | None = getattr(place.node, "token", None) if place is not None else None
    if place is None or token is None or getattr(error, "__notes__", None):
        return
    name, _, line = place.rpartition(":")
    error.add_note(f"In template {name}, line {line}: {token.contents.strip()[:200]}")
    template = next((template for template in templates if template.origin == place.node.origin), None)
    if template is not None and template.engine.debug and not hasattr(error, "template_debug"):
        error.template_debug = template.get_exception_info(error, token)  # type: ignore[attr-defined]


def place_of(error: Exception, filename: str, places: Sequence[str]) -> Place | None:
    """The place of the generated line that has raised `error`."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            place = places[trace.tb_lineno - 1]
            return place if isinstance(place, Place) else None
        trace = trace.tb_next
    return None


def _innermost(place: Place, error: Exception) -> Place:
    """The place of the last node that Django was rendering from `place` on, as its own error page says."""
    for frame, _ in walk_tb(error.__traceback__):
        node: Any = frame.f_locals.get("self") if frame.f_code is Node.render_annotated.__code__ else None
        if getattr(node, "token", None) is not None:
            partial, place = place.partial, Place.of(node)
            place.partial = partial
    return place
