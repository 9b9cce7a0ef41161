"""Fragments and their parts: HTML in, marked HTML with numbered parts out.

A fragment is written as its HTML, with `0`, `1` … in « » for its parts, and the kinds of these: `t`
text, `@name` attribute, `*` tag, `r` raw, `b` branch, `l` loop. What arms and rows consist of
follows in square brackets, in the order of the parts. `=` in front says that the only part is the
whole fragment.
"""

# ruff: noqa: E501 - one case, one line

from __future__ import annotations

from collections.abc import Iterator

import pytest

from djust.render.values import ATTRIBUTE, TAG, Fragment
from djust.template.fragments import included_program, page_program
from djust.template.markup import parse
from djust.template.start_tags import StartTag, attribute_names, start_tag, text_of
from djust.template.steps import BranchStep, LoopStep, Program, ScopeStep, Step
from tests.test_markup import nodes_of


def page_of(source: str) -> str:
    return written(page_program(parse(nodes_of(source)), "page"))


def included(source: str) -> str:
    return written(included_program(parse(nodes_of(source), ("",)), "included"))


def written(program: Program) -> str:
    fragment = program.fragment
    html = "".join(chunk if isinstance(chunk, str) else f"«{chunk}»" for chunk in fragment.chunks)
    shape = f" shape {fragment.shape}" if fragment.shape else ""
    inside = "".join(f" [{written(arm)}]" for arm in arms(program.steps))
    return f"{'=' if fragment.whole else ''}{html} {' '.join(kinds(fragment))}{shape}{inside}".rstrip()


def kinds(fragment: Fragment) -> Iterator[str]:
    for part in fragment.parts:
        if part.kind == ATTRIBUTE:
            yield f"@{part.name}"
        elif part.kind == TAG:
            others = f"({','.join(part.others)})" if part.others else ""
            yield f"*{others}{dict(part.fallback) or ''}"
        else:
            yield part.kind


def arms(steps: list[Step]) -> Iterator[Program]:
    for step in steps:
        match step:
            case BranchStep():
                yield from step.arms
            case LoopStep():
                yield step.body
            case ScopeStep():
                yield from arms(step.steps)


