"""Sizes: functions, modules, classes, the package and the client stay small enough to be read."""

import ast
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "djust"
CLIENT = ROOT / "static" / "djust"

FUNCTION_LINES = 60
MODULE_LINES = 600
CLASS_METHODS = 25
PACKAGE_LINES = 22_000

# Of the client's files, gzipped: the core (which fits the first congestion window of a connection), each module that it
# loads for pages that need it, and all together without the tools of DEBUG. A budget that is nearly used up is printed.
CORE_BYTES = 14_000
MODULE_BYTES = 3_000
CLIENT_BYTES = 24_000
CLOSE_BYTES = 500

MODULES = sorted(ROOT.rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def body_lines(function: Function) -> int:
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def functions(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield body_lines(node), f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def classes(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            methods = sum(isinstance(member, Function) for member in node.body)
            yield methods, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def too_big(sizes: list[tuple[int, str]], limit: int) -> list[tuple[int, str]]:
    return [size for size in sizes if size[0] > limit]


def test_functions_stay_short() -> None:
    assert too_big([size for path in MODULES for size in functions(path)], FUNCTION_LINES) == []


def test_modules_stay_short() -> None:
    assert too_big([(lines(path), str(path.relative_to(ROOT))) for path in MODULES], MODULE_LINES) == []


def test_classes_stay_small() -> None:
    assert too_big([size for path in MODULES for size in classes(path)], CLASS_METHODS) == []


def test_the_package_stays_small() -> None:
    assert sum(map(lines, MODULES)) <= PACKAGE_LINES


def client_sizes() -> dict[str, int]:
    scripts = [path for path in sorted(CLIENT.glob("*.js")) if path.name != "djust.debug.js"]
    return {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in scripts}


def client_budget(name: str) -> int:
    return CORE_BYTES if name == "djust.js" else MODULE_BYTES


@pytest.mark.skipif(not CLIENT.exists(), reason="the client is not built")
def test_the_client_stays_small() -> None:
    sizes = client_sizes()
    assert {name: size for name, size in sizes.items() if size > client_budget(name)} == {}
    assert sum(sizes.values()) <= CLIENT_BYTES


def test_print_the_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    """Not a check: the numbers above, for the log."""
    rows = [("package", f"{sum(map(lines, MODULES)):,} lines in {len(MODULES)} modules (at most {PACKAGE_LINES:,})")]
    sizes = [(name, size, client_budget(name)) for name, size in client_sizes().items()]
    sizes.append(("client", sum(size for _, size, _ in sizes), CLIENT_BYTES))
    for name, size, budget in sizes:
        warning = "  NEARLY USED UP" * (size > budget - CLOSE_BYTES)
        rows.append((name, f"{size:,} bytes gzipped (at most {budget:,}){warning}"))
    rows += [("longest modules", f"{n:4} {name}") for n, name in largest((lines(p), dotted(p)) for p in MODULES)]
    rows += [("longest functions", f"{n:4} {name}") for n, name in largest(s for p in MODULES for s in functions(p))]
    rows += [("largest classes", f"{n:4} {name}") for n, name in largest(s for p in MODULES for s in classes(p))]
    with capsys.disabled():
        print("\n" + "\n".join(f"  {title:18}{text}" for title, text in rows))


def dotted(path: Path) -> str:
    return str(path.relative_to(ROOT))


def largest(sizes: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    return sorted(sizes, reverse=True)[:3]
