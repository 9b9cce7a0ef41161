"""Python source while it is being written: lines, indentation, names of constants and temporaries.

src = Source(); src.line("def f(x):")
with src.indented(): src.line(f"return x + {src.constant(3)}")
src.function("f", "<template a.html>")(1)  ->  4
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import finalize

_LITERALS = (str, int, bool, type(None))
# Of other numbers, Python makes one object where a template has several, and `{% if a is b %}` tells them apart.
_SMALL = range(-5, 257)


class Source:
    """Lines of one generated module and the constants it refers to."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.lines: list[str] = []
        self.places: list[str] = []
        self.place = ""  # in the template, for the lines that are written now
        self.names = dict(names)
        self._indent = 0
        self._count = 0
        self._constants: dict[int, str] = {}

    def line(self, text: str) -> None:
        self.lines.append("    " * self._indent + text)
        self.places.append(self.place)

    @contextmanager
    def indented(self) -> Iterator[None]:
        self._indent += 1
        before = len(self.lines)
        yield
        if len(self.lines) == before:
            self.line("pass")
        self._indent -= 1

    def temporary(self, hint: str = "t") -> str:
        self._count += 1
        return f"{hint}{self._count}"

    def constant(self, value: Any) -> str:
        """An expression for `value`: its literal, or the name of a constant."""
        if type(value) in _LITERALS and (type(value) is not int or value in _SMALL):
            return repr(value)
        name = self._constants.get(id(value))
        if name is None:
            name = self._constants[id(value)] = f"K{len(self._constants)}"
            self.names[name] = value
        return name

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def function(self, name: str, filename: str) -> Callable[..., Any]:
        """Compile the source and return its function `name`; tracebacks and debuggers see the source."""
        text = self.text
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        namespace = dict(self.names)
        exec(compile(text, filename, "exec"), namespace)  # noqa: S102 - our own source
        function: Callable[..., Any] = namespace[name]
        finalize(function, linecache.cache.pop, filename, None).atexit = False
        return function
