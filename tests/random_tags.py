"""Random templates over all of Django's tags and filters, and values as contexts hold them.

    Author(random.Random(7)).template()  ->  "{% for x in rows %}{{ x.name|upper }}…{% endfor %}"
    data(random.Random(7))               ->  {"text": "a<b", "number": Decimal("2.50"), …}

The same seed gives equal data in fresh objects, because iterators and objects with a memory serve
one rendering only. `random_templates` is about markup; here only what tags and filters compute
counts.
"""

# ruff: noqa: E501 - one template, one line

from __future__ import annotations

import datetime as dt
import decimal
import enum
import random
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.template.defaultfilters import register
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from tests.tag_library import register as library

ZONE = ZoneInfo("Europe/Paris")
MOMENT = dt.datetime(2024, 3, 31, 0, 30, tzinfo=dt.UTC)


class Pair(NamedTuple):
    name: str
    group: int


class Colour(enum.Enum):
    RED = "red<"


class Markup:
    def __html__(self) -> str:
        return "<q>html</q>"

    def __str__(self) -> str:
        return "<q>text</q>"

    __repr__ = __str__


class Once:
    """As a generator: can be walked through once, and has no length."""

    def __init__(self) -> None:
        self._items = iter((1, "<2>", 3))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._items)

    def __repr__(self) -> str:
        return "<once>"


class Name(str):
    __slots__ = ()


class SilentError(Exception):
    silent_variable_failure = True


class Thing:
    """Attributes, methods and failures of every kind that a template may meet."""

    name = "<Ada>"
    tags = ["b", "a<"]
    Kind = Colour

    def __str__(self) -> str:
        return "thing & co"

    __repr__ = __str__

    def __getitem__(self, key: str) -> Any:
        return {"item": "by key", "group": 1}[key]

    def method(self) -> str:
        return "<called>"

    def wants(self, argument: object) -> object:
        return argument

    def delete(self) -> str:
        raise AssertionError("a template called a method that alters data")

    delete.alters_data = True  # type: ignore[attr-defined]

    def fenced(self) -> str:
        raise AssertionError("a template called what must not be called")

    fenced.do_not_call_in_templates = True  # type: ignore[attr-defined]
    fenced.label = "fenced <label>"  # type: ignore[attr-defined]

    @property
    def silent(self) -> str:
        raise SilentError("silent")

    @property
    def loud(self) -> str:
        raise ValueError("loud")

    @property
    def lacking(self) -> str:
        raise AttributeError("inside a property")

    def type_error(self) -> str:
        raise TypeError("inside a method")


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("cannot be printed")

    def __repr__(self) -> str:
        return "<unprintable>"


VALUES: list[Callable[[], Any]] = [
    lambda: None,
    lambda: True,
    lambda: False,
    lambda: "",
    lambda: "a<b & 'c' \"d\"",
    lambda: "two words\nand a line, https://example.com/?a=1&b=2",
    lambda: "42",
    lambda: "é—✓ ünï",
    lambda: mark_safe("<b>safe &amp; sound</b>"),
    lambda: Name("name<"),
    lambda: gettext_lazy("Yes"),
    Markup,
    lambda: SimpleLazyObject(lambda: "lazy<"),
    lambda: 0,
    lambda: 1,
    lambda: -7,
    lambda: 1234567,
    lambda: 10**20,
    lambda: 2.5,
    lambda: -0.0,
    lambda: 1e20,
    lambda: float("inf"),
    lambda: float("nan"),
    lambda: decimal.Decimal("1234.50"),
    lambda: decimal.Decimal("NaN"),
    lambda: MOMENT,
    lambda: MOMENT.astimezone(ZONE),
    lambda: MOMENT.replace(tzinfo=None),
    MOMENT.date,
    lambda: dt.time(13, 5, 9),
    lambda: dt.timedelta(days=1, seconds=7),
    list,
    lambda: [3, 1, "<x>"],
    lambda: ("a", mark_safe("<i>"), None),
    lambda: {"a": 1, "name": "<n>", "group": 2},
    lambda: OrderedDict(items="not a method", b=2),
    lambda: defaultdict(list, a=[1]),
    lambda: [{"name": "p", "group": 1}, {"name": "q<", "group": 1}, {"name": "r", "group": 2}],
    lambda: [("k", 1), ("l", mark_safe("<v>"))],
    lambda: [[1, [2, "<3>"]], []],
    lambda: {1, 2},
    Once,
    lambda: range(3),
    lambda: b"bytes<",
    lambda: Pair("<pair>", 1),
    lambda: Colour.RED,
    Thing,
    lambda: Thing,
    lambda: lambda: "<from a function>",
    lambda: lambda: [1, 2],
    lambda: lambda argument: argument,
]  # fmt: skip


