"""The example of a template tag in CONTRIBUTING.md works, and shows what Django shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.template import Context, Engine
from django.template.base import Template

from djust.template import compile_template
from djust.template.codegen.strings import OUTPUTS
from djust.template.lower import LOWERINGS
from tests.test_template import evaluated, plain

PAGE = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()
SECTION = PAGE.partition("## Adding a template tag")[2].partition("\n## ")[0]
SOURCE = "<p>{% percent done all %} done</p><b title='{% percent done all %}'>{{ done }}</b>"


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """What the blocks of the section define; the tables are as before when the test ends."""
    tables: list[dict[Any, Any]] = [LOWERINGS, OUTPUTS]
    before = [dict(table) for table in tables]
    defined: dict[str, Any] = {"__name__": "contributing"}
    blocks = re.findall(r"```python\n(.*?)```", SECTION, flags=re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "CONTRIBUTING.md", "exec"), defined)
    yield defined
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


def template_of(names: dict[str, Any], source: str = SOURCE) -> Template:
    engine = Engine()
    engine.template_builtins.append(names["register"])
    return engine.from_string(source)


def test_it_shows_what_django_shows(names: dict[str, Any]) -> None:
    template, data = template_of(names), {"done": 1, "all": 3}
    assert plain(template, data) == template.render(Context(data)) == "<p>33 % done</p><b title='33 %'>1</b>"


def test_it_is_native_text_that_is_skipped_and_shown_in_the_source(names: dict[str, Any]) -> None:
    compiled = compile_template(template_of(names))
    assert (compiled.report.parts, compiled.report.opaque) == ({"text": 2, "attribute": 1}, ())
    evaluated(compiled.template, {"done": 1, "all": 3})
    assert compiled.tracked == {"done", "all"}
    shown = SECTION.rpartition("```\nt2 = ")[2].partition("\n")[0]
    assert shown in compiled.source


def test_its_errors_are_at_its_place(names: dict[str, Any]) -> None:
    with pytest.raises(ZeroDivisionError) as error:
        plain(template_of(names, "\n{% percent done all %}"), {"done": 1, "all": 0})
    assert error.value.__notes__ == ["In template <unknown source>, line 2: percent done all"]


def test_the_three_places_are_where_it_says(names: dict[str, Any]) -> None:
    places = re.findall(r"\*\*\d\. .*?`([\w/.]+)`", SECTION)
    assert places == ["template/nodes.py", "template/lower.py", "template/codegen/strings.py"]
    assert all((Path(__file__).parent.parent / "src" / "djust" / place).exists() for place in places)
