"""Trees of markup: HTML in, tree out, for the odd cases of HTML that templates have.

A tree is written as a line. `<p>a</p>` is an element, with its end tag if it has one; `<p!>` is
broken, so that its content becomes one region. `{{ a }}` is a node; `{% if: … | … %}` has bodies
that are balanced, `{% if %}` has not. `~` follows where the tree is not balanced, with the
ancestors that it closes.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.template import Context, Engine

from djust.template.inheritance import resolve_chain
from djust.template.lower import Lowering
from djust.template.markup import ancestors_closed_by, parse
from djust.template.nodes import Node, Static
from djust.template.tree import Blocks, Content, Element

ENGINE = Engine(builtins=[*Engine.default_builtins, "django.templatetags.i18n", "django.templatetags.static"])


def nodes_of(source: str) -> list[Node]:
    return Lowering(resolve_chain(ENGINE.from_string(source), Context())).template()


def tree_of(source: str, outer: tuple[str, ...] = ("body",)) -> str:
    tree = parse(nodes_of(source), outer)
    closed = f" ~{sorted(tree.closed_ancestors)}" if not tree.balanced else ""
    return written(tree.children) + closed


def written(contents: Sequence[Content]) -> str:
    return "".join(map(_written, contents))


def _written(content: Content) -> str:
    match content:
        case Static():
            return content.text
        case Element():
            start = "".join(piece.text if isinstance(piece, Static) else _tag(piece) for piece in content.start.pieces)
            start = f"<{content.name}!{start[len(content.name) + 1 :]}" if content.broken else start
            return start + written(content.children) + content.end
        case Blocks():
            return _tag(content.node).replace(" %}", f": {' | '.join(map(written, content.bodies))} %}}")
    return _tag(content)


def _tag(node: Node) -> str:
    token = node.tag.token
    return f"{{{{ {token.contents} }}}}" if token.token_type.name == "VAR" else f"{{% {token.contents.split()[0]} %}}"


CASES = {
    "elements": [
        ("<p>a</p>{{ b }}", "<p>a</p>{{ b }}"),
        ("<DIV>{{ a }}</div>", "<DIV>{{ a }}</div>"),
        ("<a href='{{ a }}' >x</a >", "<a href='{{ a }}' >x</a >"),
        ("<br>{{ a }}<br/>", "<br>{{ a }}<br/>"),
        ("<img src={{ a }}>{{ b }}", "<img src={{ a }}>{{ b }}"),
        ("<x-y>{{ a }}</x-y>", "<x-y>{{ a }}</x-y>"),
        ("a < b {{ c }} > d", "a < b {{ c }} > d"),
        ("<p>{{ a }}", "<p>{{ a }} ~[]"),
        ("<1>{{ a }}", "<1>{{ a }}"),
        ("</>{{ a }}", "</>{{ a }} ~[]"),
        ("<input {{ a }}>{{ b }}", "<input {{ a }}>{{ b }}"),
        ("<a {% if a %}b{% endif %}>x</a>", "<a {% if %}>x</a>"),
        ("<a {% if a %}>{% endif %}x</a>", "<a {% if %}x</a> ~[0]"),
        ('<a title="{% if a %}\'{% endif %}">x</a>', '<a title="{% if %}">x</a>'),
        ('<a {% if a %}title="{% endif %}x">y</a>', '<a {% if %}x">y</a> ~[0]'),
        ("<{{ a }}>x</b>", "<{{ a }}>x</b> ~[]"),
    ],
    "optional end tags": [
        ("<ul><li>a<li>{{ b }}</ul>", "<ul><li>a<li>{{ b }}</ul>"),
        ("<dl><dt>a<dd>{{ b }}<dt>c</dl>", "<dl><dt>a<dd>{{ b }}<dt>c</dl>"),
        ("<p>a<p>{{ b }}<div>c</div>", "<p>a<p>{{ b }}<div>c</div>"),
        ("<p>a<ul><li>b</ul>", "<p>a<ul><li>b</ul>"),
        ("<select><option>a<option>{{ b }}</select>", "<select><option>a<option>{{ b }}</select>"),
        (
            "<select><optgroup><option>a<optgroup><option>b</select>",
            "<select><optgroup><option>a<optgroup><option>b</select>",
        ),
        ("<table><tbody><tr><td>a<td>{{ b }}<tr><th>c</table>", "<table><tbody><tr><td>a<td>{{ b }}<tr><th>c</table>"),
        ("<ruby>a<rt>b<rp>c</ruby>", "<ruby>a<rt>b<rp>c</ruby>"),
        ("<ul><li><p>a<li>{{ b }}</ul>", "<ul><li><p>a<li>{{ b }}</ul>"),
        ("<ul><li><ul><li>a</ul><li>b</ul>", "<ul><li><ul><li>a</ul><li>b</ul>"),
    ],
    "closing rules of p": [
        ("<p><span>a<div>b</div></span></p>", "<p!><span!>a<div>b</div></span></p> ~[]"),
        ("<p><button><div>{{ a }}</div></button></p>", "<p><button><div>{{ a }}</div></button></p>"),
        ("<p>{% if a %}<div>b</div>{% endif %}</p>", "<p!>{% if %}</p> ~[]"),
        ("<p>{% if a %}<b>c</b>{% endif %}</p>", "<p>{% if: <b>c</b> %}</p>"),
        ("<p><table><tr><td>a</td></tr></table></p>", "<p!><table><tr><td>a</td></tr></table></p> ~[]"),
        ("<p><object><p>a</p></object></p>", "<p><object><p>a</p></object></p>"),
        ("<h1>a<h2>b</h2>", "<h1!>a<h2>b</h2> ~[]"),
        ("<p></p></p>{{ a }}", "<p></p></p>{{ a }} ~[]"),
    ],
    "tables": [
        ("<table><tr><td>{{ a }}</td></tr></table>", "<table><tr><td>{{ a }}</td></tr></table>"),
        (
            "<table><tbody><tr><td>{{ a }}</td></tr></tbody></table>",
            "<table><tbody><tr><td>{{ a }}</td></tr></tbody></table>",
        ),
        ("<table>{{ a }}<tr></tr></table>", "<table!>{{ a }}<tr></tr></table> ~[]"),
        (
            "<table><tbody>{% for r in rows %}<tr><td>{{ r }}</td></tr>{% endfor %}</tbody></table>",
            "<table><tbody>{% for: <tr><td>{{ r }}</td></tr> %}</tbody></table>",
        ),
        ("<table>{% for r in rows %}<tr><td>{{ r }}</td></tr>{% endfor %}</table>", "<table!>{% for %}</table>"),
        ("<table><tr>{% if a %}<td>b</td>{% endif %}</tr></table>", "<table><tr>{% if: <td>b</td> %}</tr></table>"),
        ("<table><div>a</div></table>", "<table!><div>a</div></table> ~[]"),
        ("<table>text</table>", "<table!>text</table> ~[]"),
        ("<table><tbody> {% if a %}x{% endif %}</tbody></table>", "<table!><tbody!> {% if %}</tbody></table> ~[]"),
        ("<td>a</td>", "<td>a</td> ~[]"),
        ("<tr><td>a</td></tr>", "<tr><td>a</td></tr> ~[]"),
        (
            "<table><caption>{{ a }}</caption><colgroup><col></colgroup></table>",
            "<table><caption>{{ a }}</caption><colgroup><col></colgroup></table>",
        ),
        (
            "<table><tr><td><table><tr><td>a</td></tr></table></td></tr></table>",
            "<table><tr><td><table><tr><td>a</td></tr></table></td></tr></table>",
        ),
        ("<table><script>{{ a }}</script></table>", "<table><script>{{ a }}</script></table>"),
    ],
    "select": [
        (
            '<select>{% for o in os %}<option value="{{ o }}">{{ o }}</option>{% endfor %}</select>',
            '<select>{% for: <option value="{{ o }}">{{ o }}</option> %}</select>',
        ),
        ("<select><div>a</div></select>", "<select!><div>a</div></select>"),
        ("<select><option><b>a</b></option></select>", "<select!><option!><b>a</b></option></select>"),
        ("<select><option>a</option><select>", "<select!><option>a</option><select> ~[]"),
    ],
    "raw text": [
        ("<script>if (a < b) { {{ c }} }</script>", "<script>if (a < b) { {{ c }} }</script>"),
        ("<script><!-- <script> </script> --></script>{{ a }}", "<script><!-- <script> </script> --></script>{{ a }}"),
        ("<style>{{ a }} p > b {}</style>", "<style>{{ a }} p > b {}</style>"),
        ("<textarea>{{ a }}<b></textarea>", "<textarea>{{ a }}<b></textarea>"),
        ("<title>{{ a }}</title>", "<title>{{ a }}</title>"),
        ("<script>{% if a %}</script>{% endif %}</script>", "<script!>{% if %}</script> ~[0]"),
        ("<textarea>{{ a }}", "<textarea>{{ a }} ~[]"),
    ],
    "comments": [
        ("<!-- {{ a }} -->b", "<!-- {{ a }} -->b ~[]"),
        ("<!-- a --><p>{{ b }}</p>", "<!-- a --><p>{{ b }}</p>"),
        ("<!--[-->a<!--]-->", "<!-- [-->a<!-- ]-->"),
        ("<!-->{{ a }}", "<!-->{{ a }}"),
        ("<!DOCTYPE html>{{ a }}", "<!DOCTYPE html>{{ a }}"),
        ("<?php {{ a }} ?>b", "<?php {{ a }} ?>b ~[]"),
        ("<!-- a --!>{{ b }}", "<!-- a --!>{{ b }}"),
    ],
    "svg and mathml": [
        ('<svg><path d="{{ a }}"/><g>{{ b }}</g></svg>', '<svg><path d="{{ a }}"/><g>{{ b }}</g></svg>'),
        (
            "<svg><foreignObject><p>a<p>{{ b }}</foreignObject></svg>",
            "<svg><foreignObject><p>a<p>{{ b }}</foreignObject></svg>",
        ),
        ("<svg><p>a</p></svg>", "<svg!><p>a</p></svg> ~[]"),
        ("<svg><title>{{ a }}</title></svg>", "<svg><title>{{ a }}</title></svg>"),
        ("<math><mi>{{ a }}</mi></math>", "<math><mi>{{ a }}</mi></math>"),
        ("<svg><![CDATA[<p>]]>{{ a }}</svg>", "<svg><![CDATA[<p>]]>{{ a }}</svg>"),
        ("<svg><script>{{ a }}</script></svg>", "<svg><script>{{ a }}</script></svg>"),
        ("<circle/>{{ a }}", "<circle/>{{ a }} ~[]"),
    ],
    "formatting": [
        ("<b><i>a</b>{{ b }}</i>", "<b!><i!>a</b>{{ b }}</i> ~[]"),
        ("<a>x<a>y</a>", "<a!>x<a>y</a> ~[]"),
        ("<b>{% if a %}</b>{% endif %}", "<b!>{% if %} ~[]"),
        ("{% if a %}<b>{% endif %}x{% if a %}</b>{% endif %}", "{% if %}x{% if %} ~[]"),
        ("<p>{% if a %}<b>{% endif %}x{% if a %}</b>{% endif %}</p>", "<p!>{% if %}x{% if %}</p>"),
    ],
    "blocks": [
        ("{% if a %}<b>c</b>{% else %}d{% endif %}", "{% if: <b>c</b> | d %}"),
        ("<div>{% if a %}<div>{% endif %}b{% if a %}</div>{% endif %}</div>", "<div!>{% if %}b{% if %}</div>"),
        ("<div><p>{% if a %}</p></div><div><p>{% endif %}</p></div>", "<div!><p!>{% if %}</p></div> ~[]"),
        ("{% for x in xs %}<li>{{ x }}{% endfor %}", "{% for %} ~[]"),
        ("<ul>{% for x in xs %}<li>{{ x }}</li>{% endfor %}</ul>", "<ul>{% for: <li>{{ x }}</li> %}</ul>"),
        ("<ul>{% for x in xs %}</ul><ul>{% endfor %}</ul>", "<ul!>{% for %}</ul> ~[]"),
        ("{% with a=b %}<b>{{ a }}</b>{% endwith %}", "{% with: <b>{{ a }}</b> %}"),
        ("{% with a=b %}<b>{% endwith %}</b>", "{% with %}</b> ~[]"),
        ("{% block a %}<b>{% endblock %}</b>", "<b></b>"),
        ("{% autoescape off %}<i>{{ a }}</i>{% endautoescape %}", "{% autoescape: <i>{{ a }}</i> %}"),
        ("{% if a %}{% if b %}<i>{% else %}<i>{% endif %}{% endif %}</i>", "{% if %}</i> ~[]"),
        ("{% filter upper %}<b>{% endfilter %}</b>", "{% filter %}</b> ~[]"),
    ],
}
DOCUMENTS = [
    (
        "<html><head><title>{{ a }}</title></head><body>{{ b }}</body></html>",
        "<html><head><title>{{ a }}</title></head><body>{{ b }}</body></html>",
    ),
    ("<!DOCTYPE html><title>a</title>{{ b }}", "<!DOCTYPE html><title>a</title>{{ b }} ~[]"),
    ("{{ a }}<html><body></body></html>", "{{ a }}<html><body></body></html>"),
    ("<head>{{ a }}</head>", "<head>{{ a }}</head>"),
    ("<html><body>a</body></html>b{{ c }}", "<html><body>a</body></html>b{{ c }}"),
    ("<html>{% if a %}<head></head>{% endif %}<body></body></html>", "<html!>{% if %}<body></body></html> ~[]"),
    ("<frameset>{{ a }}</frameset>", "<frameset>{{ a }}</frameset> ~[]"),
    ("<head><div>{{ a }}</div></head>", "<head!><div>{{ a }}</div></head> ~[]"),
    ("<p>{{ a }}</p>", "<p>{{ a }}</p>"),
    ("{% if a %}<title>b</title>{% endif %}", "{% if: <title>b</title> %} ~[]"),
]
OUTPUTS: list[tuple[str, tuple[str, ...], list[int] | None]] = [
    ("<b>x</b>", ("body", "p"), None),
    ("</p>x", ("body", "p"), []),
    ("<div>a</div>", ("body", "p"), [1]),
    ("<b>x", ("body", "p"), [1]),
    ("</b>", ("body", "p"), []),
    ("<!--[-->", ("body",), []),
    ("<li>a", ("body", "ul", "li"), [2]),
    ("<tr><td>a</td></tr>", ("table", "tbody"), None),
    ("text", ("table", "tbody"), [0]),
    ("</td></tr>", ("body", "table", "tbody", "tr", "td"), []),
]


@pytest.mark.parametrize(("source", "tree"), [case for cases in CASES.values() for case in cases])
def test_the_tree_inside_a_body(source: str, tree: str) -> None:
    assert tree_of(source) == tree


@pytest.mark.parametrize(("source", "tree"), DOCUMENTS)
def test_the_tree_of_a_document(source: str, tree: str) -> None:
    assert tree_of(source, ()) == tree


@pytest.mark.parametrize(("html", "ancestors", "closed"), OUTPUTS)
def test_which_ancestors_output_closes(html: str, ancestors: tuple[str, ...], closed: list[int] | None) -> None:
    found = ancestors_closed_by(html, ancestors)
    assert (None if found is None else sorted(found)) == closed


def test_no_character_of_the_markup_is_lost() -> None:
    for source, tree in (case for cases in (*CASES.values(), DOCUMENTS) for case in cases):
        if "{%" not in source and "<!--[" not in source:
            assert tree.replace("!>", ">").partition(" ~")[0] == source.replace("!>", ">")
