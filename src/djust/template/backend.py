"""A template back end for `TEMPLATES` that renders Django's templates by compiled code.

    TEMPLATES = [{"BACKEND": "djust.template.backend.DjangoTemplates", "APP_DIRS": True}]

It takes the options of Django's own back end, whose classes do everything except the rendering.
Loaders create Django's `Template`; when the engine hands one out, it is given the class below,
which renders by `compile_template`.

`FORM_RENDERER = "djust.template.backend.FormRenderer"` renders forms and widgets in the same way;
"django.forms.renderers.TemplatesSetting" uses the back ends of `TEMPLATES`.

Django names a back end after its module: code that asks for `engines["django"]` wants `"NAME":
"django"` in the entry.
"""

from __future__ import annotations

import sys
from typing import Any

import django.forms.renderers
import django.template.backends.django
import django.template.base
import django.template.engine
from django.template import Context
from django.template.base import Origin
from django.template.loader_tags import BLOCK_CONTEXT_KEY
from django.utils.safestring import SafeString

from djust.template.cache import CompiledTemplate, compile_template


class Template(django.template.base.Template):
    """A template that renders by its compiled form, in live pages and elsewhere.

    If it is `uncompiled`, Django's nodes render it the first time. Most templates made from strings
    are used once, and compiling costs as much as five to twenty renderings.
    """

    uncompiled = False

    def render(self, context: Context) -> SafeString:
        first = context.template is None
        if self.uncompiled or (first and type(context) is not Context):
            return super().render(context)
        if first:  # as `Context.bind_template`, which a form would call for each of its widgets
            context.template, context.template_name = self, self.name
        state, template = context.render_context, context.render_context.template
        state.template = self
        state.dicts.append({})
        try:
            return _html(self, context)
        finally:
            state.template = template
            state.dicts.pop()
            if first:
                context.template = None

    def _render(self, context: Context) -> SafeString:
        if self.uncompiled:
            self.uncompiled = False
            html: SafeString = super()._render(context)  # type: ignore[misc] # the stubs lack it
            return html
        if BLOCK_CONTEXT_KEY in context.render_context:
            # A template of another engine extends this one, and Django's nodes are rendering its
            # blocks.
            return self.nodelist.render(context)
        return _html(self, context)


def _html(template: Any, context: Context) -> SafeString:
    compiled: CompiledTemplate | None = vars(template).get("_djust_compiled")
    if compiled is None or compiled.template is not template:
        compiled = compile_template(template)
    # Nearly always it is Django's own method, and this is called for each include.
    if _Base._render.__module__ == "django.template.base":
        return compiled.render(context)
    return _announced(compiled, context)


def _announced(compiled: CompiledTemplate, context: Context) -> SafeString:
    """As `compiled.render`, where Django's test utilities announce each template that is rendered.

    Their module is large and of no use outside of tests and debug toolbars, so it is not imported.
    """
    utils: Any = sys.modules.get("django.test.utils")
    if _Base._render is not getattr(utils, "instrumented_test_render", None):
        return compiled.render(context)

    def announce(shown: django.template.base.Template) -> None:
        utils.template_rendered.send(sender=shown, template=shown, context=context)

    return compiled.render_instrumented(context, announce)


_Base: Any = django.template.base.Template

# Since version 6, Django has templates that are parts of others.
PartialTemplate: Any = getattr(django.template.base, "PartialTemplate", None)
_Partial = PartialTemplate and type("PartialTemplate", (PartialTemplate,), {"_render": _html})


class Engine(django.template.engine.Engine):
    """Django's engine; its templates are those above."""

    def from_string(self, template_code: str) -> Template:
        template = Template(template_code, engine=self)
        template.uncompiled = True
        return template

    def find_template(self, name: str, dirs: Any = None, skip: list[Origin] | None = None) -> tuple[Any, Origin]:
        template, origin = super().find_template(name, dirs, skip)
        return _adopted(template), origin


class DjangoTemplates(django.template.backends.django.DjangoTemplates):
    """Django's back end with compiled templates."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__(params)
        # Another class for the engine that was just made, instead of a copy of how Django makes it.
        self.engine.__class__ = Engine


class FormRenderer(django.forms.renderers.DjangoTemplates):
    """Django's form renderer with compiled templates, for the setting FORM_RENDERER."""

    backend = DjangoTemplates


def _adopted(template: Any) -> Any:
    """`template`, which renders by its compiled form from now on.

    It stays the same object, because loaders cache it. Templates of other classes than Django's own
    stay as they are.
    """
    if type(template) is django.template.base.Template:
        template.__class__ = Template
        for part in getattr(template, "extra_data", {}).get("partials", {}).values():
            if type(part) is PartialTemplate:
                part.__class__ = _Partial
                part.engine, part.source_of_all = template.engine, template.source
    return template
