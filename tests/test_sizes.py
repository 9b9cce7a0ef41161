"""Sizes: functions, modules, folders, the package and the client stay small enough to be read.

A budget is a thermometer. To meet one, move or drop something, or move the budget and say here why.
Do not respell code for it.
"""

import ast
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent / "src" / "djust"
CLIENT = ROOT / "static" / "djust"

FUNCTION_LINES = 60
MODULE_LINES = 600


class Budget(NamedTuple):
    """The most lines that folders have together; "" is what stands in no folder."""

    name: str
    folders: tuple[str, ...]
    lines: int
    reason: str


BUDGETS = [
    Budget(
        "what users import",
        ("", "testing", "templatetags", "management"),
        3_500,
        "Views, tasks, services and the test client, with docstrings that users read; components, forms, uploads and "
        "navigation have their room in it.",
    ),
    Budget("events", ("events",), 550, "Which methods a browser may call, and a converter per type of parameter."),
    Budget("protocol", ("protocol",), 275, "Names of frames and messages, once; what is done with them is elsewhere."),
    Budget("render", ("render",), 700, "One algorithm for differences, and what one browser has been sent."),
    Budget("state", ("state",), 1_650, "One table of types, and what is derived from it: checks, snapshots, tracking."),
    Budget(
        "template",
        ("template",),
        5_900,
        "A compiler: all of Django's tags, the markup that browsers rearrange, and relations that are fetched ahead.",
    ),
    Budget(
        "live",
        ("live",),
        5_400,
        "Pages, their channel and their turns, guards that hold for each turn, and a thin driver per transport.",
    ),
    Budget(
        "threads", ("threads",), 950, "Pools that outlive what hangs in them, with fair shares: no library has that."
    ),
    Budget("pubsub", ("pubsub",), 1_250, "Three back ends, two of them on connections that outlive failures."),
    Budget("checks", ("checks",), 2_400, "Reads whole programs in the abstract, but is imported when checks run only."),
]
PACKAGE_LINES = 21_700  # A tenth of comparable frameworks, and what one person can read in a week.
# From here on the table says that a budget is nearly used up.
NEARLY = 0.97

# Of the client's files, gzipped: the core (which fits the first congestion window of a connection),
# each module that it loads for pages that need it, and all together without the tools of DEBUG. The
# table says where fewer than so many bytes are left.
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


def used(budget: Budget) -> int:
    return sum(lines(path) for path in MODULES if folder(path) in budget.folders)


def folder(path: Path) -> str:
    """The folder of the package that holds a module, at any depth; "" for the package itself."""
    return path.relative_to(ROOT).parts[0] if path.parent != ROOT else ""


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda budget: budget.name)
def test_folders_stay_within_their_budgets(budget: Budget) -> None:
    assert used(budget) <= budget.lines, f"{budget.name} may have {budget.lines:,} lines. {budget.reason}"


def test_every_folder_has_one_budget() -> None:
    assert sorted(name for budget in BUDGETS for name in budget.folders) == sorted({folder(path) for path in MODULES})


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


def test_print_the_sizes(record_property: Callable[[str, object], None]) -> None:
    """Not a check: the numbers above, for the log."""
    rows = [(budget.name, of_budget(used(budget), budget.lines)) for budget in BUDGETS]
    rows.append(("package", f"{of_budget(sum(map(lines, MODULES)), PACKAGE_LINES)} in {len(MODULES)} modules"))
    sizes = [(name, size, client_budget(name)) for name, size in client_sizes().items()]
    sizes.append(("client", sum(size for _, size, _ in sizes), CLIENT_BYTES))
    for name, size, budget in sizes:
        rows.append((name, of_budget(size, budget, "bytes", budget - CLOSE_BYTES)))
    rows += [("longest modules", f"{n:4} {name}") for n, name in largest((lines(p), dotted(p)) for p in MODULES)]
    rows += [("longest functions", f"{n:4} {name}") for n, name in largest(s for p in MODULES for s in functions(p))]
    rows += [("largest classes", f"{n:4} {name}") for n, name in largest(s for p in MODULES for s in classes(p))]
    record_property("table", "\n".join(["Sizes", *(f"  {title:18}{text}" for title, text in rows)]))


def of_budget(size: int, budget: int, unit: str = "lines", close: float | None = None) -> str:
    close = budget * NEARLY if close is None else close
    note = ", EXCEEDED" if size > budget else ", nearly used up" if size > close else ""
    return f"{size:6,} of {budget:6,} {unit} ({size / budget:.0%}{note})"


def dotted(path: Path) -> str:
    return str(path.relative_to(ROOT))


def largest(sizes: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    return sorted(sizes, reverse=True)[:3]