def value(rng: random.Random) -> Any:
    return rng.choice(VALUES)()


def data(rng: random.Random) -> dict[str, Any]:
    """A context's data; some names are missing, `a` `b` `c` `f` may be anything."""
    rows = [
        {"name": f"n{rng.randrange(3)}<", "group": rng.randrange(2), "subs": [rng.randrange(3)] * 2}
        for _ in range(rng.randrange(4))
    ]
    found: dict[str, Any] = {
        "text": rng.choice(["", "text<", mark_safe("<b>t</b>"), "two words", gettext_lazy("No")]),
        "number": rng.choice([0, 3, 1234567, 2.5, decimal.Decimal("-1234.5"), "12", None]),
        "moment": rng.choice([MOMENT, MOMENT.replace(tzinfo=None), MOMENT.date(), None]),
        "thing": Thing(),
        "a": value(rng),
        "b": value(rng),
        "c": value(rng),
        "rows": rows,
        "pairs": [(rng.randrange(3), "<p>") for _ in range(rng.randrange(3))],
        "nested": [[1, 1, 2], [], ["<", 2]][: rng.randrange(4)],
        "f": rng.choice([True, False, None, 0, "yes"]),
        "fragile": rng.choice([Unprintable(), lambda: 1 / 0, 5, 5]),
        "language": rng.choice(["de", "fr", "en"]),
        "zone": rng.choice(["Asia/Tokyo", ZONE, None]),
        "partial": rng.choice(["plain.html", "scoped.html", ["no.html", "plain.html"]]),
    }
    for name in rng.sample(sorted(found), rng.choice([0, 0, 1, 2])):
        del found[name]
    return found


PARTIALS = {
    "plain.html": "({{ text }}{{ x }})",
    "scoped.html": "({% with y=text|upper %}{{ y }}{{ x|default:'-' }}{% endwith %}{% cycle 'p' 'q' %}{% ifchanged %}{{ w }}{% endifchanged %})",
    "inclusion.html": "<{{ text }}|{{ other }}|{{ a }}|{% firstof text 'none' %}>",
    "base.html": "[{% block one %}{{ text }}{% endblock %}|{% block two %}{% cycle 'a' 'b' %}{{ block.name }}{% endblock %}{% box %}{% block three %}{{ a }}{% endblock %}{% endbox %}]",
    "middle.html": "-{% extends 'base.html' %}{% block two %}m{{ block.super }}{{ a }}{% endblock %}",
}
ARGUMENTS = [
    "0",
    "1",
    "2",
    "-1",
    "'a'",
    "'1:2'",
    "'<'",
    "'Y-m-d H:i'",
    "'yes,no,maybe'",
    "'name'",
    "b",
    "number",
    "missing",
    "text",
    "2.5",
    "','",
]
SUPERS = [
    "",
    "{{ block.super }}",
    "{{ block.super|upper }}",
    "{% if block.super %}{{ block.super }}{% endif %}",
    "{% with s=block.super %}{{ s }}{{ text|add:s }}{% endwith %}",
    "{% for block in xs %}{{ block.super }}{% endfor %}",
]
FILTERS = sorted({*register.filters, *library.filters})
OPERATORS = ["==", "!=", "<", ">", "<=", ">=", "in", "not in", "is", "is not", "and", "or"]


