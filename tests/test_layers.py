"""Layers: a module imports from its own folder and from lower layers, never upward, and never
inside a function.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from djust.template import nodes

ROOT = Path(__file__).parent.parent / "src" / "djust"

# Layer -> folder -> modules. An entry names a module or a package; "*" stands for any module of the
# folder. The first layer may be imported by everybody, the last one by nobody.
LAYERS: list[dict[str, str]] = [
    {"": "exceptions conf signals context process loop"},
    {
        "protocol": "frames",
        "render": "values diff",
        "state": "fields classes rows types validation codec tracking snapshots circuit",
        "threads": "pools pool watchdog testmode",
    },
    {
        "template": "nodes inheritance start_tags tree steps fragments context tags html markup lower codegen optimize"
        " runtime debug report includes compiler cache backend",
    },
    {"events": "handlers parameters", "pubsub": "*"},
    {"": "access views decorators services tasks"},
    {"protocol": "messages"},
    {
        "live": "page turn snapshots tasks metering nodes failures registry visitor channel"
        " mount responder handler script guards middleware logout token transports",
    },
    {"": "routing asgi checks testing apps otel health", "templatetags": "*", "management": "*"},
]

MODULES = sorted(ROOT.rglob("*.py"))


def dotted(path: Path) -> str:
    """``src/djust/render/diff.py`` -> ``render.diff``; a package's ``__init__`` has the package's
    name.
    """
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place(module: str) -> tuple[int, str] | None:
    """Layer and folder of a module such as `render.diff`; None if the table does not know it."""
    first, _, rest = module.partition(".")
    for layer, folders in enumerate(LAYERS):
        if first in folders:
            known = folders[first].split()
            if not rest or known == ["*"] or rest.split(".")[0] in known:
                return layer, first
        if first in folders.get("", "").split():
            return layer, ""
    return None


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """The modules of this package that a file imports, with the line; names inside a package count
    as modules.
    """
    module = dotted(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name.removeprefix("djust."), node.lineno) for alias in node.names if is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - (node.level - 1)]
                name = ".".join(["djust", *filter(None, above), *filter(None, [name])])
            if is_ours(name):
                for alias in node.names:
                    full = f"{name}.{alias.name}".removeprefix("djust.")
                    yield (full if is_module(full) else name.removeprefix("djust").lstrip("."), node.lineno)


def is_ours(name: str) -> bool:
    return name == "djust" or name.startswith("djust.")


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_every_module_has_a_place_in_the_table(path: Path) -> None:
    assert dotted(path) == "" or place(dotted(path)), f"{dotted(path)} is not in the layer table; give it a layer"


@pytest.mark.parametrize("path", [p for p in MODULES if dotted(p)], ids=dotted)
def test_no_module_imports_upward(path: Path) -> None:
    here = place(dotted(path))
    assert here
    wrong = []
    for name, line in imports(path):
        there = place(name)
        if name == "" or there is None or not (there[0] < here[0] or there == here):
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name or 'the package djust itself'}")
    assert wrong == []


def test_the_table_names_only_modules_that_exist() -> None:
    named = [f"{folder}.{name}".strip(".") for layer in LAYERS for folder in layer for name in layer[folder].split()]
    assert [name for name in named if not name.endswith("*") and not is_module(name)] == []


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_no_function_imports(path: Path) -> None:
    local = [
        f"{path.relative_to(ROOT)}:{node.lineno} in {function.name}()"
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert local == []


def test_the_channel_knows_no_transport_and_transports_know_neither_tokens_nor_snapshots() -> None:
    graph = {dotted(path): {name for name, _ in imports(path)} for path in MODULES}
    assert not [name for name in graph["live.channel"] if name.startswith(("live.transports", "live.handler"))]
    transports = [module for module in graph if module.startswith("live.transports.")]
    assert len(transports) == 3
    for module in transports:
        assert graph[module].isdisjoint({"live.token", "live.snapshots", "live.registry", "state.snapshots"})


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph = {dotted(path): {name for name, _ in imports(path)} - {dotted(path)} for path in MODULES}
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for name in sorted(graph.get(module, ())):
                visit(name, [*trail, module])
            done.add(module)

    for module in graph:
        visit(module, [])


def test_stages_ask_nodes_of_templates_for_their_facts() -> None:
    """Their classes are known to who makes nodes and who writes their code; of the rest of the
    compiler `Static` is known, and all others have annotations with `Node` alone.
    """
    classes = {name for name, value in vars(nodes).items() if isinstance(value, type) and issubclass(value, nodes.Node)}
    wrong = []
    for path in MODULES:
        module = dotted(path)
        if module in ("template.nodes", "template.lower", "template.tags") or module.startswith("template.codegen"):
            continue
        known = {"Node", "Static"} if module.startswith("template.") else {"Node"}
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names}
                by_module = node.module == "djust.template" and "nodes" in names
                if by_module or (node.module == "djust.template.nodes" and names & classes - known):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []
