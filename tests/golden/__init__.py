"""The Python that the templates of this folder are compiled to: `name.html` → `name.py.txt`.

`python -m tests.golden` writes the expected sources again, to be read in the diff.
"""

from __future__ import annotations

from pathlib import Path

from django.template import Engine

from djust.template import compile_template

FOLDER = Path(__file__).parent
# Templates that others extend or include have names that begin with "_".
NAMES = sorted(path.stem for path in FOLDER.glob("[a-z]*.html"))


def expected(name: str) -> Path:
    return FOLDER / f"{name}.py.txt"


def generated(name: str) -> str:
    """The source of both functions of a template, in an engine of its own."""
    engine = Engine(
        dirs=[str(FOLDER)],
        libraries={"i18n": "django.templatetags.i18n", "static": "django.templatetags.static"},
    )
    compiled = compile_template(engine.get_template(f"{name}.html"))
    return f"{compiled.source}\n\n{compiled.render_source}"
