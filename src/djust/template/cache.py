"""Compiled templates, one per Django template, made on first use and shared by threads.

A template whose parents are all named by literals has one variant. One that extends a variable has a variant per chain
of parents it has been rendered with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast
from weakref import WeakKeyDictionary

from django.template import Context
from django.template.base import Template
from django.template.library import InclusionNode
from django.template.loader_tags import IncludeNode, construct_relative_path
from django.utils.safestring import SafeString

from djust.render.values import Fragment, Values
from djust.template import fragments, markup, runtime
from djust.template.codegen import write_evaluate, write_render
from djust.template.debug import explain
from djust.template.lower import Lowering, binding_context, is_static_chain, resolve_chain
from djust.template.markup import UnbalancedError
from djust.template.parts import Chain, Inclusion, Item, Program, all_items, needs_of
from djust.template.skipping import skippable
from djust.template.source import Source

_lock = threading.RLock()
_compiled: WeakKeyDictionary[Template, CompiledTemplate] = WeakKeyDictionary()


def compile_template(template: Template) -> CompiledTemplate:
    """The compiled form of a `django.template.Template` (not of a back end's wrapper); cached."""
    compiled = _compiled.get(template)
    if compiled is None:
        with _lock:
            compiled = _compiled.setdefault(template, CompiledTemplate(template))
    return compiled


class CompiledTemplate:
    """What compiling a template gives; `evaluate` and `render` may be called by many threads at once."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self._only: _Variant | None = None
        self._variants: dict[tuple[Template, ...], _Variant] = {}

    def evaluate(
        self,
        context: Context,
        last: tuple[Fragment, Values] | None = None,
        same: AbstractSet[str] = frozenset(),
    ) -> tuple[Fragment, Values]:
        """The root fragment and the values of its parts, with `context` bound to the template (`scope.rendering`).

        `last` is what the last call gave for this page, `same` the names of the context whose values are certainly
        those of that time: parts that depend on nothing else are not evaluated again.
        """
        variant = self._variant(context)
        return variant.balanced(lambda: variant.page, context, last, same)

    @property
    def tracked(self) -> frozenset[str]:
        """The names that are worth to be watched for `same`."""
        return self._only.page.tracked if self._only is not None else frozenset()

    def render(self, context: Context) -> SafeString:
        """The HTML that Django's own engine gives, without marks. `context` is bound to the template."""
        html: SafeString = self._variant(context).plain.run(context)
        return html

    def inner(self, context: Context) -> tuple[Fragment, Values]:
        """As `evaluate`, for a template that is included in another."""
        variant = self._variant(context)
        return variant.balanced(lambda: variant.included, context)

    @property
    def source(self) -> str:
        """The generated Python of `evaluate`."""
        return self._variant(binding_context(self.template)).page.source

    def _variant(self, context: Context) -> _Variant:
        if self._only is not None:
            return self._only
        with _lock:
            if is_static_chain(self.template):
                chain = resolve_chain(self.template, binding_context(self.template))
                self._only = _Variant(chain)
                return self._only
            chain = resolve_chain(self.template, context)
            return self._variants.setdefault(tuple(chain.templates), _Variant(chain))


class _Compiled:
    """One generated function."""

    def __init__(
        self, src: Source, name: str, filename: str, templates: list[Template], program: Program | None = None
    ) -> None:
        self.source = src.text
        self._function = src.function(name, filename)
        self._filename, self._places, self._templates = filename, src.places, templates
        self._fragment = program.fragment if program is not None else None
        steps = skippable(program.steps) if program is not None else {}
        self.tracked: frozenset[str] = frozenset().union(*steps.values())

    @property
    def fragment(self) -> Fragment:
        assert self._fragment is not None, "only functions that give values have a fragment"
        return self._fragment

    def run(self, context: Context, *last: Any) -> Any:
        try:
            return self._function(context, *last)
        except UnbalancedError:
            raise
        except Exception as error:
            explain(error, self._filename, self._places, self._templates)
            raise


@dataclass(eq=False)
class _Variant:
    """One chain of templates, compiled on demand.

    `loose` are the items whose output was found to be unbalanced; it is compiled again when another one shows up.
    """

    chain: Chain
    loose: set[Item] = field(default_factory=set)

    def balanced(
        self,
        compiled: Callable[[], _Compiled],
        context: Context,
        last: tuple[Fragment, Values] | None = None,
        same: AbstractSet[str] = frozenset(),
    ) -> tuple[Fragment, Values]:
        """The fragment and values of what `compiled` gives, compiled so that every region is balanced."""
        while True:
            code = compiled()
            try:
                if last is not None and last[0] is code.fragment:
                    return code.fragment, code.run(context, last[1], same)
                return code.fragment, code.run(context)
            except UnbalancedError as error:
                with _lock:
                    if error.item not in self._items_within or error.item in self.loose:
                        raise
                    self.loose.add(error.item)
                    vars(self).pop("page", None)
                    vars(self).pop("included", None)

    @property
    def _name(self) -> str:
        origin = self.chain.templates[0].origin
        return str(getattr(origin, "template_name", None) or getattr(origin, "name", None) or "<template>")

    @property
    def _invalid(self) -> str:
        invalid: str = self.chain.templates[0].engine.string_if_invalid
        return invalid

    @cached_property
    def _items(self) -> list[Item]:
        return Lowering(self.chain).items()

    @cached_property
    def _items_within(self) -> set[Item]:
        return set(all_items(self._items))

    @cached_property
    def page(self) -> _Compiled:
        """The template as the root of a page."""
        with _lock:
            return self._evaluate("page", fragments.page_program(markup.parse(self._items, (), self.loose), self._name))

    @cached_property
    def included(self) -> _Compiled:
        """The template as a fragment inside another one; unbalanced markup makes it one region."""
        with _lock:
            tree = markup.parse(self._items, ("",), self.loose)
            return self._evaluate("included", fragments.included_program(tree, self._name))

    @cached_property
    def plain(self) -> _Compiled:
        """The template as a function that gives HTML without marks."""
        with _lock:
            src = Source(self._names())
            write_render(src, self._items, self.chain, self._invalid)
            return _Compiled(src, "render", f"<djust render {self._name} {id(self)}>", self._templates)

    def _evaluate(self, kind: str, program: Program) -> _Compiled:
        src = Source(self._names())
        write_evaluate(src, program, self.chain, self._invalid, needs_of(self._items))
        filename = f"<djust {kind} {self._name} {id(self)}>"
        return _Compiled(src, "evaluate", filename, self._templates, program)

    @property
    def _templates(self) -> list[Template]:
        """All templates that were compiled into this one."""
        chains = [self.chain, *(item.chain for item in self._items_within if isinstance(item, Inclusion))]
        return [template for chain in chains for template in chain.templates]

    def _names(self) -> dict[str, Any]:
        return {**runtime.NAMES, **_INCLUDES}


def include(context: Context, node: IncludeNode) -> tuple[Fragment, Values]:
    """The fragment and values of an include whose template is known only now."""
    template = _included_template(context, node)
    values = {name: value.resolve(context) for name, value in node.extra_context.items()}
    compiled = compile_template(template)
    if node.isolated_context:
        inner = context.new(values)
        with inner.render_context.push_state(template):
            return compiled.inner(inner)
    with context.push(values), context.render_context.push_state(template):
        return compiled.inner(context)


def _included_template(context: Context, node: IncludeNode) -> Template:
    """The template an include names: a name, a list of names, a template, or a back end's template."""
    found = node.template.resolve(context)
    if callable(getattr(found, "render", None)):
        return cast(Template, getattr(found, "template", found))
    if isinstance(found or (), str):
        names = [construct_relative_path(cast(str, node.origin.template_name), found)]
    else:
        names = list(found or ())
    return cast(Template, context.template).engine.select_template(names)


def include_tag(context: Context, node: InclusionNode, data: Any) -> tuple[Fragment, Values]:
    """The fragment and values of an `inclusion_tag` whose function returned `data`."""
    template, inner = _tag_template(context, node, data)
    with inner.render_context.push_state(template):
        return compile_template(template).inner(inner)


def include_tag_html(context: Context, node: InclusionNode, data: Any) -> str:
    """The output of an `inclusion_tag` whose function returned `data`."""
    template, inner = _tag_template(context, node, data)
    return template.render(inner)


def _tag_template(context: Context, node: InclusionNode, data: Any) -> tuple[Template, Context]:
    template = context.render_context.get(node)
    if template is None:
        named = getattr(node.filename, "template", node.filename)
        engine = cast(Template, context.template).engine
        if isinstance(named, Template):
            template = named
        elif isinstance(named, str):
            template = engine.get_template(named)
        else:
            template = engine.select_template(named)
        context.render_context[node] = template
    inner = context.new(data)
    token = context.get("csrf_token")
    if token is not None:
        inner["csrf_token"] = token
    return template, inner


_INCLUDES: dict[str, Any] = {
    "include": include,
    "include_tag": include_tag,
    "include_tag_html": include_tag_html,
}
