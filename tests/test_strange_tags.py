"""Every tag that meddles with the context, within everything that a template can put around it, and
beside each other.
"""

# ruff: noqa: E501, SIM905 - one template, one line; names as words

from __future__ import annotations

import datetime as dt
from itertools import product
from typing import Any

import pytest
from django.template import Engine

from tests.test_differential import TAGS as LIBRARIES
from tests.test_differential import assert_same, compiled, in_parts, place

__all__ = ["place"]  # the fixture holds here, too

STRANGE = """
names layers block_name rounds templates set_here set_outside set_upward set_loop forget leave_layer count escape_off
localize_off fail nothing another
""".split()

# Django's own tags, and usual ones, which meet them.
USUAL = [
    "put 'text' 5",
    "seen",
    "card text",
    "card_here",
    "join text n as text",
    "cycle 'a' 'b' as text",
    "cycle text n",
    "firstof none text",
    "include part",
    "include 'part.html' with text=n only",
    "include 'sets.html'",
    "include 'again.html' with n=2",
    "include 'loop.html'",
    "include 'base.html'",
    "include 'missing.html'",
    "include 'fails.html'",
    "ifchanged %}{{ text }}{% endifchanged",
    "with text=n %}{{ text }}{% endwith",
    "translate 'Yes' as text",
    "now 'Y' as text",
]

AROUND = [
    "{tag}",
    "{{{{ text }}}}{tag}{{{{ text }}}}{{{{ outside }}}}{{{{ left }}}}{{{{ number }}}}",
    "{{% for row in rows %}}{tag};{{{{ forloop.counter }}}}{{% endfor %}}{{{{ text }}}}",
    "{{% for row in rows %}}{{% for text in lists %}}{tag};{{{{ text }}}}{{% endfor %}}{{{{ text }}}}{{% endfor %}}{{{{ text }}}}",
    "{{% for row in none %}}{{% empty %}}{tag}{{{{ text }}}}{{% endfor %}}{{{{ text }}}}",
    "{{% for a, b in pairs %}}{tag}{{{{ a }}}}{{% endfor %}}{{{{ text }}}}",
    "{{% if n %}}{tag}{{% endif %}}{{{{ text }}}}",
    "{{% with text=n %}}{tag}{{{{ text }}}}{{% endwith %}}{{{{ text }}}}",
    "{{% filter lower %}}{tag}{{% endfilter %}}{{{{ text }}}}",
    "{{% spaceless %}}<a> {tag} </a> <b>{{% endspaceless %}}{{{{ text }}}}",
    "{{% ifchanged %}}{tag}{{% endifchanged %}}{{{{ text }}}}",
    "{{% autoescape off %}}{tag}{{{{ text }}}}{{% endautoescape %}}{{{{ text }}}}",
    "{{% language 'fr' %}}{tag}{{{{ number }}}}{{% endlanguage %}}{{{{ number }}}}",
    "{{% cache 100 fragment text %}}{tag}{{% endcache %}}{{{{ text }}}}",
    "{{% box text %}}{tag}{{% endbox %}}{{{{ text }}}}",
    "{{% framed %}}{tag}{{{{ text }}}}{{% endframed %}}",
    "<p class='{tag}'>{{{{ text }}}}</p>",
    "<ul>{{% for row in rows %}}<li id='{{{{ row }}}}'>{tag}{{{{ text }}}}</li>{{% endfor %}}</ul>",
    "{{% include 'part.html' with text=1 %}}{tag}{{{{ text }}}}{{% include 'part.html' %}}",
    "{{% extends base %}}{{% block a %}}{tag}{{{{ block.super }}}}{{{{ text }}}}{{% endblock %}}",
    "{{% extends 'middle.html' %}}{{% block a %}}{{{{ block.super }}}}{tag}{{% endblock %}}{{% block b %}}{{{{ text }}}}{tag}{{% endblock %}}",
    "{{% block own %}}{tag}{{{{ block.name }}}}{{% endblock %}}{{{{ text }}}}",
    "{{% wrapped %}}{tag}{{{{ text }}}}{{% endwrapped %}}{{{{ text }}}}",
    "{{% twice %}}{tag}{{{{ text }}}}{{% endtwice %}}{{{{ text }}}}",
    "{{% never %}}{tag}{{% endnever %}}{{{{ text }}}}",
    "{{% scoped %}}{tag}{{{{ text }}}}{{% endscoped %}}{{{{ text }}}}",
    "{{% updated %}}{tag}{{{{ text }}}}{{% endupdated %}}{{{{ text }}}}",
    "{{% one_by_one %}}{tag}{{{{ text }}}}{{% endone_by_one %}}",
    "{{% forgiving %}}{tag}{{% endforgiving %}}{{{{ text }}}}",
    "{{% wrapped %}}{{% for row in rows %}}{{% wrapped %}}{tag}{{% endwrapped %}}{{% endfor %}}{{% endwrapped %}}{{{{ text }}}}",
    "{{% scoped %}}{{% if n %}}{{% for row in rows %}}{tag}{{{{ text }}}}{{{{ forloop.counter }}}}{{% endfor %}}{{% endif %}}{{% endscoped %}}",
]

PARTS = {
    "part.html": "({{ text }}{{ row }}{{ forloop.counter }})",
    "inclusion.html": "<i>{{ text }} {{ other }} {% names %}</i>",
    "sets.html": "{% set_here %}{{ text }}",
    "again.html": "{{ n }}{% if n %}{% with n=n|add:'-1' %}{% include 'again.html' %}{% endwith %}{% endif %}",
    "loop.html": "{% for row in rows %}{{ forloop.parentloop.counter }}{{ row }}{% endfor %}",
    "base.html": "<{% block a %}A{{ text }}{% endblock %}|{% block b %}B{% endblock %}>",
    "middle.html": "{% extends 'base.html' %}{% block a %}middle[{{ block.super }}]{% endblock %}",
    "fails.html": "one\n{% fail %}",
}


def data() -> dict[str, Any]:
    return {
        "text": "<t>",
        "n": 5,
        "none": None,
        "rows": [1, 2],
        "lists": [[1, 2], "<3>"],
        "pairs": [(1, 2), (3, 4)],
        "number": 1234.5,
        "moment": dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.UTC),
        "part": "part.html",
        "base": "base.html",
    }


def check(source: str) -> None:
    libraries = [f"django.templatetags.{name}" for name in LIBRARIES]
    builtins = [*Engine.default_builtins, *libraries, "tests.tag_library", "tests.strange_tags"]
    engine = Engine(loaders=[("django.template.loaders.locmem.Loader", PARTS)], builtins=builtins)
    assert_same(engine.from_string(source), data, "strange", (compiled, in_parts))


@pytest.mark.parametrize("around", AROUND)
def test_every_tag_within_everything(around: str) -> None:
    for tag in [*STRANGE, *USUAL]:
        check(around.format(tag=f"{{% {tag} %}}"))


@pytest.mark.slow
@pytest.mark.parametrize("first", [*STRANGE, *USUAL])
def test_every_tag_before_every_other(first: str) -> None:
    # The errors of `nothing` come when Django has rendered all that stands beside it.
    others = [tag for tag in [*STRANGE, *USUAL] if "nothing" not in (first, tag)]
    for a, b in product([first], others):
        tags = f"{{% {a} %}}{{{{ text }}}}{{% {b} %}}{{{{ text }}}}"
        check(f"{tags}{{% for row in rows %}}{tags}{{{{ row }}}}{{% endfor %}}{{{{ text }}}}{{{{ number }}}}")
