"""What the checks read: the project's views, their source, and where findings stand.

    project = Project()
    project.views                                   ->  [S3BrowserView, …], what is installed left out
    project.class_node(S3BrowserView)               ->  its ast.ClassDef, and the Source of its module
    source.finding("V006", node, "…", hint="…")     ->  [a warning of Django's]; [] where `# noqa` stands

Each run of checks makes a `Project` of its own and drops it with the trees it holds.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import sysconfig
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Warning as Finding
from django.urls import URLPattern, URLResolver, get_resolver

from djust.checks.mentions import Mention, mentions_of
from djust.checks.services import subclasses_of
from djust.state.classes import class_name
from djust.views import LiveView

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

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

    def place(self, line: int) -> str:
        return f"{self.shown}:{line + self.first - 1}"

    def line_of(self, pattern: str) -> int | None:
        """The first line in which `pattern` is found."""
        found = re.compile(pattern)
        return next((number for number, line in enumerate(self.lines, 1) if found.search(line)), None)

    def finding(
        self, code: str, where: ast.AST | int, message: str, hint: str, *, also: tuple[str, ...] = ()
    ) -> list[Finding]:
        """One warning, unless `# noqa` silences a code of it. `{place}` becomes file and line."""
        start = where if isinstance(where, int) else getattr(where, "lineno", 1)
        end = start if isinstance(where, int) else getattr(where, "end_lineno", None) or start
        if any(self._silences(line, {code, *also}) for line in range(start, end + 1)):
            return []
        place = self.place(start)
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
        self._bound: dict[Function, frozenset[str]] = {}

    def bound(self, function: Function) -> frozenset[str]:
        """The names that a function binds, or one inside it; there they never mean the module's."""
        if function not in self._bound:
            self._bound[function] = _bound_names(function)
        return self._bound[function]

    @cached_property
    def nodes(self) -> Mapping[str, list[tuple[ast.ClassDef | Function, frozenset[str]]]]:
        """Qualified name → its definitions, each with the names of the functions around it."""
        found: defaultdict[str, list[tuple[ast.ClassDef | Function, frozenset[str]]]] = defaultdict(list)
        self._collect(self.tree, "", frozenset(), found)
        return found

    def _collect(
        self, parent: ast.AST, prefix: str, hidden: frozenset[str], found: defaultdict[str, list[Any]]
    ) -> None:
        for node in chain.from_iterable(getattr(parent, field, ()) for field in _BLOCKS):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = prefix + node.name
                found[name].append((node, hidden))
                if isinstance(node, ast.ClassDef):
                    self._collect(node, f"{name}.", hidden, found)
                else:
                    self._collect(node, f"{name}.<locals>.", hidden | self.bound(node), found)
            else:
                self._collect(node, prefix, hidden, found)

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """Names that something in the module asks an object for, or names in a string."""
        names = {node.attr for node in ast.walk(self.tree) if isinstance(node, ast.Attribute)}
        texts = (node.value for node in ast.walk(self.tree) if isinstance(node, ast.Constant))
        return frozenset(names.union(text for text in texts if isinstance(text, str) and text.isidentifier()))

    @cached_property
    def mentions(self) -> Mapping[str, list[Mention]]:
        """Where the module reads attributes, by their names."""
        return mentions_of(self.tree)


def _bound_names(function: Function) -> frozenset[str]:
    names: set[str] = set()
    of_module: set[str] = set()
    nodes: list[ast.AST] = [function]
    for node in nodes:
        match node:
            case ast.Name():
                if not isinstance(node.ctx, ast.Load):
                    names.add(node.id)
                continue
            case ast.Constant():
                continue
            case ast.arg():
                names.add(node.arg)
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if node is not function:
                names.add(node.name)
            case ast.alias():
                names.add((node.asname or node.name).partition(".")[0])
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                names.add(name)
            case ast.Global():
                of_module.update(node.names)
        for value in vars(node).values():
            if isinstance(value, list):
                nodes.extend(item for item in value if isinstance(item, ast.AST))
            elif isinstance(value, ast.AST):
                nodes.append(value)
    return frozenset(names - of_module)


def decorators(node: Function) -> frozenset[str]:
    called = [item.func if isinstance(item, ast.Call) else item for item in node.decorator_list]
    return frozenset(item.attr if isinstance(item, ast.Attribute) else getattr(item, "id", "") for item in called)


def own_statements(node: ast.AST) -> Iterator[ast.stmt]:
    """The statements of a class body, also under `if` and `try`, without those of definitions."""
    for child in chain.from_iterable(getattr(node, field, ()) for field in _BLOCKS):
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from own_statements(child)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions inside."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.GeneratorExp):
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
        return is_there and self.owns_module(kind.__module__) and self.class_node(kind) is not None

    def source(self, module_name: str) -> Source | None:
        """The source of an imported module, or None where there is none."""
        if module_name not in self._sources:
            self._sources[module_name] = _read(module_name)
        return self._sources[module_name]

    def class_node(self, kind: type) -> tuple[Source, ast.ClassDef, frozenset[str]] | None:
        """The definition of a class, and the names of functions around it."""
        source = self.source(kind.__module__)
        found = source.nodes.get(kind.__qualname__, []) if source else []
        classes = [(node, hidden) for node, hidden in found if isinstance(node, ast.ClassDef)]
        # Of several with one name, what the module has is the last one, or nobody can tell.
        return None if source is None or not classes else (source, *classes[-1])

    def function_node(self, function: Any) -> tuple[Source, Function, frozenset[str]] | None:
        """The definition of a function of the project, which a decorator may have wrapped."""
        function = inspect.unwrap(function) if inspect.isroutine(function) else None
        if not inspect.isfunction(function) or not self.owns_module(function.__module__ or ""):
            return None
        source = self.source(function.__module__)
        for node, hidden in source.nodes.get(function.__qualname__, ()) if source else ():
            first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])
            if isinstance(node, Function) and first == function.__code__.co_firstlineno:
                assert source is not None
                return source, node, hidden
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
