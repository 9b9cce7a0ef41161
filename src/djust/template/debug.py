"""Errors of generated code, traced back to the template.

While code is generated, every line is noted with the location in the template it was generated for.
When it raises, the line of the traceback leads to that location: it becomes a note of the exception
("In template a.html, line 3"), and where the engine is in debug mode the `template_debug` that
Django's error page shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from traceback import walk_tb
from typing import Any

from django.template import TemplateSyntaxError
from django.template.base import Node, Template, Token


class Location(str):
    """Where a `tag` stands, such as "a.html:3"; the `{% partial %}` that shows it, if any."""

    __slots__ = ("partial", "tag")
    tag: Node
    partial: Location | None

    @classmethod
    def of(cls, tag: Node) -> Location:
        token, origin = getattr(tag, "token", None), getattr(tag, "origin", None)
        name = getattr(origin, "template_name", None) or getattr(origin, "name", None) or "<template>"
        location = cls(f"{name}:{getattr(token, 'lineno', None) or 0}")
        location.tag, location.partial = tag, None
        return location


def explain(error: Exception, filename: str, locations: Sequence[str], templates: Sequence[Template]) -> Exception:
    """Tell `error`, which generated code in `filename` raised, where it happened; returns it.

    `locations` are those of the generated lines. An error that knows already (of an include inside)
    is left alone. For any KeyError in a partial, Django says that there is no such partial, and so
    do we.
    """
    location = location_of(error, filename, locations)
    location = None if location is None else _innermost(location, error)
    if isinstance(error, KeyError) and location is not None and location.partial is not None:
        location, cause = location.partial, error
        name = vars(location.tag)["partial_name"]
        error = TemplateSyntaxError(f"Partial '{name}' is not defined in the current template.")
        error.__context__ = cause
    _note(error, location, templates)
    return error


def _note(error: Exception, location: Location | None, templates: Sequence[Template]) -> None:
    token: Token | None = getattr(location.tag, "token", None) if location is not None else None
    if location is None or token is None or getattr(error, "__notes__", None):
        return
    name, _, line = location.rpartition(":")
    error.add_note(f"In template {name}, line {line}: {token.contents.strip()[:200]}")
    template = next((template for template in templates if template.origin == location.tag.origin), None)
    if template is not None and template.engine.debug and not hasattr(error, "template_debug"):
        error.template_debug = template.get_exception_info(error, token)  # type: ignore[attr-defined]


def location_of(error: Exception, filename: str, locations: Sequence[str]) -> Location | None:
    """The location of the generated line that has raised `error`."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            location = locations[trace.tb_lineno - 1]
            return location if isinstance(location, Location) else None
        trace = trace.tb_next
    return None


def _innermost(location: Location, error: Exception) -> Location:
    """The location of the last node that Django was rendering from `location` on."""
    for frame, _ in walk_tb(error.__traceback__):
        node: Any = frame.f_locals.get("self") if frame.f_code is Node.render_annotated.__code__ else None
        if getattr(node, "token", None) is not None:
            partial, location = location.partial, Location.of(node)
            location.partial = partial
    return location
