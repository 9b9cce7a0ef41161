"""The public surface: what `__all__` promises is there, is all there is, and is documented."""

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "djust"

# The modules that users import from.
PUBLIC = [
    "djust",
    "djust.decorators",
    "djust.routing",
    "djust.asgi",
    "djust.testing",
    "djust.signals",
    "djust.health",
    "djust.exceptions",
    "djust.forms",
    "djust.components",
    "djust.streams",
    "djust.presence",
    "djust.uploads",
    "djust.js",
]


def exists(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


MODULES = [name for name in PUBLIC if exists(name)]


def visible(module: ModuleType) -> set[str]:
    """Names without underscore that the module defines, or, for a package, gathers."""
    gathers = hasattr(module, "__path__")
    return {
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and not isinstance(thing, ModuleType)
        and (inspect.isclass(thing) or inspect.isfunction(thing))
        and (thing.__module__.startswith("djust") if gathers else thing.__module__ == module.__name__)
    }


def named(module: ModuleType) -> list[tuple[str, object]]:
    return [(name, getattr(module, name)) for name in module.__all__]


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def test_all_names_exist_and_none_stands_twice(module: ModuleType) -> None:
    assert hasattr(module, "__all__"), f"{module.__name__} needs __all__"
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert len(module.__all__) == len(set(module.__all__))


def test_all_is_everything_that_is_visible(module: ModuleType) -> None:
    assert visible(module) - set(module.__all__) == set()


def test_every_public_name_has_a_docstring(module: ModuleType) -> None:
    assert [
        name
        for name, thing in named(module)
        if (inspect.isclass(thing) or inspect.isroutine(thing)) and not (thing.__doc__ or "").strip()
    ] == []


def test_the_docs_mention_every_public_name(module: ModuleType) -> None:
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.name != "protocol.md"]
    if not pages:
        pytest.skip("the documentation is not written yet")
    words = set(re.findall(r"\w+", "\n".join(page.read_text() for page in [*pages, ROOT / "README.md"])))
    assert [name for name, _ in named(module) if name not in words] == []
