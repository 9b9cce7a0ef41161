"""Compiled templates, one per Django template, made on first use and shared by threads.

A template has a *variant* for each chain of parents it has been rendered with; most have one. Its
parents and the templates it includes by literal names are inlined in it. As long as every loader of
the engine caches, another look-up finds the same objects, so outside of debug mode a variant is
kept. In debug mode, the autoreloader resets loaders, and other loaders read files again. There,
parents and includes are looked up for each rendering, as in Django. A variant is used again only if
this finds the same templates, or templates of the same origin and source.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any

from django.template import Context, Engine, TemplateDoesNotExist, TemplateSyntaxError
from django.template.base import Node as DjangoNode
from django.template.base import Template, VariableDoesNotExist
from django.template.loaders.cached import Loader as CachedLoader
from django.utils.safestring import SafeString

from djust import process
from djust.render.values import Fragment, Values
from djust.template import includes, runtime
from djust.template.compiler import Generated, Kind, Lowered, build_program, generate
from djust.template.context import Checkpoint
from djust.template.debug import Location, explain, location_of
from djust.template.inheritance import Chain, binding_context, is_static_chain, resolve_chain
from djust.template.markup import UnbalancedError
from djust.template.nodes import NO_NAMES, Node, all_nodes
from djust.template.optimize.prefetch import related
from djust.template.report import Report, report_of

# How many variants a template keeps. There are several if its parents are named by data, or if
# files change in debug mode.
MAX_VARIANTS = 16
# For how many sources an engine keeps the variants whose templates may be read again.
MAX_SOURCES = 256

_lock = process.Lock()
_numbers = itertools.count(1)


def compile_template(template: Template) -> CompiledTemplate:
    """The compiled form of a `django.template.Template` (not of a back end's wrapper); cached.

    The template itself holds it, so that both end together; a copy of a template gets one of its
    own.
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
    """What compiling a template gives; threads may call `evaluate` and `render` at once."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self._only: _Variant | None = None
        self._variants = _variants_of(template)
        self._tracked: frozenset[str] = NO_NAMES

    def evaluate(
        self,
        context: Context,
        last: tuple[Fragment, Values] | None = None,
        same: AbstractSet[str] = NO_NAMES,
    ) -> tuple[Fragment, Values]:
        """The root fragment and the values of its parts; `context` is bound (`context.rendering`).

        `last` is what the last call gave for this page, `same` the names of the context whose
        values are certainly those of that time: parts that depend on nothing else are not evaluated
        again.
        """
        variant = self._only or self._variant(context)
        result = variant.evaluate("page", context, last, same)
        self._tracked |= variant.functions["page"].tracked
        return result

    @property
    def tracked(self) -> frozenset[str]:
        """The names that decide which parts are skipped, for `same`. The set only grows."""
        return self._tracked

    def render(self, context: Context) -> SafeString:
        """The HTML that Django's own engine gives, without marks."""
        if context.template is None:
            with context.render_context.push_state(self.template), context.bind_template(self.template):
                context.template_name = self.template.name
                return self.render(context)
        html: SafeString = (self._only or self._variant(context)).functions["render"].run(context)
        return html

    def render_instrumented(self, context: Context, observe: Callable[[Template], None]) -> SafeString:
        """As `render`, after calling `observe` with the template and each of its parents.

        Included templates are rendered by `Template.render` in a context that holds all names, as
        in Django.
        """
        observe(self.template)
        variant = self._variant(context)
        for parent in variant.chain.templates[1:]:
            observe(parent)
        html: SafeString = variant.functions["instrumented"].run(context)
        return html

    def inner(self, context: Context) -> tuple[Fragment, Values]:
        """As `evaluate`, for a template that is included in another."""
        return (self._only or self._variant(context)).evaluate("included", context)

    @property
    def source(self) -> str:
        """The generated Python of `evaluate`."""
        return self._first.functions["page"].source

    @property
    def render_source(self) -> str:
        """The generated Python of `render`."""
        return self._first.functions["render"].source

    @property
    def nodes(self) -> list[Node]:
        """What the template is made of, parents and literal includes resolved."""
        return self._first.lowered.nodes

    @property
    def templates(self) -> list[Template]:
        """The template, its parents, and the templates that they include by literal names."""
        return self._first.lowered.templates

    @property
    def report(self) -> Report:
        """What the template consists of: parts by kind, native and opaque nodes."""
        with _lock:
            first = self._first
            return report_of(first.lowered.nodes, build_program("page", first.lowered, first.unbalanced))

    @property
    def _first(self) -> _Variant:
        """The variant that an empty context leads to."""
        return self._variant(binding_context(self.template))

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


class _Variant:
    """One chain of templates, compiled on demand.

    It is compiled again with what a rendering has found out: `unbalanced` are the nodes whose
    output opens or closes elements, with the ancestors that it closes; `{{ block.super }}` is not
    inlined any more when one has raised an error that stands for a value.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.unbalanced: dict[Node, frozenset[int]] = {}
        self.functions = _Functions(self._compile)
        self._lowered: Lowered | None = None
        self._inline_super = True

    @property
    def lowered(self) -> Lowered:
        with _lock:
            if self._lowered is None:
                self._lowered = Lowered(self.chain, inline_super=self._inline_super)
            return self._lowered

    def evaluate(
        self,
        kind: Kind,
        context: Context,
        last: tuple[Fragment, Values] | None = None,
        same: AbstractSet[str] = NO_NAMES,
    ) -> tuple[Fragment, Values]:
        """The fragment and values of the template, compiled so that every region is balanced."""
        start = Checkpoint(context)
        while True:
            function = self.functions[kind]
            fragment = function.fragment
            assert fragment is not None, "a page and what is included have values"
            try:
                if last is not None and last[0] is fragment:
                    return fragment, function.run(context, last[1], same)
                return fragment, function.run(context)
            except UnbalancedError as error:
                self._note_unbalanced(error, kind, function)
            except Exception as error:  # noqa: BLE001 - raised again unless it stands for a value
                self._inline_no_super(error, function)
            start.restore()

    def _compile(self, kind: Kind) -> CompiledFunction:
        function = CompiledFunction(kind, self.lowered, generate(kind, self.lowered, self.unbalanced, NAMES))
        if function.silent_super_tags and kind in ("render", "instrumented"):
            function.run = partial(self._render, kind, function, function.run)
        return function

    def _render(self, kind: Kind, function: CompiledFunction, run: Callable[..., Any], context: Context) -> Any:
        """What `run` of `function` renders, without inlined supers if one fails silently."""
        start = Checkpoint(context)
        try:
            return run(context)
        except Exception as error:  # noqa: BLE001 - raised again unless it stands for a value
            self._inline_no_super(error, function)
        start.restore()
        return self.functions[kind].run(context)

    def _note_unbalanced(self, error: UnbalancedError, kind: Kind, function: CompiledFunction) -> None:
        """Compile with a region around the node of `error`; raises it if that is so already."""
        with _lock:
            if self.functions.get(kind) is not function:
                return  # another thread has found it out meanwhile
            known = self.unbalanced.get(error.node)
            is_known = known is not None and error.closed_ancestors <= known
            if is_known or error.node not in all_nodes(self.lowered.nodes):
                raise error
            self.unbalanced[error.node] = error.closed_ancestors | (known or frozenset())
            self.functions.pop("page", None)
            self.functions.pop("included", None)

    def _inline_no_super(self, error: Exception, function: CompiledFunction) -> None:
        """Inline no `{{ block.super }}` if one raised `error`; any other error is raised again.

        For Django, `{{ block.super }}` is a variable, whose lookup may fail silently.
        """
        silent = isinstance(error, VariableDoesNotExist) or getattr(error, "silent_variable_failure", False)
        if not silent or function.tag_of(error) not in function.silent_super_tags:
            raise error
        with _lock:
            self._inline_super, self._lowered = False, None
            self.functions.clear()

    def is_current(self, chain: Chain) -> bool:
        """Whether this is for `chain`, and includes what Django would include now."""
        if not _is_same(self.chain, chain):
            return False
        return not _may_change(chain.templates[0].engine) or all(map(_finds_again, self.lowered.inclusions))


class CompiledFunction:
    """One generated function, whose errors name the place in the template where they happened."""

    def __init__(self, kind: Kind, lowered: Lowered, generated: Generated) -> None:
        src, nodes, self.fragment, self.tracked = generated
        chain = lowered.chain
        self.source = src.text
        self._filename = f"<djust {kind} {chain.name} {next(_numbers)}>"
        self._function = src.function("render" if self.fragment is None else "evaluate", self._filename)
        self._locations, self._templates = src.locations, lowered.templates
        extends = any(one.extends for one in (chain, *lowered.inclusions))
        self.silent_super_tags = _tags_in_supers(nodes) if extends else set()
        self._root = chain.templates[-1]  # which is what renders
        self.run: Callable[..., Any] = self._run_child if chain.extends else self._run

    def tag_of(self, error: Exception) -> DjangoNode | None:
        """The tag whose code has raised `error`."""
        location = location_of(error, self._filename, self._locations)
        return None if location is None else location.tag

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
            explained = explain(error, self._filename, self._locations, self._templates)
            if explained is not error:
                raise explained from None
            raise


def _tags_in_supers(nodes: list[Node]) -> set[DjangoNode]:
    """The tags that inlined `{{ block.super }}` show, where some errors stand for a value."""
    supers = [node for node in all_nodes(nodes) if node.is_super]
    locations = [inner.location for node in supers for inner in all_nodes([node])]
    return {location.tag for location in locations if isinstance(location, Location)}


class _Functions(dict[Kind, CompiledFunction]):
    """The functions of a variant, compiled when first asked for; all threads get the same."""

    def __init__(self, compiled: Callable[[Kind], CompiledFunction]) -> None:
        super().__init__()
        self._compiled = compiled

    def __missing__(self, kind: Kind) -> CompiledFunction:
        with _lock:
            if kind not in self:
                self[kind] = self._compiled(kind)
            return self[kind]


def _variants_of(template: Template) -> list[_Variant]:
    """The variants of `template`, shared with others that were read from the same source.

    A loader that does not cache makes a new template each time; the engine keeps what was compiled
    for the last ones.
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
    """Whether another look-up of a template may find another one."""
    return engine.debug or not all(isinstance(loader, CachedLoader) for loader in engine.template_loaders)


def _finds_again(chain: Chain) -> bool:
    """Whether Django would include the templates of `chain` now."""
    template: Any = chain.templates[0]
    try:
        name = template.name
        if not isinstance(template, Template):  # but a partial
            name = f"{template.origin.template_name}#{name}"
        found = template.engine.get_template(name)
        return _is_same(chain, resolve_chain(found, binding_context(found)))
    except (TemplateDoesNotExist, TemplateSyntaxError):
        return False


def _is_same(chain: Chain, other: Chain) -> bool:
    """Whether two chains have the same templates, or templates of the same origin and source."""
    return len(chain.templates) == len(other.templates) and all(
        a is b or (a.engine is b.engine and a.origin == b.origin and _source(a) == _source(b))
        for a, b in zip(chain.templates, other.templates, strict=True)
    )


def _source(template: Any) -> tuple[Any, ...]:
    """By what templates of one origin are compared: a partial depends on all of its template.

    The back end notes that for partials; without it, each is equal to itself only.
    """
    if isinstance(template, Template):
        return (template.source,)
    return template.name, vars(template).get("source_of_all", template)


# What generated code refers to. The attributes that describe a module are not among it: Django's
# error page would take the source of that module for the generated one.
NAMES = {
    **{name: value for name, value in vars(runtime).items() if name[:2] != "__"},
    **includes.names(lambda context, template: compile_template(template).inner(context)),
    "related": related,
}
