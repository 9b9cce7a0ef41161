"""The wire is defined once per language; the two definitions hold the same names and values."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / "src" / "djust" / "protocol" / "frames.py"
TYPESCRIPT = ROOT / "client" / "src" / "core" / "protocol.ts"

CONSTANT = re.compile(r'^export const ([A-Z][A-Z0-9_]*)(?:\s*:[^=]+)? = ("(?:[^"\\]|\\.)*"|-?[\d_]+)', re.MULTILINE)

needs_both = pytest.mark.skipif(not (PYTHON.exists() and TYPESCRIPT.exists()), reason="one side is not written yet")


def python_constants() -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for node in ast.parse(PYTHON.read_text()).body:
        match node:
            case (
                ast.AnnAssign(target=ast.Name(name), value=ast.Constant(str() | int() as value))
                | ast.Assign(targets=[ast.Name(name)], value=ast.Constant(str() | int() as value))
            ) if name.isupper():
                found[name] = value
    return found


def typescript_constants() -> dict[str, str | int]:
    return {
        name: json.loads(value.replace("_", "") if value[0] != '"' else value)
        for name, value in CONSTANT.findall(TYPESCRIPT.read_text())
    }


@needs_both
def test_both_languages_define_the_same_names_with_the_same_values() -> None:
    assert typescript_constants() == python_constants()


@needs_both
def test_the_definitions_are_found() -> None:
    assert {"JOIN", "JOINED", "ALL", "ERROR", "EXTRA_PUSH", "CLOSE_REFUSED"} <= python_constants().keys()


def test_the_reference_describes_every_name() -> None:
    reference = (ROOT / "docs" / "protocol.md").read_text()
    assert [f"{name} = {value!r}" for name, value in python_constants().items() if str(value) not in reference] == []