CASES = {
    "text": [
        ("<p>{{ a }}</p>", "<p dj>«0»</p> t"),
        ("<p>{{ a }} of {{ b }}</p>", "<p dj>«0»</p> t"),
        ("<p>{{ a }}<b>{{ c }}</b></p>", "<p><!--[-->«0»<!--]--><b dj>«1»</b></p> t t"),
        ("a {{ b }} c", "a <!--[-->«0»<!--]--> c t"),
        ("<p>{% if a %}x{% else %}y{% endif %}</p>", "<p dj>«0»</p> t"),
        (
            "<p>long long long long long long long long long long long long long long long long long long long long {{ a }}</p>",
            "<p>long long long long long long long long long long long long long long long long long long long long <!--[-->«0»<!--]--></p> t",
        ),
        ("<pre>{{ a }}</pre>", "<pre dj>«0»</pre> t"),
        ("<pre>{% if a %}<b>x</b>{% endif %}</pre>", "<pre dj>«0»</pre> t"),
        ("<pre>{{ a }}<b></b></pre>", "<pre dj>«0»</pre> t"),
        ("<p>{% translate 'x' %} {{ a }}</p>", "<p dj>«0»</p> t"),
        ("<p>{% static 'x' %}</p>", "<p dj>«0»</p> t"),
        ("<p>{% lorem %}</p>", "<p dj>«0»</p> t"),
        ("<p>{% cycle 'a' 'b' as c silent %}{{ c }}</p>", "<p dj>«0»</p> t"),
        ("<p>{% now 'Y' as y %}<b>{{ y }}</b></p>", "<p><b dj>«0»</b></p> t"),
    ],
    "attributes": [
        ("<a href='{{ a }}'>x</a>", "<a dj href='«0»'>x</a> @href"),
        ('<a HREF="/{{ a }}/" title = "{{ b }}">x</a>', '<a dj HREF="«0»" title = "«1»">x</a> @href @title'),
        ("<a class='b {% if a %}c{% endif %}' id=x>y</a>", "<a dj class='«0»' id=x>y</a> @class"),
        ("<a href={{ a }}>x</a>", "<a dj «0»>x</a> *"),
        ("<a href={{ a }} id=x>y</a>", "<a dj «0»>y</a> *"),
        ("<a {{ a }}>x</a>", "<a dj «0»>x</a> *"),
        ("<a id=x {{ a }} class=\"y\" title='{{ b }}'>z</a>", "<a dj id=x «0»>z</a> *(id)"),
        ('<a {% if a %}class="b"{% endif %} id="x">y</a>', "<a dj «0» id=\"x\">y</a> *(id){'id': 'x'}"),
        ('<a {% if a %}class="b"{% endif %} class="{{ c }}">y</a>', "<a dj «0»>y</a> *"),
        ("<a class='{{ a }}' class='{{ b }}'>x</a>", "<a dj class='«0»' «1»>x</a> @class *(class)"),
        ("<a data-{{ a }}='b' c='{{ d }}'>x</a>", "<a dj «0»>x</a> *"),
        ("<input {{ a }} / >", "<input dj «0» / > *"),
        ("<input{{ a }}>", "<input dj«0»> *"),
        ("<img src={{ a }} />", "<img dj «0»> *"),
        ("<a b='{{ c }}'d='{{ e }}'>x</a>", "<a dj b='«0»'d='«1»'>x</a> @b @d"),
        ('<a b="{% if a %}\'{% endif %}{{ c }}">x</a>', '<a dj b="«0»">x</a> @b'),
        ("<a dj b='{{ c }}'>x</a>", "<a dj b='«0»'>x</a> @b"),
        ("<a dj>x</a>", "<a dj>x</a>"),
        ("<li dj-key='{{ a }}' {{ b }}>c</li>", "<li dj dj-key='«0»' «1»>c</li> @dj-key *(dj-key)"),
        ("<a {{ b }} dj-key='{{ a }}'>c</a>", "<a dj «0» dj-key='«1»'>c</a> *(dj-key) @dj-key"),
    ],
    "elements": [
        ("<br>", "<br>"),
        ("<p><b>x</b></p>", "<p><b>x</b></p>"),
        ("<script>{{ a }}</script>", "<script dj>«0»</script> r"),
        ("<textarea id='{{ b }}'>{{ a }}</textarea>", "<textarea dj id='«0»'>«1»</textarea> @id r"),
        ("<title>{{ a }}</title>", "<title dj>«0»</title> r"),
        ("<template><p>{{ a }}</p></template>", "<template dj>«0»</template> t"),
        ("<svg viewbox='{{ a }}'><g {{ b }}/></svg>", "<svg dj viewbox='«0»'><g dj «1»/></svg> @viewBox *"),
        (
            "<svg><foreignObject><p viewbox='{{ a }}'>b</p></foreignObject></svg>",
            "<svg><foreignObject><p dj viewbox='«0»'>b</p></foreignObject></svg> @viewbox",
        ),
        ("<p><b>{{ a }}</p>", "=«0» t"),
        ("<div><p>{{ a }}<p>b</div>", "<div><p dj>«0»<p>b</div> t"),
    ],
    "branches": [
        ("<p>{% if a %}<b>x</b>{% endif %}</p>", "<p dj>«0»</p> b [<b>x</b>]"),
        (
            "<p>{% if a %}<b>x</b>{% else %}<i>{{ b }}</i>{% endif %}</p>",
            "<p dj>«0»</p> b [<b>x</b>] [<i dj>«0»</i> t]",
        ),
        ("<p>x{% if a %}<b>x</b>{% endif %}y</p>", "<p>x<!--[-->«0»<!--]-->y</p> b [<b>x</b>]"),
        ("<p>{% if a %}{% if b %}<i></i>{% endif %}{% endif %}</p>", "<p dj>«0»</p> b [=«0» b [<i></i>]]"),
        ("<p>{% include name %}</p>", "<p dj>«0»</p> b"),
        ("<div>{% if a %}<div>{% endif %}x{% if a %}</div>{% endif %}</div>", "<div dj>«0»</div> t"),
        ("{% if a %}<b>{{ b }}</b> c{% endif %}", "<!--[-->«0»<!--]--> b [<b dj>«0»</b> c t]"),
    ],
    "loops": [
        (
            "<ul>{% for x in xs %}<li>{{ x }}</li>{% endfor %}</ul>",
            "<ul dj>«0»</ul> l [<li dj>«0»</li> t shape (0, 0)]",
        ),
        (
            '<ul>{% for x in xs %}<li dj-key="{{ x }}">a</li>{% endfor %}</ul>',
            '<ul dj>«0»</ul> l [<li dj dj-key="«0»">a</li> @dj-key shape (0, 0)]',
        ),
        (
            "<ul>\n{% for x in xs %}\n  <li id='{{ x }}'></li>\n{% endfor %}</ul>",
            "<ul>\n<!--[-->«0»<!--]--></ul> l [\n  <li dj id='«0»'></li>\n @id shape (3, 1)]",
        ),
        ("<p>{% for x in xs %}{{ x }}, {% endfor %}</p>", "<p dj>«0»</p> l [=«0» t]"),
        (
            "<ul>{% for x in xs %}<li>{{ x }}</li>{% empty %}<li>none</li>{% endfor %}</ul>",
            "<ul dj>«0»</ul> b [=«0» l [<li dj>«0»</li> t shape (0, 0)]] [<li>none</li>]",
        ),
        (
            "<ul>{% for x in xs %}{% for y in x %}<li>{{ y }}</li>{% endfor %}{% endfor %}</ul>",
            "<ul dj>«0»</ul> l [<!--[-->«0»<!--]--> l [<li dj>«0»</li> t shape (0, 0)]]",
        ),
        ("<table>{% for x in xs %}<tr><td>{{ x }}</td></tr>{% endfor %}</table>", "<table dj>«0»</table> t"),
        (
            "<table><tbody>{% for x in xs %}<tr><td>{{ x }}</td></tr>{% endfor %}</tbody></table>",
            "<table><tbody dj>«0»</tbody></table> l [<tr dj><td dj>«0»</td></tr> t shape (0, 0)]",
        ),
        (
            "{% for x in xs %}<dt>{{ x }}</dt><dd></dd>{% endfor %}",
            "<!--[-->«0»<!--]--> l [<dt dj>«0»</dt><dd></dd> t]",
        ),
    ],
    "scopes": [
        ("<p>{% with a=b %}{{ a }}{% endwith %}</p>", "<p dj>«0»</p> t"),
        ("<p>{% with a=b %}<b>{{ a }}</b>{% endwith %}</p>", "<p><b dj>«0»</b></p> t"),
        ("<p>{% autoescape off %}{{ a }}{% endautoescape %}c</p>", "<p><!--[-->«0»<!--]-->c</p> t"),
        (
            "<ul>{% with ys=xs %}{% for x in ys %}<li>{{ x }}</li>{% endfor %}{% endwith %}</ul>",
            "<ul dj>«0»</ul> l [<li dj>«0»</li> t shape (0, 0)]",
        ),
    ],
    "documents": [
        (
            "<!DOCTYPE html><html><head><title>{{ a }}</title></head><body class='{{ b }}'>{{ c }}</body></html>",
            "<!DOCTYPE html><html><head><title dj>«0»</title></head><body dj class='«1»'>«2»</body></html> r @class t",
        ),
        ("{{ a }}<html></html>", "=«0» t"),
        ("</p>{{ a }}", "=«0» t"),
        ("<td>{{ a }}</td>", "=«0» t"),
    ],
}
INCLUDED = [
    ("{{ a }}", "=«0» t"),
    ("<b>{{ a }}</b>", "<b dj>«0»</b> t"),
    ("</p>{{ a }}", "=«0» t"),
    ("<li>{{ a }}", "=«0» t"),
]
# The text of a start tag; for each attribute, its name, its sign with white space, and its value in
# quotes.
START_TAGS = [
    ("<a b>", [("b", "", "")]),
    ("<a b=c d='e f' g = \"h>i\">", [("b", "=", "c"), ("d", "=", "'e f'"), ("g", " = ", '"h>i"')]),
    ("<a b=c/d e>", [("b", "=", "c/d"), ("e", "", "")]),
    ("<a b='c'd/e>", [("b", "=", "'c'"), ("d", "", ""), ("e", "", "")]),
    ("<a b= >", [("b", "= ", "")]),
    ("<a 'b' =c>", [("'b'", " =", "c")]),
    ("<a =b>", [("=b", "", "")]),
    ("<a B=c b=d>", [("b", "=", "c"), ("b", "=", "d")]),
]


