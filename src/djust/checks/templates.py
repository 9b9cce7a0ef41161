"""Checks of what templates of views ask for: V005, V009, S001; some of V001 and V004.

A compiled template is a list of nodes that carry their facts (`template/nodes.py`). One walk over
it collects the static markup, in which handlers are named, and every name that is read, with what
is around it.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.checks import Warning as Finding
from django.core.exceptions import ImproperlyConfigured
from django.template import Template, TemplateDoesNotExist, TemplateSyntaxError, VariableDoesNotExist, defaultfilters
from django.template.base import FilterExpression, Variable
from django.views.generic import View

from djust.checks.flow import ViewScan
from djust.checks.mentions import defined_names
from djust.checks.sources import Function, Project, Source, Text, did_you_mean, own_nodes, shown
from djust.checks.values import is_sent
from djust.checks.views import has_own_template, undeclared, undeclared_finding
from djust.events.handlers import handler_functions
from djust.render.values import BRANCH
from djust.state.fields import computed_names, declared_names
from djust.template import compile_template
from djust.template.nodes import ALL_NAMES, Node
from djust.views import LiveView, is_own_name

# Characters of a private plane: for output that is not known, and around what is shown on a
# condition.
_UNKNOWN, _IF, _END = "\ue000", "\ue001", "\ue002"
_no_markup = re.compile(r"<!--.*?-->|<(script|style|textarea|title|template)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_tag = re.compile(r"""<[a-zA-Z](?:[^<>"']|"[^"]*"|'[^']*')*>""")
_attribute = re.compile(r"""([^\s"'>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")
_directive = re.compile(
    r"dj-(?:click|input|change|submit|blur|focus|keydown|keyup|window-\w+|click-away|poll|mounted"
    r"|viewport-top|viewport-bottom|auto-recover)(?:\.[\w.-]+)?"
)
_call = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\(.*\))?\s*", re.DOTALL)

_filters = defaultfilters.register.filters
_RAW = {_filters["safe"], _filters["safeseq"]}
_DEFAULTS = {_filters["default"], _filters["default_if_none"]}
# Filters that let markup of their input through.
_LENIENT_NAMES = """
    add capfirst center cut default default_if_none first join last ljust lower random rjust slice stringformat title
    truncatechars truncatewords upper wordwrap
"""
_LENIENT = {_filters[name] for name in _LENIENT_NAMES.split()}
_ALWAYS_THERE = frozenset({"True", "False", "None", "block", "forloop", "csrf_token", "view"})


@dataclass(frozen=True)
class _Around:
    """Where a node stands: `names` bound around it → the name of the page's data they come from."""

    names: Mapping[str, str | None] = field(default_factory=dict)
    escapes: bool = True

    def inside(self, node: Node) -> _Around:
        bound = {name: self.root(expression) for name, expression in node.binds.items() if expression is not None}
        escapes = self.escapes if node.escapes is None else node.escapes
        return _Around({**self.names, **bound}, escapes)

    def root(self, expression: FilterExpression) -> str | None:
        """The name of the page's data that the value of `expression` comes from, unchanged."""
        variable = expression.var
        if not expression.is_var or not isinstance(variable, Variable) or not variable.lookups:
            return None
        if any(function not in _LENIENT | _RAW for function, _ in expression.filters):
            return None
        return self.names.get(variable.lookups[0], variable.lookups[0])


@dataclass(frozen=True)
class _Read:
    """A name that is read: `root` of the page's data, if it comes from there."""

    name: str
    root: str | None
    expression: FilterExpression
    node: Node
    escapes: bool


class _Reading:
    """What a template consists of. `bound`: all names it sets, None if that cannot be known."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.html: list[str] = []
        self.reads: list[_Read] = []
        self.bound: set[str] | None = {"forloop", "block"}
        self._nodes(nodes, _Around())

    def _nodes(self, nodes: Iterable[Node], around: _Around) -> None:
        for node in nodes:
            if node.is_static:
                self.html.append(node.text)
            else:
                self._node(node, around)

    def _node(self, node: Node, around: _Around) -> None:
        for expression in (*node.expressions, *node.inner):
            self._expression(expression, node, around)
        self._bind(node)
        mark = _is_condition(node)
        self.html.append(_UNKNOWN)
        for body in node.bodies:
            self.html.append(_IF if mark else "")
            self._nodes(body, around.inside(node))
            self.html.append(_END if mark else "")
        self.html.append(_UNKNOWN)

    def _bind(self, node: Node) -> None:
        # What shows a template of its own sets names for that one; our own tags set none.
        is_ours = getattr(getattr(node.tag, "func", None), "__module__", "").startswith("djust.")
        if node.sets is ALL_NAMES and not is_ours and node.part != BRANCH:
            self.bound = None
        elif self.bound is not None:
            # A tag such as `firstof` may name what is missing.
            used = node.needs if node.delegated else node.sets
            self.bound.update(node.binds, () if used is ALL_NAMES else used)

    def _expression(self, expression: FilterExpression, node: Node, around: _Around) -> None:
        variable = expression.var
        if expression.is_var and isinstance(variable, Variable) and variable.lookups:
            name = variable.lookups[0]
            self.reads.append(_Read(name, around.names.get(name, name), expression, node, around.escapes))

    def handlers(self) -> Iterator[tuple[str, str, bool]]:
        """The handlers that the markup names: directive, name, and whether on a condition."""
        html = _no_markup.sub(lambda match: "".join(c for c in match[0] if c in (_IF, _END)), "".join(self.html))
        for tag in _tag.finditer(html):
            for match in _attribute.finditer(tag[0], 1):
                text = match[2] or match[3] or match[4] or ""
                called = _call.fullmatch(text)
                # A name that is put together at run time has marks in it, which are no letters.
                if called and _directive.fullmatch(match[1]):
                    before = html[: tag.start() + match.start()]
                    yield match[1], called[1], before.count(_IF) > before.count(_END)


def _is_condition(node: Node) -> bool:
    """Whether `node` shows what is inside it on a condition."""
    return node.may_skip and not node.each


# The checks


def check_templates(project: Project) -> Iterator[Finding]:
    """All findings that need the compiled templates of the project's views."""
    everybody = {name for view in project.views for name in handler_functions(view)}
    for view in project.views:
        is_base = view.__subclasses__() and view not in project.routes
        if not is_base and has_own_template(view) and view.get_template is LiveView.get_template:
            yield from _View(view, project).check(everybody)


class _View:
    """One view and its template."""

    def __init__(self, view: type[LiveView], project: Project) -> None:
        self.view, self.project = view, project
        self.scan = ViewScan(view, project)

    def check(self, everybody: set[str]) -> Iterator[Finding]:
        try:
            self.template = LiveView.get_template(object.__new__(self.view))
        except (TemplateDoesNotExist, TemplateSyntaxError, ImproperlyConfigured) as error:
            yield from self._unusable(error)
            return
        try:
            reading = _Reading(compile_template(self.template).nodes)
        except TemplateDoesNotExist as error:
            yield from self._unusable(error)
            return
        except (TemplateSyntaxError, VariableDoesNotExist):
            return  # A parent is named by data.
        yield from self._handlers(reading, everybody)
        yield from self._raw(reading)
        yield from self._undeclared(reading)

    def _unusable(self, error: Exception) -> list[Finding]:
        """V001: there is no template of that name, or it is none."""
        text = f'there is no template "{error}"' if isinstance(error, TemplateDoesNotExist) else str(error)
        message = f"{self.view.__name__}: {text.rstrip('.')}."
        for source, statement in self._statements():
            if defined_names(statement) & {"template_name", "template"}:
                return source.finding("V001", statement, message, "Correct template_name, or write the template.")
        return []

    def _statements(self) -> Iterator[tuple[Source, ast.stmt]]:
        """What the bodies of the view's classes say, as far as they are the project's."""
        for _, found in self.project.classes_of(self.view):
            yield from ((found.source, statement) for statement in found.node.body)

    # V004, V005

    def _handlers(self, reading: _Reading, everybody: set[str]) -> Iterator[Finding]:
        known, seen = handler_functions(self.view), set()
        for directive, name, on_condition in reading.handlers():
            # What is shown on a condition, in a template of several views, may be for others.
            if name in known or name in seen or (on_condition and name in everybody):
                continue
            seen.add(name)
            method = inspect.getattr_static(self.view, name, None)
            found = self.project.function_definition(method) if inspect.isfunction(method) else None
            if found and not is_own_name(name):
                if name not in undeclared(self.view, self.project):
                    yield from undeclared_finding(self.view, found)
                continue
            text, line = self._find(rf"{re.escape(directive)}\s*=\s*[\"']?\s*{name}\b")
            title = self.view.__name__
            names = ", ".join(f'"{handler}"' for handler in sorted(known)) or "none"
            advice = f"Handlers of {title}: {names}. Write one, decorated with @event_handler, or correct the name."
            message = f'{{place}} -- {directive} names "{name}", and {title} has no such event handler.'
            yield from text.finding("V005", line, message, did_you_mean(name, known, advice))

    def _find(self, pattern: str) -> tuple[Text, int]:
        """The first line of the view's templates that matches."""
        texts = [self._text(template) for template in compile_template(self.template).templates]
        for text in texts:
            if (line := text.line_of(pattern)) is not None:
                return text, line
        return texts[0], 1

    def _text(self, template: Template) -> Text:
        """The file of a template, or the module that it stands in."""
        name = str(template.origin.name)
        if Path(name).is_file():
            return Text(shown(name), template.source)
        for source, statement in self._statements():
            value = getattr(statement, "value", None)
            if isinstance(value, ast.Constant) and value.value == template.source:
                lines = source.lines[value.lineno - 1 : value.end_lineno]
                return Text(source.shown, "\n".join(lines), value.lineno)
        return Text(str(getattr(template.origin, "template_name", None) or name), template.source)

    def _finding(self, code: str, read: _Read, message: str, hint: str) -> list[Finding]:
        """A warning where a template reads a name."""
        templates = compile_template(self.template).templates
        found = next((template for template in templates if template.origin == read.node.tag.origin), None)
        line = int(read.node.location.rpartition(":")[2]) if found else 1
        return self._text(found or self.template).finding(code, line, f"{{place}} -- {message}", hint)

    # S001

    def _raw(self, reading: _Reading) -> Iterator[Finding]:
        sent = {name for name, values in self.scan.attributes.items() if is_sent(values)}
        for read in reading.reads:
            if read.node.shows_value and read.root in sent and _is_raw(read):
                yield from self._finding(
                    "S001",
                    read,
                    f"{self.view.__name__}.{read.root} holds what a browser has sent, and is shown without escaping.",
                    f"Leave out |safe: any visitor could put a script into the page. If {read.root} is HTML, clean it"
                    " in the handler.",
                )

    # V009

    def _undeclared(self, reading: _Reading) -> Iterator[Finding]:
        known = self._names()
        if known is None or reading.bound is None:
            return
        known |= reading.bound
        # What is asked for in a condition, or has a default, may be missing.
        optional = {read.name for read in reading.reads if _is_condition(read.node) or _has_default(read)}
        for read in reading.reads:
            is_own = read.node.tag.origin == self.template.origin
            if is_own and read.name == read.root and read.name not in known | optional:
                advice = f"Declare it: {read.name} = state(…), or assign self.{read.name} in mount()."
                message = f'{self.view.__name__} has no "{read.name}", which its template reads.'
                yield from self._finding("V009", read, message, did_you_mean(read.name, known, advice))
                known.add(read.name)

    def _names(self) -> set[str] | None:
        """All names that the template is given, or None if that cannot be known."""
        names = self.scan.names | {*declared_names(self.view)} | computed_names(self.view) | _ALWAYS_THERE
        names |= {*getattr(self.view, "__dataclass_fields__", ())}
        for given_by_url, _ in self.project.routes.get(self.view, ()):
            names |= given_by_url.keys()  # `as_view(title=…)` puts them into the instance.
        if not self.scan.closed:
            return None
        for owner in self.view.__mro__:
            if found := self.project.class_definition(owner):
                own = next((n for n in found.node.body if getattr(n, "name", "") == "get_context_data"), None)
                given = set() if own is None else _given_names(own)
                if given is None or "__getattr__" in vars(owner):
                    return None
                names |= given
            elif not _is_silent(owner):
                return None
        for processor in self.template.engine.template_context_processors:
            given = _processor_names(processor)
            if given is None:
                return None
            names |= given
        return names


def _is_silent(owner: type) -> bool:
    """Whether a class of others puts no names into the context but those that are known."""
    return owner in (View, object) or owner.__module__.startswith(("djust.", "django.contrib.auth.mixins"))


def _has_default(read: _Read) -> bool:
    return any(function in _DEFAULTS for function, _ in read.expression.filters)


def _is_raw(read: _Read) -> bool:
    functions = [function for function, _ in read.expression.filters]
    raw = next((position for position, function in enumerate(functions) if function in _RAW), None)
    if raw is None:
        return not read.escapes and _LENIENT.issuperset(functions)
    return _LENIENT.issuperset(functions[:raw])


def _processor_names(processor: Callable[..., Any]) -> set[str] | None:
    try:
        node = ast.parse(textwrap.dedent(inspect.getsource(processor))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    return _given_names(node)


def _given_names(function: ast.AST) -> set[str] | None:
    """All texts and keywords of a function that gives a dictionary; None if they are not all."""
    if not isinstance(function, Function):
        return None
    nodes = [*own_nodes(function)]
    given = [node.value for node in nodes if isinstance(node, ast.Return)]
    variables = {value.id for value in given if isinstance(value, ast.Name)}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in variables:
                given.append(value)
            case ast.AugAssign(target=ast.Name(id=name), value=value) if name in variables:
                given.append(value)
            case ast.Subscript(ctx=ast.Store(), slice=key) if not isinstance(key, ast.Constant):
                return None
            case ast.Call(func=ast.Attribute(attr="update")):
                given += node.args
            case ast.keyword(arg=None, value=value):
                given.append(value)
            case ast.Dict():
                given += [value for key, value in zip(node.keys, node.values, strict=True) if key is None]
    kwargs = function.args.kwarg
    variables |= {kwargs.arg} if kwargs else set()
    if not all(_is_plain(value, variables) for value in given):
        return None
    texts = {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    return texts | {node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg}


def _is_plain(node: ast.expr | None, variables: set[str]) -> bool:
    """Whether a dictionary's keys are written here, or are those that the view gives anyhow."""
    match node:
        case ast.Name(id=name):
            return name in variables
        case ast.BinOp(op=ast.BitOr()):
            return _is_plain(node.left, variables) and _is_plain(node.right, variables)
        case ast.Await():
            return _is_plain(node.value, variables)
        case ast.Call(func=ast.Attribute(attr="get_context_data", value=ast.Call(func=ast.Name(id="super")))):
            return True
        case ast.Call(func=ast.Name(id="dict")):
            return all(_is_plain(arg, variables) for arg in node.args)
    return isinstance(node, ast.Dict)
