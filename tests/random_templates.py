"""Random templates over all kinds of parts, and random contexts for them.

    template, partials = Writer(random.Random(7)).page()
    contexts = [random_context(rng) for _ in range(5)]

Templates may be anything an author may write: nested blocks in content, in attributes and inside
tags, unbalanced blocks, loops with and without keys, includes, opaque tags. Values contain markup,
quotes, entities and white space.
"""

# ruff: noqa: E501 - one template, one line

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from django.utils.safestring import mark_safe

TEXTS = ["", "a", "two words", "<b>&amp;", "'\"", "é—✓", " lead", "trail ", "a\nb", "&copy=1", "</p>", "0", "  "]
SAFE = ["", "<b>bold</b>", "<i>x</i> y <u>z</u>", "&amp; text", "plain", "<em class=q>1</em>", "<input name=q>"]
CLASSES = ["", "on", "a b", "danger"]
ATTRIBUTES = ["", "disabled", 'title="t"', 'hidden data-k="1"', "data-x='<&amp;>'"]


def random_context(rng: random.Random) -> dict[str, Any]:
    """Names: t1 t2 text, n number, f g h flags, c class, s safe markup, attrs, xs list of rows, ys
    of numbers, d dict.
    """
    rows = [random_row(rng, key) for key in rng.sample(range(9), rng.randrange(7))]
    context = {
        "t1": rng.choice(TEXTS),
        "t2": rng.choice(TEXTS),
        "n": rng.choice([0, 1, 7, 1000, 2.5]),
        "f": rng.random() < 0.5,
        "g": rng.choice([None, 0, "yes"]),
        "h": rng.random() < 0.5,
        "c": rng.choice(CLASSES),
        "s": mark_safe(rng.choice(SAFE)),
        "attrs": mark_safe(rng.choice(ATTRIBUTES)),
        "xs": rows,
        "ys": [rng.randrange(4) for _ in range(rng.randrange(5))],
        "d": {"a": {"b": rng.choice(TEXTS)}, "items": [1, 2]},
    }
    for name in rng.sample(sorted(context), rng.randrange(2)):
        del context[name]
    return context


def random_row(rng: random.Random, key: int) -> dict[str, Any]:
    return {
        "id": key,
        "label": rng.choice(TEXTS),
        "on": rng.random() < 0.5,
        "cls": rng.choice(CLASSES),
        "safe": mark_safe(rng.choice(SAFE)),
        "subs": [{"id": i, "label": rng.choice(TEXTS)} for i in rng.sample(range(5), rng.randrange(4))],
    }


def changed(rng: random.Random, context: dict[str, Any]) -> dict[str, Any]:
    """A context that differs from `context` in a few things, as contexts of one page do."""
    fresh = random_context(rng)
    names = rng.sample(sorted(fresh), rng.randrange(1, 4))
    after = {**context, **{name: fresh[name] for name in names if name != "xs"}}
    rows = list(context.get("xs", []))
    for _ in range(rng.randrange(3)):
        rows = rng.choice(ROW_CHANGES)(rng, rows)
    if rng.random() < 0.2:
        rows = fresh.get("xs", [])
    after["xs"] = rows
    return after


def _insert(rng: random.Random, rows: list[Any]) -> list[Any]:
    unused = [key for key in range(12) if key not in [row["id"] for row in rows]]
    if not unused:
        return rows
    at = rng.randrange(len(rows) + 1)
    return [*rows[:at], random_row(rng, rng.choice(unused)), *rows[at:]]


def _remove(rng: random.Random, rows: list[Any]) -> list[Any]:
    at = rng.randrange(len(rows) or 1)
    return rows[:at] + rows[at + 1 :]


def _shuffle(rng: random.Random, rows: list[Any]) -> list[Any]:
    return rng.sample(rows, len(rows))


def _edit(rng: random.Random, rows: list[Any]) -> list[Any]:
    return [random_row(rng, row["id"]) if rng.random() < 0.4 else row for row in rows]


ROW_CHANGES: list[Callable[[random.Random, list[Any]], list[Any]]] = [_insert, _remove, _shuffle, _edit]