@pytest.mark.parametrize(("source", "fragment"), [case for cases in CASES.values() for case in cases])
def test_the_fragment_of_a_page(source: str, fragment: str) -> None:
    assert page_of(source) == fragment


@pytest.mark.parametrize(("source", "fragment"), INCLUDED)
def test_the_fragment_of_an_included_template(source: str, fragment: str) -> None:
    assert included(source) == fragment


@pytest.mark.parametrize(("text", "attributes"), START_TAGS)
def test_a_start_tag_is_read_as_a_browser_reads_it(text: str, attributes: list[tuple[str, str, str]]) -> None:
    tag = StartTag("<a")
    assert tag.feed(text + "rest", 2) == len(text)
    found = [(a.key, a.equals, f"{a.quote}{text_of(a.value)}{a.quote}") for a in tag.attributes]
    assert found == attributes
    assert "<a" + "".join(a.before + text_of(a.pieces) for a in tag.attributes) + tag.end == text


def test_a_start_tag_ends_where_its_pieces_say() -> None:
    """However the text is cut into pieces, by nodes or not, the attributes are the same."""
    text = "<a b = 'c d' e=\"f>g\" h=i/j k />"
    whole = StartTag("<a")
    whole.feed(text, 2)
    for cut in range(2, len(text)):
        tag = StartTag("<a")
        assert tag.feed(text[:cut], 2) == cut
        tag.feed(text[cut:], 0)
        assert [(a.before, a.key, a.equals, a.quote, text_of(a.value)) for a in tag.attributes] == [
            (a.before, a.key, a.equals, a.quote, text_of(a.value)) for a in whole.attributes
        ]
        assert (tag.end, tag.is_self_closing) == (" />", True)


@pytest.mark.parametrize(
    ("text", "is_self_closing"), [("<g/>", True), ("<g a=b/>", False), ("<g a='b'/>", True), ("<g a / >", False)]
)
def test_a_slash_that_belongs_to_a_value_closes_nothing(text: str, is_self_closing: bool) -> None:
    found = start_tag(text, 0)
    assert found is not None
    tag, end = found
    assert (end, tag.is_self_closing) == (len(text), is_self_closing)


def test_names_of_attributes_in_text() -> None:
    assert attribute_names(" a=b C='d' \0=e f") == {"a", "c", "\0", "f"}
