"""What the checks read: the project's views, their source, and where findings stand.

    project = Project()
    project.views                                ->  [S3BrowserView, …], without installed ones
    project.class_definition(S3BrowserView)      ->  Definition: its Source, and its ast.ClassDef
    source.finding("V006", node, "…", hint="…")  ->  [a warning of Django's]; [] where `# noqa` is

Each run of checks makes a `Project` of its own and drops it with the trees it holds.
"""

from __future__ import annotations

import ast
import inspect
import re
import symtable
import sys
import sysconfig
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Warning as Finding
from django.urls import URLPattern, URLResolver, get_resolver

from djust.checks.mentions import Mention, mentions_of
from djust.checks.services import subclasses_of
from djust.state.classes import class_name
from djust.views import LiveView

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Defining: TypeAlias = ast.ClassDef | Function
N = TypeVar("N", bound=Defining)

_FOLDERS = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
_INSTALLED = [Path(__file__).parent.parent, *map(Path, _FOLDERS)]
# The fields of statements that hold statements, and handlers and cases that do.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_noqa = re.compile(r"#\s*noqa(?P<codes>\s*:\s*[\w.]+(?:[\s,]+[\w.]+)*)?", re.IGNORECASE)


class Text:
    """A file, or a string in one: `shown` is its name in findings, `first` its first line there."""

    def __init__(self, shown: str, text: str, first: int = 1) -> None:
        self.shown, self.first = shown, first
        self.lines = text.splitlines()

    def line_of(self, pattern: str) -> int | None:
        """The first line in which `pattern` is found."""
        found = re.compile(pattern)
        return next((number for number, line in enumerate(self.lines, 1) if found.search(line)), None)

    def finding(
        self, code: str, where: ast.AST | int, message: str, hint: str, *, also: tuple[str, ...] = ()
    ) -> list[Finding]:
        """One warning, unless `# noqa` silences a code of it. `{place}` becomes file and line.

        `where` is a line or a statement; a definition stands for its first line.
        """
        start = where if isinstance(where, int) else getattr(where, "lineno", 1)
        is_line = isinstance(where, int | Defining)
        end = start if is_line else getattr(where, "end_lineno", None) or start
        if any(self._silences(line, {code, *also}) for line in range(start, end + 1)):
            return []
        place = f"{self.shown}:{start + self.first - 1}"
        return [Finding(message.replace("{place}", place), hint=hint, obj=place, id=f"djust.{code}")]

    def _silences(self, number: int, codes: set[str]) -> bool:
        line = self.lines[number - 1] if 0 < number <= len(self.lines) else ""
        for match in _noqa.finditer(line):
            named = {name.upper().removeprefix("DJUST.") for name in re.findall(r"[\w.]+", match["codes"] or "")}
            if not named or named & codes:
                return True
        return False


class Source(Text):
    """A module: its tree, and the names that stand in it when it has been imported."""

    def __init__(self, shown: str, text: str, names: dict[str, Any]) -> None:
        super().__init__(shown, text)
        self.names = names
        self.tree = ast.parse(text)
        self._bound: dict[tuple[str, int], frozenset[str]] = {}
        self._read_scope(symtable.symtable(text, shown, "exec"))

    def _read_scope(self, scope: symtable.SymbolTable) -> frozenset[str]:
        own = scope.get_locals() if isinstance(scope, symtable.Function) else ()
        names = frozenset(own).union(*map(self._read_scope, scope.get_children()))
        self._bound[scope.get_name(), scope.get_lineno()] = names
        return names

    def bound(self, function: Function) -> frozenset[str]:
        """The names that a function binds, or one inside it; there they never mean the module's."""
        return self._bound[function.name, function.lineno]

    @cached_property
    def definitions(self) -> Mapping[str, list[Definition[Any]]]:
        """The classes and functions by their qualified names; several may have the same."""
        found: defaultdict[str, list[Definition[Any]]] = defaultdict(list)

        def collect(parent: ast.AST, prefix: str, hidden: frozenset[str]) -> None:
            for node in own_statements(parent):
                if isinstance(node, Defining):
                    name = prefix + node.name
                    found[name].append(Definition(self, node, hidden))
                    if isinstance(node, ast.ClassDef):
                        collect(node, f"{name}.", hidden)
                    else:
                        collect(node, f"{name}.<locals>.", hidden | self.bound(node))

        collect(self.tree, "", frozenset())
        return found

    @cached_property
    def mentions(self) -> Mapping[str, list[Mention]]:
        """Where the module reads attributes, by their names."""
        return mentions_of(self.tree)


class Definition(NamedTuple, Generic[N]):
    """A class or function of the project. `hidden` are the names that functions around it bind."""

    source: Source
    node: N
    hidden: frozenset[str]

    def finding(self, code: str, message: str, hint: str) -> list[Finding]:
        return self.source.finding(code, self.node, message, hint)


def decorators(node: Function) -> frozenset[str]:
    called = [item.func if isinstance(item, ast.Call) else item for item in node.decorator_list]
    return frozenset(item.attr if isinstance(item, ast.Attribute) else getattr(item, "id", "") for item in called)


def own_statements(node: ast.AST) -> Iterator[ast.stmt]:
    """The statements of a class body, also under `if` and `try`, without those of definitions."""
    for child in chain.from_iterable(getattr(node, field, ()) for field in _BLOCKS):
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(child, Defining):
            yield from own_statements(child)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions inside."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.Lambda | ast.GeneratorExp):
            yield child
            yield from own_nodes(child)


