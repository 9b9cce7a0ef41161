"""Checks of attributes that look as if djust reads them: V010 for those without an effect, V011 for
those that look like guards.

    class Clock(LiveView):
        tick_interval = 1000            V010
        requires_login = True           V011: the name is login_required

A name may have a reader that is not djust: a mixin, a middleware, the view itself. Where code of
the project or one of the view's base classes reads it (`mentions.py`), or its template names it,
nothing is reported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.core.checks import Warning as Finding
from django.template import TemplateDoesNotExist, engines
from django.template.backends.django import DjangoTemplates

from djust.checks.mentions import SELF, Mention, defined_names
from djust.checks.sources import Function, Project, Source, own_statements
from djust.events.handlers import handler_functions
from djust.services import Service
from djust.state.fields import Computed, State
from djust.views import LiveView

_LOOP = "Start a loop with self.start_async in mount, and let it call self.assign_later: see docs/background.md."
# Name → what to do instead. A name that djust learns to read leaves this table.
IGNORED: Mapping[str, str] = {
    "handle_params": "Read request.GET in mount; a link to another query string loads the page again.",
    "tick_interval": _LOOP,
    "handle_tick": _LOOP,
    "temporary_assigns": "Keep the values in private attributes, and let get_context_data give them to the template.",
    "on_mount": "Do it in mount or dispatch, or in those of a mixin.",
    "form_class": "Make the form in mount, keep it in a private attribute, and validate it in an event handler.",
    "form_valid": "Call it from the event handler that validates the form.",
    "form_invalid": "Call it from the event handler that validates the form.",
}
# Names that are reported only together with another name.
_ONLY_WITH = {"form_valid": "form_class", "form_invalid": "form_class"}

# For each guard that djust reads: how to write it, and names that look like it.
_GUARDS = {
    "login_required": (
        "Write login_required = True, or inherit Django's LoginRequiredMixin.",
        """
        login_require login_requires require_login requires_login required_login auth_required
        require_auth requires_auth authentication_required require_authentication
        requires_authentication
        """,
    ),
    "permission_required": (
        'Write permission_required = "app.codename", or inherit Django\'s PermissionRequiredMixin.',
        """
        permissions_required permission_require permission_requires require_permission
        require_permissions requires_permission requires_permissions required_permission
        required_permissions
        """,
    ),
    "check_permissions": (
        "Write def check_permissions(self, request), or inherit Django's UserPassesTestMixin.",
        """
        permission_classes check_permission has_permission has_permissions test_func staff_required
        superuser_required group_required
        """,
    ),
}
# A name that looks like a guard → the name that djust reads.
LOOK_LIKE_GUARDS = {name: guard for guard, (_, names) in _GUARDS.items() for name in names.split()}
# Users, roles and policies have methods of these names, too.
_COMMON = frozenset({"check_permission", "has_permission", "has_permissions"})

_PLAIN = (bool, int, str, list, tuple, set, frozenset, dict)

_NAMES = frozenset({*IGNORED, *LOOK_LIKE_GUARDS})
_words = re.compile(rf"\b(?:{'|'.join(sorted(_NAMES))})\b".encode())


def check_attributes(view: type[LiveView], project: Project) -> Iterator[Finding]:
    """V010 and V011 of one class, with what it inherits from classes of the project."""
    defined = list(_defined(view, project))
    unread = _unread(view, {name for name, *_ in defined}, project) if defined else frozenset()
    for name, owner, source, node in defined:
        if name not in unread or _is_declared(view, owner, name):
            continue
        title, is_method = f"{owner.__name__}.{name}", isinstance(node, Function)
        if name in IGNORED and _ONLY_WITH.get(name, name) in unread:
            message = f"{title} has no effect: djust does not {'call' if is_method else 'read'} it."
            yield from source.finding("V010", node, message, IGNORED[name])
        elif name in LOOK_LIKE_GUARDS and _is_on(view, owner, name):
            kind = "a method that djust calls" if is_method else "an attribute that djust reads"
            message = f"{title} is not {kind}: the page is not guarded by it."
            yield from source.finding("V011", node, message, _GUARDS[LOOK_LIKE_GUARDS[name]][0])


def _defined(view: type[LiveView], project: Project) -> Iterator[tuple[str, type, Source, ast.stmt]]:
    """The names of the tables that the project's classes of a view define, with class and place."""
    for owner, found in project.classes_of(view):
        # Of several definitions the last one counts.
        places = {name: statement for statement in own_statements(found.node) for name in defined_names(statement)}
        yield from ((name, owner, found.source, places[name]) for name in places if name in _NAMES)


def _is_declared(view: type[LiveView], owner: type, name: str) -> bool:
    """Whether djust does read it: as state, a service, or a handler that a browser calls."""
    return isinstance(vars(owner).get(name), State | Computed | Service) or name in handler_functions(view)


def _is_on(view: type[LiveView], owner: type, name: str) -> bool:
    """Whether `owner` guards the view: the value is not empty, and nothing overrides it."""
    value = vars(owner).get(name, ...)
    # The truth of other values is not tested: that may run code of the project.
    is_empty = value is None or (isinstance(value, _PLAIN) and not value)
    return not is_empty and next((kind for kind in view.__mro__ if name in vars(kind)), owner) is owner


# Who else may read it


def _unread(view: type[LiveView], names: Collection[str], project: Project) -> frozenset[str]:
    """Those of `names` that nothing but a never called method of this view reads."""
    related = {*view.__mro__, *type(view).__mro__, *(kind for kind in project.views if issubclass(kind, view))}
    bases = {kind.__module__ for kind in related} - {"builtins"}
    if any(project.contains(module, _words) is None for module in bases):
        return frozenset()  # A class that cannot be read may read anything.
    readers: list[tuple[str, frozenset[str]]] = []
    for module in sorted(bases.union(project.modules)):
        source = project.source(module) if project.contains(module, _words) else None
        if source is None:
            continue
        own = frozenset(kind.__qualname__ for kind in related if kind.__module__ == module)
        for name in names:
            readers.extend(
                (name, mention.inside if mention.classes & own else frozenset())
                for mention in source.mentions.get(name, ())
                if _reads(mention, bool(mention.classes & own), source, related)
            )
    unread = frozenset(names) - _named_by_template(view, names)
    # What is read by a method that is read itself has a reader.
    while read := {name for name, inside in readers if name in unread and not inside & unread}:
        unread -= read
    return unread


def _reads(mention: Mention, is_own: bool, source: Source, related: Collection[type]) -> bool:
    """Whether this may read the attribute of such a view; `is_own`: it is inside a class of it."""
    if mention.receiver is None or mention.receiver == SELF:
        return is_own or not mention.classes
    kind = source.names.get(mention.receiver)
    if isinstance(kind, type):
        return kind in related
    return mention.name not in _COMMON or "view" in mention.receiver.lower()


def _named_by_template(view: type[LiveView], names: Collection[str]) -> frozenset[str]:
    text = view.template or _template_text(view.template_name or "")
    return frozenset(name for name in names if re.search(rf"\b{name}\b", text))


def _template_text(name: str) -> str:
    """What the file of a template contains. Compiling it takes time and may run code."""
    for engine in engines.all():
        for loader in engine.engine.template_loaders if name and isinstance(engine, DjangoTemplates) else ():
            # A loader of another package may make templates of something else than text.
            contents: Any = getattr(loader, "get_contents", None)
            for origin in loader.get_template_sources(name) if contents else ():
                try:
                    return str(contents(origin))
                except (TemplateDoesNotExist, UnicodeDecodeError):
                    continue
    return ""
