"""Checks of view classes: their methods, handlers and state (V001, V003, V004, V006, V007, V008).

`attributes.py` adds those of names that djust does not read (V010, V011).
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from django.core.checks import Warning as Finding

from djust.checks.attributes import IGNORED, check_attributes
from djust.checks.expressions import Assigned
from djust.checks.flow import ViewScan
from djust.checks.sources import Definition, Function, Project
from djust.checks.values import offenders
from djust.events.handlers import handler_functions, read_handler
from djust.state.fields import State
from djust.views import LiveView, is_own_name, mount_names, restore_names

_ABSTRACT = re.compile(r"_|Base|Abstract|.*(Base|Mixin)$")
_HANDLER_NAME = re.compile(r"(on|handle)_\w+$")


def check_view(view: type[LiveView], project: Project) -> Iterator[Finding]:
    """All findings about one class that need no template."""
    yield from _template(view, project)
    yield from _mount(view, project)
    yield from _handlers(view, project)
    yield from check_attributes(view, project)
    for method in undeclared(view, project).values():
        yield from undeclared_finding(view, method)
    for item in ViewScan(view, project).assigned:
        yield from _assigned(view, item)


# V001


def _template(view: type[LiveView], project: Project) -> Iterator[Finding]:
    found = project.class_definition(view)
    if found is None or has_own_template(view):
        return
    routes = project.routes.get(view, [])
    is_routed = any(not {"template", "template_name"} & given.keys() for given, _ in routes)
    is_abstract = _ABSTRACT.match(view.__name__) or view.__subclasses__() or routes
    if is_routed or not is_abstract:
        hint = 'Set template_name = "…", or write the template into template = "…".'
        yield from found.finding("V001", f"{view.__name__} has no template.", hint)


def has_own_template(view: type[LiveView]) -> bool:
    """Whether the class says where its template comes from, or answers in a way of its own."""
    own = (getattr(view, name) is not getattr(LiveView, name) for name in ("get_template", "get", "dispatch"))
    return view.template is not None or view.template_name is not None or any(own)


# V003


def _mount(view: type[LiveView], project: Project) -> Iterator[Finding]:
    for name, read in (("mount", mount_names), ("restore", restore_names)):
        member = inspect.getattr_static(view, name)
        owner = project.class_definition(next(base for base in view.__mro__ if name in vars(base)))
        if found := project.function_definition(member):
            if wrong := _wrong_mount(view, name, read, member, project):
                yield from found.finding("V003", f"{view.__name__}.{name} {wrong}.", _MOUNT_HINT)
        elif owner and not inspect.isfunction(member):
            where = next((inner for inner in owner.node.body if getattr(inner, "name", "") == name), owner.node)
            yield from owner.source.finding("V003", where, f"{view.__name__}.{name} is not a method.", _MOUNT_HINT)


_MOUNT_HINT = "Write def mount(self, request, **kwargs), or async def; name the keyword arguments that you use."


def _wrong_mount(
    view: type[LiveView], name: str, read: Callable[[type[Any]], Any], member: Any, project: Project
) -> str | None:
    if inspect.isgeneratorfunction(member) or inspect.isasyncgenfunction(member):
        return "contains yield, so that calling it runs nothing"
    try:
        read(view)
    except TypeError:
        return f"does not take the request: it is declared {name}{inspect.signature(member)}"
    parameters = list(inspect.signature(member).parameters.values())
    second = parameters[1].name if len(parameters) > 1 else ""
    is_given = any(second in names for _, names in project.routes.get(view, ()))
    if is_given and parameters[1].kind is parameters[1].POSITIONAL_OR_KEYWORD:
        return f'receives the request as "{second}", which the URL gives as well'
    return None


# V004


def undeclared(view: type[LiveView], project: Project) -> dict[str, Definition[Function]]:
    """The methods of a class that look like handlers: named like one, or with `**kwargs`. They
    change public state, have no decorator, override nothing, and are not mentioned in the module.
    """
    found: dict[str, Definition[Function]] = {}
    owner = project.class_definition(view)
    for method in owner.node.body if owner else ():
        assert owner is not None
        if not isinstance(method, Function) or method.name.startswith("_"):
            continue
        inherits = any(method.name in vars(base) for base in view.__mro__[1:])
        is_known = is_own_name(method.name) or method.name in IGNORED
        if method.decorator_list or inherits or is_known or method.name in owner.source.mentions:
            continue
        if (_HANDLER_NAME.match(method.name) or method.args.kwarg) and _changes_state(method):
            found[method.name] = Definition(owner.source, method, owner.hidden)
    return found


def _changes_state(method: Function) -> bool:
    receiver = method.args.args[0].arg if method.args.args else ""
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == receiver
        and not node.attr.startswith("_")
        for node in ast.walk(method)
    )


def undeclared_finding(view: type, method: Definition[Function]) -> list[Finding]:
    name = method.node.name
    return method.finding(
        "V004",
        f"{view.__name__}.{name} looks like an event handler, but is not declared as one.",
        f'Decorate it with @event_handler; else a browser cannot call it. If it is none, call it "_{name}".',
    )


# V006, V008


def _assigned(view: type[LiveView], item: Assigned) -> Iterator[Finding]:
    member = inspect.getattr_static(view, item.name, None)
    is_stored = isinstance(member, State) or not hasattr(type(member), "__set__")
    if item.name.startswith("_") or is_own_name(item.name) or not is_stored:
        return
    name, private = f"{item.owner}.{item.name}", f"self._{item.name}"
    found = sorted(set(offenders(item.values)))
    services = [verdict for verdict in found if verdict.is_service]
    if services:
        yield from item.source.finding(
            "V006",
            item.node,
            f"{name} looks like a service instance stored in state.",
            "Service instances are not JSON-serializable. Use a helper method instead.",
        )
    for verdict in found:
        # A function of a library names no class; what it gives has been reported.
        if not verdict.is_service or verdict.name[:1].isupper():
            yield from item.source.finding(
                "V008",
                item.node,
                f"{{place}} -- Non-primitive type '{verdict.name}' assigned to self.{item.name} in {item.where}.\n"
                "Ensure this type is JSON-serializable.",
                f"If '{verdict.name}' is not serializable, use {private} instead or re-initialize in event handlers.",
                also=("V006",) if services else (),
            )


# V007


def _handlers(view: type[LiveView], project: Project) -> Iterator[Finding]:
    for name, function in handler_functions(view).items():
        found = project.function_definition(function)
        if found is None:
            continue
        try:
            read_handler(view, name, function)
        except (TypeError, NameError) as error:
            text, _, advice = str(error).partition(". ")
            yield from found.finding("V007", f"{text}.", advice or "Annotate it with a type of the guide.")