class Writer:
    """Writes one random page. `row` holds the names of the rows of the loops around the place that
    is being written.
    """

    def __init__(self, rng: random.Random, *, unbalanced: bool = True, opaque: bool = True) -> None:
        self.rng = rng
        self.unbalanced = unbalanced
        self.opaque = opaque
        self.partials: dict[str, str] = {}
        self.rows: list[str] = []
        self.loops = 0

    def page(self) -> tuple[str, dict[str, str]]:
        """A document, and the templates it includes."""
        title = self.rng.choice(["<title>x</title>", "<title>{{ t1 }} - {{ n }}</title>"])
        body_class = self.rng.choice(["", ' class="{{ c }}"', " {% if f %}hidden{% endif %}"])
        body = self.content(3)
        head = f"<!DOCTYPE html>\n<html><head>{title}</head>\n"
        return f"{head}<body{body_class}>\n{body}</body></html>", self.partials

    def content(self, depth: int) -> str:
        writers = [self.text, self.text, self.variable, self.variable, self.element, self.element]
        if depth:
            writers += [
                self.element,
                self.branch,
                self.branch,
                self.list,
                self.table,
                self.loop,
                self.scope,
                self.include,
            ]
            writers += [self.raw, self.foreign, self.choice]
            if self.unbalanced:
                writers.append(self.half_open)
            if self.opaque:
                writers.append(self.opaque_tag)
        return "".join(self.rng.choice(writers)(depth - 1) for _ in range(self.rng.randrange(1, 4)))

    def expression(self) -> str:
        names = ["t1", "t2", "n", "c", "s", "d.a.b", "missing", "t1|upper", "t2|default:'none'", "n|add:1", "xs|length"]
        if self.rows:
            row = self.rng.choice(self.rows)
            names += [f"{row}.label", f"{row}.id", f"{row}.safe", f"{row}.label|lower", "forloop.counter"] * 2
        return "{{ " + self.rng.choice(names) + " }}"

    def condition(self) -> str:
        conditions = ["f", "g", "h", "not f", "f and g", "n > 1", "f or h", "t1 == 'a'", "missing", "n in ys", "t1 < n"]
        if self.rows:
            conditions += [f"{self.rng.choice(self.rows)}.on", "forloop.first"] * 3
        return self.rng.choice(conditions)

    def text(self, depth: int) -> str:
        return self.rng.choice(["text", " ", "\n", "x &amp; y", "&nbsp;", "1 &lt; 2", "\n  ", "<!-- note -->"])

    def variable(self, depth: int) -> str:
        return self.rng.choice(["", "", "say ", "\n"]) + self.expression() + self.rng.choice(["", "", "!", " "])

    def attributes(self) -> str:
        choices = [
            "",
            "",
            ' class="k"',
            f' class="{self.expression()}"',
            f' class="a {{% if {self.condition()} %}}on{{% endif %}} b"',
            f" title='{self.expression()} of {self.expression()}'",
            f" {{% if {self.condition()} %}}hidden{{% endif %}}",
            f' {{% if {self.condition()} %}}data-a="{self.expression()}"{{% else %}}data-b{{% endif %}}',
            " {{ attrs }}",
            f' data-n={{{{ n|default:0 }}}} data-q="1&amp;2 {self.expression()}"',
            ' title="p" {% if g %}title="q" data-z{% endif %}',
        ]
        return self.rng.choice(choices)

    def element(self, depth: int) -> str:
        name = self.rng.choice(["div", "section", "span", "b", "h2"])
        inside = self.content(depth) if depth > 0 else self.rng.choice([self.variable(0), self.text(0), ""])
        if name in ("span", "b", "h2"):
            inside = self.rng.choice([self.variable(0), self.expression(), "fixed"])
        return f"<{name}{self.attributes()}>{inside}</{name}>"

    def branch(self, depth: int) -> str:
        middle = f"{{% elif {self.condition()} %}}{self.content(depth)}" if self.rng.random() < 0.3 else ""
        last = f"{{% else %}}{self.content(depth)}" if self.rng.random() < 0.6 else ""
        return f"{{% if {self.condition()} %}}{self.content(depth)}{middle}{last}{{% endif %}}"

    def choice(self, depth: int) -> str:
        return f"<div>{{% if {self.condition()} %}}yes{{% else %}}no {self.expression()}{{% endif %}}</div>"

    def _loop(self, body: Callable[[str], str], empty: str = "") -> str:
        self.loops += 1
        row = f"r{self.loops}"
        source = self.rng.choice(["xs", "xs", "xs|slice:':3'"])
        if self.rows and self.rng.random() < 0.5:
            source = f"{self.rows[-1]}.subs"
        self.rows.append(row)
        inside = body(row)
        self.rows.pop()
        return f"{{% for {row} in {source} %}}{inside}{empty}{{% endfor %}}"

    def key(self, row: str) -> str:
        return self.rng.choice(["", f' dj-key="{{{{ {row}.id }}}}"', f' id="{row}-{{{{ {row}.id }}}}"'])

    def list(self, depth: int) -> str:
        def item(row: str) -> str:
            lead, trail = self.rng.choice(["", "\n  "]), self.rng.choice(["", "\n"])
            return f"{lead}<li{self.key(row)}{self.attributes()}>{self.content(min(depth, 1))}</li>{trail}"

        empty = self.rng.choice(["", "", "{% empty %}<li>nothing {{ t1 }}</li>"])
        before, after = self.rng.choice(["", "\n", "<li>first</li>"]), self.rng.choice(["", "\n", "<li>last</li>"])
        return f"<ul>{before}{self._loop(item, empty)}{after}</ul>"

    def table(self, depth: int) -> str:
        def row(name: str) -> str:
            cells = f"<td>{{{{ {name}.label }}}}</td><td>{self.content(0)}</td>"
            return f'<tr{self.key(name)} class="{{{{ {name}.cls }}}}">{cells}</tr>{self.rng.choice(["", chr(10)])}'

        section = self.rng.choice(["tbody", "tbody", ""])
        opening, closing = (f"<{section}>", f"</{section}>") if section else ("", "")
        return f"<table>{opening}{self.rng.choice(['', chr(10)])}{self._loop(row)}{closing}</table>"

    def loop(self, depth: int) -> str:
        return self._loop(lambda row: self.content(min(depth, 1)), self.rng.choice(["", "{% empty %}none"]))

    def scope(self, depth: int) -> str:
        return f"{{% with w=t1|default:'w' %}}{{{{ w }}}}{self.content(depth)}{{% endwith %}}"

    def include(self, depth: int) -> str:
        name = f"partial{len(self.partials)}.html"
        self.partials[name] = ""
        rows, self.rows = self.rows, []
        self.partials[name] = "<p>{{ given }}</p>" + self.content(min(depth, 1))
        self.rows = rows
        options = self.rng.choice(["", " with given=t2", " with given=t1 only"])
        literal = self.rng.choice([f'"{name}"', f'"{name}"', f'"{name}"|lower'])
        return f"{{% include {literal}{options} %}}"

    def raw(self, depth: int) -> str:
        return self.rng.choice(
            [
                "<textarea>\n{{ t1 }}</textarea>",
                "<textarea>{% if f %}{{ t2 }}{% else %}none{% endif %}</textarea>",
                "<style>.x{ color: {{ c }} }</style>",
                '<script type="text/plain">{{ t1 }}</script>',
            ]
        )

    def foreign(self, depth: int) -> str:
        branch = "{% if f %}<circle r='{{ n }}'/>{% endif %}"
        rows = self._loop(lambda row: f'<g><text x="{{{{ {row}.id }}}}">{{{{ {row}.label }}}}</text></g>')
        return f'<svg viewBox="0 0 1{{{{ n }}}} 9">{branch}{rows}</svg>'

    def half_open(self, depth: int) -> str:
        condition = self.condition()
        inside = self.content(max(depth - 1, 0))
        name = self.rng.choice(["div", "section"])
        return f"<div>{{% if {condition} %}}<{name}>{{% endif %}}{inside}{{% if {condition} %}}</{name}>{{% endif %}}</div>"

    def opaque_tag(self, depth: int) -> str:
        return self.rng.choice(
            [
                "{% firstof t1 t2 'first' %}",
                "{% filter upper %}<b>{{ t1 }}</b>{% endfilter %}",
                "{% spaceless %}<p> <i>{{ t1 }}</i> </p>{% endspaceless %}",
                "{% autoescape off %}{{ s }}{% endautoescape %}",
                "{% widthratio n 7 100 %}",
                "{% templatetag openbrace %}",
                "{% regroup xs by on as groups %}{% for g in groups %}<p>{{ g.grouper }}{{ g.list|length }}</p>{% endfor %}",
            ]
        )
