"""Compiled templates, one per Django template, made on first use and shared by threads.

A template has a *variant* for each chain of parents it has been rendered with; most have one. Its parents and the
templates it includes by literal names are inlined in it. Who looks these up again gets the same objects as long as
every loader of the engine caches, so outside of debug mode a variant is kept. In debug mode the autoreloader resets
loaders, and other loaders read files again: there parents and includes are looked up for each rendering, as Django
does, and a variant is used again only if this finds the same templates, or templates of the same origin and source.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, cast

from django.template import Context, Engine, TemplateDoesNotExist, TemplateSyntaxError
from django.template.base import Node, Template, VariableDoesNotExist
from django.template.library import InclusionNode
from django.template.loader_tags import IncludeNode, construct_relative_path
from django.template.loaders.cached import Loader as CachedLoader
from django.utils.safestring import SafeString

from djust.render.values import TEXT, Fragment, Part, Values, source
from djust.template import fragments, markup, runtime
from djust.template.codegen.evaluate import write_evaluate, write_render
from djust.template.codegen.source import Source
from djust.template.context import Checkpoint, isolated_context, rendering
from djust.template.debug import Place, explain, place_of
from djust.template.lower import Lowering, binding_context, is_static_chain, resolve_chain
from djust.template.markup import UnbalancedError
from djust.template.nodes import NO_NAMES, Block, Chain, Inclusion, Item, Program, all_items
from djust.template.optimize.prefetch import related
from djust.template.report import Report, report_of

# How many variants a template keeps: the parents of some are named by data, in debug mode files change.
MAX_VARIANTS = 16
# For how many sources an engine keeps the variants whose templates may be read again.
MAX_SOURCES = 256

_STRINGS = frozenset({str, SafeString})

_lock = threading.RLock()
_numbers = itertools.count(1)


def compile_template(template: Template) -> CompiledTemplate:
    """The compiled form of a `django.template.Template` (not of a back end's wrapper); cached.

    The template itself holds it, so that both end together; a copy of a template gets one of its own.
    """
    attributes = vars(template)
    compiled: CompiledTemplate | None = attributes.get("_djust_compiled")
    if compiled is None or compiled.template is not template:
        with _lock:
            compiled = attributes.get("_djust_compiled")
            if compiled is None or compiled.template is not template:
                compiled = attributes["_djust_compiled"] = CompiledTemplate(template)
    return compiled


class CompiledTemplate:
    """What compiling a template gives; `evaluate` and `render` may be called by many threads at once."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self._only: _Variant | None = None
        self._variants = _variants_of(template)
        self._tracked: frozenset[str] = frozenset()

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
        result = variant.balanced(lambda: variant.page, context, last, same)
        self._tracked |= variant.page.tracked
        return result

    @property
    def tracked(self) -> frozenset[str]:
        """The names that are worth to be watched for `same`. It only grows: who watches must not miss a rendering."""
        return self._tracked

    def render(self, context: Context) -> SafeString:
        """The HTML that Django's own engine gives, without marks."""
        if context.template is None:
            with context.render_context.push_state(self.template), context.bind_template(self.template):
                context.template_name = self.template.name
                return self.render(context)
        html: SafeString = (self._only or self._variant(context)).plain.run(context)
        return html

    def render_observed(self, context: Context, observe: Callable[[Template], None]) -> SafeString:
        """As `render`; `observe` is called with the template and each of its parents before they are rendered.

        Included templates are rendered by `Template.render` in a context that holds all names, as in Django.
        """
        observe(self.template)
        variant = self._variant(context)
        for parent in variant.chain.templates[1:]:
            observe(parent)
        html: SafeString = variant.observed.run(context)
        return html

    def inner(self, context: Context) -> tuple[Fragment, Values]:
        """As `evaluate`, for a template that is included in another."""
        variant = self._variant(context)
        return variant.balanced(lambda: variant.included, context)

    @property
    def source(self) -> str:
        """The generated Python of `evaluate`."""
        return self._variant(binding_context(self.template)).page.source

    @property
    def render_source(self) -> str:
        """The generated Python of `render`."""
        return self._variant(binding_context(self.template)).plain.source

    @property
    def items(self) -> list[Item]:
        """What the template is made of, parents and literal includes resolved."""
        return self._variant(binding_context(self.template)).items

    @property
    def templates(self) -> list[Template]:
        """The template, its parents, and the templates that they include by literal names."""
        return self._variant(binding_context(self.template)).templates

    @property
    def report(self) -> Report:
        """What the template consists of: parts by kind, native and opaque nodes."""
        return self._variant(binding_context(self.template)).report

    def _variant(self, context: Context) -> _Variant:
        if self._only is not None:
            return self._only
        chain = resolve_chain(self.template, context)
        with _lock:
            variant = next((variant for variant in self._variants if variant.is_current(chain)), None)
            if variant is None:
                variant = _Variant(chain)
                self._variants.insert(0, variant)
                del self._variants[MAX_VARIANTS:]
            if not _may_change(self.template.engine) and is_static_chain(self.template):
                self._only = variant
            return variant


def _variants_of(template: Template) -> list[_Variant]:
    """The variants of `template`, the last one made first: they are shared with others that were read from its source.

    A loader that does not cache makes a new template each time; the engine keeps what was compiled for the last ones.
    """
    engine, origin = template.engine, template.origin
    if origin.loader is None or not _may_change(engine):
        return []
    kept: OrderedDict[Any, list[_Variant]] = vars(engine).setdefault("_djust_variants", OrderedDict())
    key = (str(origin.name), _source(template))
    variants = kept.setdefault(key, [])
    kept.move_to_end(key)
    if len(kept) > MAX_SOURCES:
        kept.popitem(last=False)
    return variants


def _may_change(engine: Engine) -> bool:
    """Whether a template that is looked up again may be another one than before."""
    return engine.debug or not all(isinstance(loader, CachedLoader) for loader in engine.template_loaders)


def _is_same(chain: Chain, other: Chain) -> bool:
    """Whether two chains consist of the same templates, or of templates with the same origin and source."""
    return len(chain.templates) == len(other.templates) and all(
        a is b or (a.engine is b.engine and a.origin == b.origin and _source(a) == _source(b))
        for a, b in zip(chain.templates, other.templates, strict=True)
    )


def _source(template: Any) -> tuple[Any, ...]:
    """What tells whether two templates of the same origin are the same: a partial depends on all of its template.

    The back end notes that for partials; without it, each is equal to itself only.
    """
    if isinstance(template, Template):
        return (template.source,)
    return template.name, vars(template).get("source_of_all", template)


class _Compiled:
    """One generated function. `root`: the outermost parent, which is what renders; None without parents."""

    def __init__(
        self,
        src: Source,
        name: str,
        filename: str,
        templates: list[Template],
        root: Template | None,
        program: Program | None = None,
        tracked: frozenset[str] = NO_NAMES,
    ) -> None:
        self.source = src.text
        self._function = src.function(name, filename)
        self._filename, self._places, self._templates, self._root = filename, src.places, templates, root
        self._fragment = program.fragment if program is not None else None
        self.tracked = tracked
        self.run: Callable[..., Any] = self._run if root is None else self._run_child
        self.forgiven: set[Node] = set()  # nodes in `{{ block.super }}`, where some errors stand for a value

    @property
    def fragment(self) -> Fragment:
        assert self._fragment is not None, "only functions that give values have a fragment"
        return self._fragment

    def node_of(self, error: Exception) -> Node | None:
        """The node whose code has raised `error`."""
        place = place_of(error, self._filename, self._places)
        return None if place is None else place.node

    def _run_child(self, context: Context, *last: Any) -> Any:
        state, template = context.render_context, context.render_context.template
        state.template = self._root
        try:
            return self._run(context, *last)
        finally:
            state.template = template

    def _run(self, context: Context, *last: Any) -> Any:
        depth = len(context.dicts)
        try:
            return self._function(context, *last)
        except Exception as error:
            del context.dicts[depth:]  # loops and scopes pop their layers only if nothing is raised
            if isinstance(error, UnbalancedError):
                raise
            explained = explain(error, self._filename, self._places, self._templates)
            if explained is not error:
                raise explained from None
            raise


@dataclass(eq=False)
class _Variant:
    """One chain of templates, compiled on demand.

    `loose` are the items whose output was found to be unbalanced, with the names of the elements that it closes; it is
    compiled again when another one shows up. Unless it inlines `supers`, Django renders `{{ block.super }}`: since one
    of them has raised an error that stands for a value.
    """

    chain: Chain
    loose: dict[Item, frozenset[int]] = field(default_factory=dict)
    supers: bool = True

    def balanced(
        self,
        compiled: Callable[[], _Compiled],
        context: Context,
        last: tuple[Fragment, Values] | None = None,
        same: AbstractSet[str] = frozenset(),
    ) -> tuple[Fragment, Values]:
        """The fragment and values of what `compiled` gives, compiled so that every region is balanced."""
        start = Checkpoint(context)
        while True:
            code = compiled()
            try:
                if last is not None and last[0] is code.fragment:
                    return code.fragment, code.run(context, last[1], same)
                return code.fragment, code.run(context)
            except UnbalancedError as error:
                with _lock:
                    known = self.loose.get(error.item)
                    if error.item not in self._items_within or (known is not None and error.closes <= known):
                        raise
                    self.loose[error.item] = error.closes | (known or frozenset())
                    vars(self).pop("page", None)
                    vars(self).pop("included", None)
                start.restore()
            except Exception as error:  # noqa: BLE001 - raised again unless it stands for a value
                self._forgive(error, code)
                start.restore()

    def _forgiving(self, kind: str, code: _Compiled, run: Callable[..., Any], context: Context) -> Any:
        """What `run`, the function of `code`, renders; if an error is forgiven, the property `kind`, compiled anew."""
        start = Checkpoint(context)
        try:
            return run(context)
        except Exception as error:  # noqa: BLE001 - raised again unless it stands for a value
            self._forgive(error, code)
        start.restore()
        return getattr(self, kind).run(context)

    def _forgive(self, error: Exception, code: _Compiled) -> None:
        """Inline no `{{ block.super }}` any more if `code` raised `error` in one; any other error is raised again.

        For Django that is a variable, whose lookup may fail silently.
        """
        silent = isinstance(error, VariableDoesNotExist) or getattr(error, "silent_variable_failure", False)
        if not silent or code.node_of(error) not in code.forgiven:
            raise error
        with _lock:
            self.supers = False
            for name in ("page", "included", "plain", "observed", "items", "_items_within", "_inclusions"):
                vars(self).pop(name, None)

    def is_current(self, chain: Chain) -> bool:
        """Whether this is the variant for `chain`, and its includes are what Django would include now."""
        if not _is_same(self.chain, chain):
            return False
        return not _may_change(self._engine) or all(map(self._finds_again, self._inclusions))

    def _finds_again(self, inclusion: Inclusion) -> bool:
        template: Any = inclusion.chain.templates[0]
        is_whole = isinstance(template, Template)
        try:
            name = template.name if is_whole else f"{template.origin.template_name}#{template.name}"
            found = self._engine.get_template(name)
            return _is_same(inclusion.chain, resolve_chain(found, binding_context(found)))
        except (TemplateDoesNotExist, TemplateSyntaxError):
            return False

    @property
    def _engine(self) -> Engine:
        return self.chain.templates[0].engine

    @property
    def _name(self) -> str:
        origin = self.chain.templates[0].origin
        return str(getattr(origin, "template_name", None) or getattr(origin, "name", None) or "<template>")

    @property
    def _root(self) -> Template | None:
        return self.chain.templates[-1] if self.chain.extends else None

    @property
    def _invalid(self) -> str:
        invalid: str = self._engine.string_if_invalid
        return invalid

    @cached_property
    def items(self) -> list[Item]:
        return Lowering(self.chain, supers=self.supers).items()

    @cached_property
    def _items_within(self) -> set[Item]:
        return set(all_items(self.items))

    @cached_property
    def _inclusions(self) -> list[Inclusion]:
        """The templates that are inlined, each of them once."""
        found = {item.chain.templates[0]: item for item in self._items_within if isinstance(item, Inclusion)}
        return list(found.values())

    @property
    def report(self) -> Report:
        with _lock:
            return report_of(self.items, self._page_program())

    @cached_property
    def page(self) -> _Compiled:
        """The template as the root of a page."""
        return self._once("page", lambda: self._evaluate("page", self._page_program()))

    @cached_property
    def included(self) -> _Compiled:
        """The template as a fragment inside another one; unbalanced markup makes it one region."""
        return self._once("included", lambda: self._evaluate("included", self._included_program()))

    @cached_property
    def plain(self) -> _Compiled:
        """The template as a function that gives HTML without marks."""
        return self._once("plain", lambda: self._render("plain", self.items))

    @cached_property
    def observed(self) -> _Compiled:
        """As `plain`, with every include rendered by its own template."""
        lowering = Lowering(self.chain, inlines=False, supers=self.supers)
        return self._once("observed", lambda: self._render("observed", lowering.items()))

    def _once(self, name: str, compiled: Callable[[], _Compiled]) -> _Compiled:
        """The property `name`: threads that ask for it at the same time get the same."""
        with _lock:
            found: _Compiled | None = vars(self).get(name)
            if found is None:
                found = vars(self)[name] = compiled()
            return found

    def _page_program(self) -> Program:
        return fragments.page_program(markup.parse(self.items, (), self.loose), self._name)

    def _included_program(self) -> Program:
        return fragments.included_program(markup.parse(self.items, ("",), self.loose), self._name)

    def _render(self, kind: str, items: list[Item]) -> _Compiled:
        src = Source(self._names())
        write_render(src, items, self.chain, self._invalid)
        filename = f"<djust render {self._name} {next(_numbers)}>"
        compiled = _Compiled(src, "render", filename, self.templates, self._root)
        compiled.forgiven = _nodes_in_supers(items)
        if compiled.forgiven:
            compiled.run = partial(self._forgiving, kind, compiled, compiled.run)
        return compiled

    def _evaluate(self, kind: str, program: Program) -> _Compiled:
        src = Source(self._names())
        tracked = write_evaluate(src, program, self.chain, self._invalid, self.items)
        filename = f"<djust {kind} {self._name} {next(_numbers)}>"
        compiled = _Compiled(src, "evaluate", filename, self.templates, self._root, program, tracked)
        compiled.forgiven = _nodes_in_supers(self.items)
        return compiled

    @property
    def templates(self) -> list[Template]:
        """All templates that were compiled into this one."""
        chains = [self.chain, *(inclusion.chain for inclusion in self._inclusions)]
        return [template for chain in chains for template in chain.templates]

    def _names(self) -> dict[str, Any]:
        return {**runtime.NAMES, **_INCLUDES}


def _nodes_in_supers(items: list[Item]) -> set[Node]:
    """The nodes that inlined `{{ block.super }}` show."""
    supers = [item for item in all_items(items) if isinstance(item, Block) and item.is_super]
    lines = [getattr(inner, "line", None) for item in supers for inner in all_items([item])]
    return {line.node for line in lines if isinstance(line, Place)}


# What stands for an include of an object that is no template of Django's but can be rendered.
_FOREIGN = Fragment((Part(TEXT),), (0,), whole=True)

# Includes and inclusion tags: generated code calls these with what it has evaluated.


def included(context: Context, node: IncludeNode, found: Any) -> Any:
    """The template that an include names by `found`: a name, a list of names, a template, or a back end's template.

    As in Django, a template that was found by name is the same during a rendering.
    """
    cache: dict[Any, Any] = context.render_context.dicts[0]
    known = cache.get(node)
    if known is None:
        known = cache[node] = {}
    elif type(found) in _STRINGS and (template := known.get(found)) is not None:
        return template
    if callable(getattr(found, "render", None)):
        return getattr(found, "template", found)
    if isinstance(found or (), str):
        names: tuple[str, ...] = (construct_relative_path(cast(str, node.origin.template_name), found),)
    else:
        names = tuple(found or ())
    template = known.get(names)
    if template is None:
        template = known[names] = cast(Template, context.template).engine.select_template(names)  # type: ignore[arg-type]
    if type(found) in _STRINGS:
        known[found] = template
    return template


def include(
    context: Context, template: Template, values: dict[str, Any] | None = None, isolated: bool = False
) -> tuple[Fragment, Values]:
    """The fragment and values of an include whose template is known only now; without `values`, of a partial."""
    if values is None:
        return _inner(context, template)
    if isolated:
        return _inner(isolated_context(context, values), template)
    context.dicts.append(values)
    result = _inner(context, template)
    context.dicts.pop()
    return result


def include_html(context: Context, template: Any, values: dict[str, Any] | None = None, isolated: bool = False) -> str:
    """The output of an include whose template is known only now; without `values`, of a partial."""
    if values is None:
        return str(template.render(context))
    if isolated:
        return str(template.render(isolated_context(context, values)))
    context.dicts.append(values)
    html = template.render(context)
    context.dicts.pop()
    return html if type(html) is SafeString else str(html)


def include_tag(context: Context, node: InclusionNode, data: Any) -> tuple[Fragment, Values]:
    """The fragment and values of an `inclusion_tag` whose function returned `data`."""
    template, inner = _tag_template(context, node, data)
    return _inner(inner, template)


def include_tag_html(context: Context, node: InclusionNode, data: Any) -> str:
    """The output of an `inclusion_tag` whose function returned `data`."""
    template, inner = _tag_template(context, node, data)
    return template.render(inner)


def _inner(context: Context, template: Any) -> tuple[Fragment, Values]:
    if not hasattr(template, "nodelist"):
        return _FOREIGN, (source(str(template.render(context))),)
    with rendering(context, template):
        return compile_template(template).inner(context)


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
    inner = isolated_context(context, data)
    token = context.get("csrf_token")
    if token is not None:
        inner["csrf_token"] = token
    return template, inner


_INCLUDES: dict[str, Any] = {
    "included": included,
    "include": include,
    "include_html": include_html,
    "include_tag": include_tag,
    "include_tag_html": include_tag_html,
    "related": related,
}
