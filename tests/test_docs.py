"""The code in the documentation runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import RequestFactory

from djust.conf import Config

DOCS = Path(__file__).parent.parent / "docs"
GUIDE = (DOCS / "guide.md").read_text()


def run(page: str) -> dict[str, Any]:
    """The names that all Python blocks of a page define, run one after the other."""
    names: dict[str, Any] = {"__name__": "docs"}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(compile(block, "guide.md", "exec"), names)
    return names


def test_the_views_of_the_guide_show_their_pages(rf: RequestFactory) -> None:
    names = run(GUIDE)
    basket = names["BasketView"].as_view()(rf.get("/basket/")).content.decode()
    assert "Pear" in basket
    assert "1 in the basket" in re.sub("<!--.*?-->", "", basket)
    status = names["urlpatterns"][0].callback(rf.get("/status/")).content.decode()
    assert "<p dj>0</p>" in status


def test_the_guide_lists_every_setting() -> None:
    listed = set(re.findall(r"`([a-z_]+)`", GUIDE))
    assert set(Config.__dataclass_fields__) <= listed


@pytest.mark.parametrize("name", re.findall(r"\]\(([\w./]+\.md)\)", (DOCS.parent / "README.md").read_text()))
def test_links_of_the_readme_lead_somewhere(name: str) -> None:
    assert (DOCS.parent / name).exists()
