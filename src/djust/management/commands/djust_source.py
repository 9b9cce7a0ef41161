"""`manage.py djust_source NAME`: the Python that a template is compiled to.

Without an option it is the function that live pages evaluate, with `--render` the one that renders
plain HTML. `--report` prints what the template consists of: parts by kind, native nodes, opaque
nodes with their lines.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template import TemplateDoesNotExist, TemplateSyntaxError, loader

from djust.template import CompiledTemplate, compile_template


class Command(BaseCommand):
    """Prints the source or the report of one template."""

    help = "Print the Python that a template is compiled to."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help='the template, as get_template() finds it: "polls/detail.html"')
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--report", action="store_true", help="parts by kind, native nodes, opaque nodes with lines")
        what.add_argument("--render", action="store_true", help="the function that renders plain HTML")

    def handle(self, *args: Any, name: str, report: bool, render: bool, **options: Any) -> None:
        compiled = _compiled(name)
        try:
            if report:
                output = f"{name}\n{compiled.report}"
            else:
                output = compiled.render_source if render else compiled.source
        except (TemplateDoesNotExist, TemplateSyntaxError) as error:
            raise CommandError(
                f'"{name}" cannot be compiled without data: {error} '
                "Only templates whose parents are named by literals can be printed."
            ) from error
        self.stdout.write(output, ending="" if output.endswith("\n") else None)


def _compiled(name: str) -> CompiledTemplate:
    try:
        template: Any = getattr(loader.get_template(name), "template", None)
    except TemplateDoesNotExist as error:
        tried = "".join(f"\n  {origin}: {why}" for one in [error, *error.chain] for origin, why in one.tried)
        raise CommandError(
            f'There is no template "{error}". Names are relative to the folders of TEMPLATES and to the "templates" '
            f"folders of apps.{tried and ' Tried:'}{tried}"
        ) from error
    except TemplateSyntaxError as error:
        # Django 6 puts the name of the file before it.
        message = getattr(error, "raw_error_message", error)
        raise CommandError(f'"{name}" is no valid template: {message}') from error
    if not hasattr(template, "nodelist"):
        raise CommandError(f'"{name}" is not written in Django\'s template language, and only that can be compiled.')
    return compile_template(template)