class Author:
    """Writes one template. `bound` holds the names that blocks around the current place bind."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.bound: list[str] = []
        self.cycles = 0

    def template(self) -> str:
        if self.rng.random() < 0.1:
            parent = self.rng.choice(["'base.html'", "'middle.html'", "missing|default:'middle.html'"])
            above, name = self.rng.choice(SUPERS), self.rng.choice(["two", "two", "three"])
            body = f"{{% block {name} %}}{self.content(2)}{above}{{% endblock %}}"
            return f"{self.rng.choice(['', '-'])}{{% extends {parent} %}}{body}"
        return self.content(3)

    def content(self, depth: int) -> str:
        writers = [self.text, self.variable, self.variable, *LEAVES]
        if depth > 0:
            writers += BLOCKS
        return "".join(self._written(writers, depth - 1) for _ in range(self.rng.randrange(1, 4)))

    def _written(self, writers: list[Any], depth: int) -> str:
        writer = self.rng.choice(writers)
        if isinstance(writer, str):
            return self.filled(writer, depth)
        written: str = writer(depth) if hasattr(writer, "__self__") else writer(self, depth)
        return written

    def filled(self, pattern: str, depth: int) -> str:
        """`pattern` with E an expression, V a variable, T a target, B a body, C a condition."""
        written = {"E": self.expression, "V": self.name, "C": self.condition, "B": lambda: self.content(depth)}
        written["T"] = lambda: self.rng.choice(["x", "y", "w", "text", "z"])
        return "".join(written[word]() if (word := piece) in written else piece for piece in pattern.split("`"))

    def text(self, depth: int) -> str:
        return self.rng.choice(["text ", " ", "\n", "&amp;", "<br> <b>x</b> ", "%", "{", "%s %(a)s"])

    def name(self) -> str:
        names = ["text", "number", "moment", "a", "b", "c", "rows", "nested", "f", "missing"]
        paths = [
            "thing.name",
            "thing.method",
            "thing.item",
            "thing.silent",
            "thing.wants",
            "thing.delete",
            "thing.fenced.label",
            "thing.tags.1",
            "a.0",
            "a.name",
            "b.items",
            "rows.0.name",
            "missing.deep",
            "thing.nothing",
            "c.1.0",
            "thing.Kind.RED.value",
            "forloop.counter",
        ]
        if self.bound:
            names += [self.rng.choice(self.bound)] * 8
            paths += [f"{self.rng.choice(self.bound)}{rest}" for rest in (".name", ".0", ".subs", ".group", ".nope")]
        if self.rng.random() < 0.01:
            return self.rng.choice(["thing.loud", "thing.lacking", "thing.type_error", "fragile"])
        return self.rng.choice(names if self.rng.random() < 0.6 else paths)

    def expression(self) -> str:
        literals = ["'lit<'", "42", "2.50", '""', "True", "None", "-3"]
        start = self.rng.choice(literals) if self.rng.random() < 0.15 else self.name()
        return start + "".join(self.filter() for _ in range(self.rng.choice([0, 0, 0, 1, 1, 2, 3])))

    def filter(self) -> str:
        name = self.rng.choice(FILTERS)
        known = {**register.filters, **library.filters}[name]
        code = getattr(known, "__wrapped__", known).__code__
        most = code.co_argcount - 1 - getattr(known, "needs_autoescape", False)
        least = (
            most
            - len(getattr(known, "__wrapped__", known).__defaults__ or ())
            + getattr(known, "needs_autoescape", False)
        )
        if most < 1 or (least < 1 and self.rng.random() < 0.5):
            return f"|{name}"
        # A missing argument raises; mostly it is there.
        return f"|{name}:{self.rng.choice(ARGUMENTS if self.rng.random() < 0.1 else [a for a in ARGUMENTS if a != 'missing'])}"

    def variable(self, depth: int) -> str:
        return "{{ " + self.expression() + " }}"

    def condition(self) -> str:
        operand = self.expression
        kinds = [operand, lambda: f"not {operand()}", lambda: f"{operand()} {self.rng.choice(OPERATORS)} {operand()}"]
        first = self.rng.choice(kinds)()
        return (
            f"{first} {self.rng.choice(['and', 'or'])} {self.rng.choice(kinds)()}" if self.rng.random() < 0.3 else first
        )

    def inside(self, names: list[str], depth: int) -> str:
        self.bound += names
        written = self.content(depth)
        del self.bound[len(self.bound) - len(names) :]
        return written

    def loop(self, depth: int) -> str:
        sequence = self.rng.choice(
            [
                "rows",
                "rows",
                "nested",
                "a",
                "b|default:nested",
                "missing",
                "'abc'",
                "x",
                "x.subs",
                "thing.tags",
                "rows|slice:':2'",
            ]
        )
        if self.rng.random() < 0.2:
            name, body = "x, y", self.inside(["x", "y"], depth)
            sequence = self.rng.choice(["pairs", "pairs", "thing.name.items", "a.items"])
        else:
            name = self.rng.choice(["x", "y", "text", "w"])
            body = self.inside([name, "forloop.counter", "forloop.last", "forloop.parentloop.counter0"], depth)
        empty = "{% empty %}" + self.content(0) if self.rng.random() < 0.3 else ""
        return f"{{% for {name} in {sequence}{self.rng.choice(['', '', ' reversed'])} %}}{body}{empty}{{% endfor %}}"

    def branch(self, depth: int) -> str:
        middle = self.filled("{% elif `C` %}`B`", depth) if self.rng.random() < 0.3 else ""
        return self.filled("{% if `C` %}`B`", depth) + middle + self.filled("{% else %}`B`{% endif %}", depth)

    def scope(self, depth: int) -> str:
        name = self.rng.choice(["w", "x", "text", "y"])
        head = f"{{% with {name}={self.expression()} z={self.expression()} %}}"
        return head + self.inside([name, "z"], depth) + "{% endwith %}"

    def cycle(self, depth: int) -> str:
        self.cycles += 1
        name = f"cycle{self.cycles}"
        more = self.rng.choice(["", f"{{% cycle {name} %}}", f"{{% resetcycle {name} %}}", f"{{{{ {name} }}}}"])
        silent = self.rng.choice(["", "", " silent"])
        return self.filled(f"{{% cycle `E` '<2>' `V` as {name}{silent} %}}{more}", depth)

    def regroup(self, depth: int) -> str:
        sequence = self.rng.choice(["rows", "rows", "a", "missing", "pairs"])
        by = self.rng.choice(["group", "name", "0", "name|lower"])
        body = self.inside(["g.grouper", "g.list", "g"], depth)
        return f"{{% regroup {sequence} by {by} as groups %}}{{% for g in groups %}}{body}{{% endfor %}}"

    def filtered(self, depth: int) -> str:
        name = self.rng.choice(
            [
                "upper",
                "force_escape|lower",
                "linebreaks",
                "cut:text",
                "striptags|shout",
                "told",
                "kept|title",
                "default:missing|upper",
            ]
        )
        return f"{{% filter {name} %}}{self.content(depth)}{{% endfilter %}}"

    def cached(self, depth: int) -> str:
        name = f"part{self.rng.randrange(2)}"
        return self.filled(f"{{% cache 60 {name} `V` %}}`B`{{% endcache %}}", depth)


LEAVES: list[Any] = [
    Author.cycle,
    "{% cycle 'odd' `V` %}",
    "{% firstof `E` `E` 'last<' %}",
    "{% firstof `E` `V` as `T` %}",
    "{% widthratio `E` `V` 100 %}",
    "{% widthratio number 7 `E` as `T` %}",
    "{% templatetag openblock %}",
    "{{ _('Yes')|upper }}{% firstof _('No') %}",
    "{% translate 'Yes' %}",
    "{% translate `E` %}",
    "{% translate 'May' context 'month' as `T` %}",
    "{% translate `V` noop %}",
    "{% blocktranslate with x=`E` %}Hi {{ x }} %{{ text }}{% endblocktranslate %}",
    "{% blocktranslate count n=number|default:1 %}{{ n }} one{% plural %}{{ n }} many {{ x }}{% endblocktranslate %}",
    "{% blocktranslate trimmed asvar `T` %}\n a {{ text }}\n b{% endblocktranslate %}",
    "{% get_current_language as `T` %}",
    "{% get_current_timezone as `T` %}",
    "{% get_language_info for language as info %}{{ info.name_local }}",
    "{% now 'Y' %}",
    "{% now 'e' as `T` %}{{ `T` }}",
    "{% lorem 2 w %}",
    "{% static 'a<b.css' %}",
    "{% static `V` as `T` %}",
    "{% get_static_prefix %}",
    "{% url 'home' as `T` %}{{ `T` }}",
    "{% csrf_token %}",
    "{% querystring a=`V` %}",
    "{% comment %}{{ a }}{% endcomment %}{# {{ b }} #}",
    "{% verbatim %}{{ a }}{% endverbatim %}",
    "{% include 'plain.html' %}",
    "{% include 'scoped.html' with w=`E` %}",
    "{% include 'scoped.html' with text=`E` only %}",
    "{% include partial with x=`E` %}",
    "{% join `E` k=`E` %}",
    "{% join `V` text as `T` %}{{ `T` }}",
    "{% same `E` %}",
    "{% safe_mark `E` %}",
    "{% seen %}",
    "{% seen 'x' as `T` %}",
    "{% put 'y' `E` %}{{ y }}",
    "{% card `E` other=`V` %}",
    "{% card_here %}",
    "{% show %}",
    "{{ y }}{{ z }}{{ w }}",
]
BLOCKS: list[Any] = [
    Author.loop,
    Author.loop,
    Author.loop,
    Author.branch,
    Author.branch,
    Author.scope,
    Author.regroup,
    Author.filtered,
    Author.cached,
    "{% autoescape off %}`B`{% endautoescape %}",
    "{% autoescape on %}`B`{% endautoescape %}",
    "{% spaceless %}<p> <b>`B`</b> </p>{% endspaceless %}",
    "{% ifchanged %}`B`{% endifchanged %}",
    "{% ifchanged `E` `V` %}`B`{% else %}same{% endifchanged %}",
    "{% localize off %}`B`{% endlocalize %}",
    "{% localize on %}`B`{% endlocalize %}",
    "{% localtime off %}`B`{% endlocaltime %}",
    "{% localtime on %}`B`{% endlocaltime %}",
    "{% timezone zone %}`B`{% endtimezone %}",
    "{% language language %}`B`{% endlanguage %}",
    "{% language 'de' %}`B`{% endlanguage %}",
    "{% box `E` %}`B`{% endbox %}",
    "{% box as `T` %}`B`{% endbox %}{{ `T` }}",
    "{% framed %}`B`{% endframed %}",
    "{% with text=`E` %}`B`{% endwith %}",
    "{% block one %}`B`{% endblock %}",
]