class Project:
    """The views of one run. `owns` says which modules are the project's."""

    def __init__(
        self, app_configs: Iterable[AppConfig] | None = None, owns: Callable[[str], bool] | None = None
    ) -> None:
        self._apps = None if app_configs is None else tuple(f"{app.name}." for app in app_configs)
        self.owns_module = cache(owns or _is_own)
        self._sources: dict[str, Source | None] = {}
        self.contains = cache(_contains)

    @cached_property
    def routes(self) -> Mapping[type, list[tuple[Mapping[str, Any], frozenset[str]]]]:
        """View class → for each route the arguments of `as_view` and the names in the URL."""
        found: defaultdict[type, list[tuple[Mapping[str, Any], frozenset[str]]]] = defaultdict(list)
        if getattr(settings, "ROOT_URLCONF", None):
            for pattern, names in _patterns(get_resolver().url_patterns, frozenset()):
                view = getattr(pattern.callback, "view_class", None)
                if isinstance(view, type):
                    found[view].append((getattr(pattern.callback, "view_initkwargs", {}), names))
        return found

    @cached_property
    def views(self) -> list[type[LiveView]]:
        """The project's imported views, by their names; reading the URLs imports those in use."""
        assert self.routes is not None
        views = {view for view in subclasses_of(LiveView) if self.owns(view)}
        if self._apps is not None:
            views = {view for view in views if f"{view.__module__}.".startswith(self._apps)}
        return sorted(views, key=lambda view: (view.__module__, view.__qualname__))

    @cached_property
    def modules(self) -> list[str]:
        """The names of the project's modules that are imported."""
        return sorted(name for name in list(sys.modules) if self.owns_module(name))

    def owns(self, kind: type) -> bool:
        """Whether the module is the project's own, and still has the class under its name."""
        is_there = "<locals>" in kind.__qualname__ or class_name(kind) is not None
        return is_there and self.class_definition(kind) is not None

    def source(self, module_name: str) -> Source | None:
        """The source of an imported module, or None where there is none."""
        if module_name not in self._sources:
            self._sources[module_name] = _read(module_name)
        return self._sources[module_name]

    def class_definition(self, kind: type) -> Definition[ast.ClassDef] | None:
        """The definition of a class, if it is the project's."""
        source = self.source(kind.__module__) if self.owns_module(kind.__module__) else None
        found = source.definitions.get(kind.__qualname__, ()) if source else ()
        # The module has the last of several definitions of one name, unless a condition decides.
        return next((one for one in reversed(found) if isinstance(one.node, ast.ClassDef)), None)

    def classes_of(self, view: type) -> list[tuple[type, Definition[ast.ClassDef]]]:
        """The project's classes among those from which a view inherits, and the view itself."""
        return [(owner, found) for owner in view.__mro__ if (found := self.class_definition(owner))]

    def function_definition(self, function: Any) -> Definition[Function] | None:
        """The definition of a function of the project, which a decorator may have wrapped."""
        function = inspect.unwrap(function) if inspect.isroutine(function) else None
        if not inspect.isfunction(function) or not self.owns_module(function.__module__ or ""):
            return None
        source = self.source(function.__module__)
        for found in source.definitions.get(function.__qualname__, ()) if source else ():
            first = min([found.node.lineno, *(decorator.lineno for decorator in found.node.decorator_list)])
            if isinstance(found.node, Function) and first == function.__code__.co_firstlineno:
                return found
        return None


def _is_own(name: str) -> bool:
    """Whether an imported module is the project's: not installed, nor part of Python or djust."""
    path = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(path, str) or "site-packages" in path or "dist-packages" in path:
        return False
    return not any(Path(path).is_relative_to(folder) for folder in _INSTALLED)


def _patterns(patterns: Iterable[Any], names: frozenset[str]) -> Iterator[tuple[URLPattern, frozenset[str]]]:
    for pattern in patterns:
        taken = (
            names | frozenset(getattr(pattern.pattern, "converters", ())) | frozenset(pattern.pattern.regex.groupindex)
        )
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns, taken)
        else:
            yield pattern, taken | frozenset(pattern.default_args)


def _read(module_name: str) -> Source | None:
    module = sys.modules.get(module_name)
    path = getattr(module, "__file__", None)
    if module is None or not isinstance(path, str):
        return None
    try:
        with tokenize.open(path) as file:
            return Source(shown(path, module_name), file.read(), vars(module))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None  # Compiled, zipped, or changed since it was imported: there is nothing to read.


def _contains(module_name: str, words: re.Pattern[bytes]) -> bool | None:
    """Whether a module's file contains one of `words`; None if it is not a Python file."""
    path = getattr(sys.modules.get(module_name), "__file__", None)
    if not isinstance(path, str) or not path.endswith(".py"):
        return None
    try:
        return words.search(Path(path).read_bytes()) is not None
    except OSError:
        return None


def shown(path: str, module_name: str = "") -> str:
    """The name of a file: from the current directory, or as much of its path as its module has."""
    try:
        return Path(path).relative_to(Path.cwd()).as_posix()
    except ValueError:
        count = module_name.count(".") + (2 if Path(path).stem == "__init__" else 1)
        return "/".join(Path(path).parts[-count:]) if module_name else path


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """A hint to the name of `known` that is nearly `name`, or `otherwise`."""
    near = get_close_matches(name, [*known], 1)
    return f'Did you mean "{near[0]}"?' if near else otherwise
