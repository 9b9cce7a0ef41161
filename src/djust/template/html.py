"""What a browser's parser does with elements: which end others, and which may stand where.

`markup` asks; the source is the section "Tree construction" of the HTML standard.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VOID = _words(
    "area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr"
)
RAW_TEXT = _words("textarea title script style iframe noembed noframes noscript xmp")
OPTIONAL_END = _words(
    "li dt dd p rt rp rb rtc optgroup option thead tbody tfoot tr td th caption colgroup html head body"
)
HEADINGS = _words("h1 h2 h3 h4 h5 h6")
BLOCK_LEVEL = HEADINGS | _words(
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer form header"
    " hgroup hr listing main menu nav ol p plaintext pre search section summary table ul xmp"
)
HEAD_CONTENT = _words("title meta link base basefont bgsound style script noscript noframes template")
DOCUMENT = _words("html head body frameset")
FORMATTING = _words("a b big code em font i nobr s small strike strong tt u")
CELLS = _words("td th caption")
SECTIONS = _words("thead tbody tfoot")
TABLE_PARTS = SECTIONS | _words("table tr colgroup")
RUBY = _words("ruby rb rt rtc rp")
# What a parser looks for an open element in ends at these; formatting that is not closed is opened
# again up to these.
MARKERS = CELLS | _words("applet marquee object template")
SCOPE = MARKERS | _words("table")
# A start tag of this name closes open elements of the names in the first set that stand inside
# those in the second.
Closing = tuple[frozenset[str], frozenset[str]]
P: Closing = (_words("p"), SCOPE | {"button"})
BLOCKS_AROUND = SCOPE | BLOCK_LEVEL - _words("address div p dialog")
TABLE: Closing = (TABLE_PARTS - {"table"} | CELLS, _words("table template"))
CLOSES: dict[str, tuple[Closing, ...]] = {
    **dict.fromkeys(BLOCK_LEVEL, (P,)),
    "li": ((_words("li"), BLOCKS_AROUND), P),
    **dict.fromkeys(("dt", "dd"), ((_words("dt dd"), BLOCKS_AROUND), P)),
    "option": ((_words("option"), _words("optgroup select")),),
    **dict.fromkeys(("optgroup", "hr"), ((_words("option optgroup"), _words("select")), P)),
    **dict.fromkeys(("rt", "rp"), ((_words("rt rp rb"), _words("ruby rtc")),)),
    **dict.fromkeys(("rb", "rtc"), ((_words("rt rp rb rtc"), _words("ruby")),)),
    **dict.fromkeys(("td", "th"), ((_words("td th caption colgroup"), _words("tr table template")),)),
    "tr": ((_words("tr td th caption colgroup"), _words("table template")),),
    "col": ((_words("tr td th caption") | SECTIONS, _words("table template")),),
    **dict.fromkeys(SECTIONS | {"caption", "colgroup"}, (TABLE,)),
    "body": ((_words("head"), SCOPE),),
    "a": ((_words("a"), MARKERS),),
    "nobr": ((_words("nobr"), MARKERS),),
    "button": ((_words("button"), SCOPE),),
    "form": ((_words("form"), _words("template")), P),
    **dict.fromkeys(HEADINGS, ((HEADINGS, BLOCK_LEVEL - HEADINGS | SCOPE), P)),
    **dict.fromkeys(("input", "textarea", "select", "keygen"), ((_words("select"), SCOPE),)),
}
# Elements that may only stand directly in these; in the second ones a parser adds what is between.
PARENTS = {
    **dict.fromkeys(("td", "th"), (_words("tr"), SECTIONS | {"table"})),
    **dict.fromkeys(SECTIONS | {"caption", "colgroup"}, (_words("table"), _words(""))),
    "tr": (SECTIONS, _words("table")),
    "col": (_words("colgroup"), _words("table")),
}
# What else may stand in some elements; other content is moved out of them, or dropped.
CONTENT = {
    **dict.fromkeys(TABLE_PARTS, _words("script style template")),
    "head": HEAD_CONTENT,
    **dict.fromkeys(("select", "optgroup", "option"), _words("option optgroup hr script template")),
}
FOREIGN = {"svg": 1, "math": 2}
# Elements of SVG and MathML whose content is HTML, and those of HTML that end SVG and MathML.
HTML_INSIDE = {1: _words("foreignobject desc title"), 2: _words("annotation-xml mi mo mn ms mtext")}
BREAKING_OUT = (
    HEADINGS
    | (FORMATTING - {"a"})
    | _words("blockquote body br center dd div dl dt embed head hr img li listing menu meta ol p pre ruby span sub sup")
    | _words("table ul var")
)


def spaces(name: str, outside: int) -> tuple[int, int]:
    """The namespaces of an element and of its content: 0 HTML, 1 SVG, 2 MathML."""
    own = outside or FOREIGN.get(name, 0)
    return own, 0 if own and name in HTML_INSIDE[own] else own
