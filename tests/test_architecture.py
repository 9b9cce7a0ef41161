"""ARCHITECTURE.md names every module by its path, and every file that it names exists.

A path counts where it is written as code: in a span of its own, or in a table of folders, whose
rows begin with a folder and the stems of its modules:

    `live/page.py`
    | `live/` | `channel page turn` | what they are for |
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "ARCHITECTURE.md"
PACKAGE = ROOT / "src" / "djust"
CLIENT = ROOT / "client" / "src"

# What a path may be relative to.
PLACES = (ROOT, PACKAGE, ROOT / "client", CLIENT)
FILE = re.compile(r"`([\w./-]+\.(?:py|ts|js|md|html|css|sh|toml))`")
FOLDER = re.compile(r"`([\w./-]+/)`")
ROW = re.compile(r"^\| *`([\w./-]+/)` *\| *`([\w ]+)` *\|", flags=re.MULTILINE)


def paths(page: str) -> Iterator[str]:
    """The paths of files that a page names."""
    yield from FILE.findall(page)
    for folder, stems in ROW.findall(page):
        ending = ".ts" if (ROOT / folder).is_relative_to(CLIENT) else ".py"
        yield from (f"{folder}{stem}{ending}" for stem in stems.split())


def named(page: str) -> set[Path]:
    return {place / path for path in paths(page) for place in PLACES}


def modules() -> list[Path]:
    """Everything that somebody may look for; a package stands for what initialises it."""
    found = [*PACKAGE.rglob("*.py"), *CLIENT.rglob("*.ts")]
    return sorted(path for path in found if path.stem != "__init__")


def missing(page: str, known: list[Path]) -> list[str]:
    there = named(page)
    return [str(path.relative_to(ROOT)) for path in known if path not in there]


def test_every_file_it_names_exists() -> None:
    page = PAGE.read_text()
    wanted = [*paths(page), *FOLDER.findall(page)]
    assert wanted
    assert [path for path in wanted if not any((place / path).exists() for place in PLACES)] == []


def test_it_names_every_module() -> None:
    assert missing(PAGE.read_text(), modules()) == []


@pytest.mark.parametrize(
    "page",
    [
        "`live/invented.py`",
        "(`src/djust/live/invented.py`)",
        "| `live/` | `page invented turn` | pages |",
        "| folder |\n|---|\n| `src/djust/live/` |`invented`| pages |",
    ],
)
def test_a_path_as_code_names_a_module(page: str) -> None:
    assert missing(page, [PACKAGE / "live" / "invented.py"]) == []


@pytest.mark.parametrize(
    "page",
    [
        "",
        "An invented module, `invented`, in live/invented.py or `live/`.",
        "`invented.py`, `state/invented.py`, `live/invented.pyi`",
        "| `live/` | page invented turn | pages |",
        "| `live/` | `page` | `invented` |",
        "| `state/` | `invented` | state |",
        "see `live/` | `invented` |",
    ],
)
def test_nothing_else_does(page: str) -> None:
    assert missing(page, [PACKAGE / "live" / "invented.py"]) == ["src/djust/live/invented.py"]


def test_rows_name_the_modules_of_the_client_too() -> None:
    assert missing("| `client/src/core/` | `invented` |", [CLIENT / "core" / "invented.ts"]) == []
