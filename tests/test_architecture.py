"""ARCHITECTURE.md names every module, and every file that it names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "ARCHITECTURE.md"
PACKAGE = ROOT / "src" / "djust"

# Paths are written as code: `live/page.py`, `client/src/parts.ts`, `template/`.
PATH = re.compile(r"`([\w./-]+(?:\.(?:py|ts|js|md|html|css|sh|toml)|/))`")

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="ARCHITECTURE.md is not written yet")


def test_every_file_it_names_exists() -> None:
    places = (ROOT, PACKAGE, ROOT / "client", ROOT / "client" / "src")
    named = PATH.findall(PAGE.read_text())
    assert named
    assert [path for path in named if not any((place / path).exists() for place in places)] == []


def test_it_names_every_module() -> None:
    words = set(re.findall(r"[\w/.-]+", PAGE.read_text()))
    modules = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.stem != "__init__"]
    missing = [str(m) for m in modules if not {str(m), str(m.with_suffix("")), m.name, m.stem} & words]
    assert sorted(missing) == []
