"""Python source while it is being written: lines, indentation, names of constants and temporaries.

src = PythonSource(); src.line("def f(x):")
with src.indented(): src.line(f"return x + {src.constant(3)}")
src.function("f", "<template a.html>")(1)  ->  4
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from typing import Any
from weakref import finalize

_LITERALS = (str, int, bool, type(None))
# Python makes one object of equal numbers that are not in here, where a template has several, and
# `{% if a is b %}` shows the difference.
_SMALL = range(-5, 257)


class PythonSource:
    """Lines of one generated module and the constants it refers to."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.lines: list[str] = []
        self.locations: list[str] = []
        self.location = ""  # in the template, for the lines that are written now
        self.names = dict(names)
        self._indent = ""
        self._starts: list[int] = []  # the first lines of the blocks we are in
        self._list = ""
        self._entries: list[tuple[str, str]] = []  # what is to be appended to that list, and its location; comments
        self._tentative: list[tuple[int, int]] = []  # lines, and from where on they matter
        self._count = 0
        self._constants: dict[int, str] = {}

    def line(self, text: str) -> None:
        self._extend()
        self.lines.append(self._indent + text)
        self.locations.append(self.location)

    def tentative(self, text: str) -> None:
        """A line that `drop_unused` takes away if nothing uses its result."""
        loops = (start for start in self._starts if self.lines[start - 1].lstrip().startswith("for "))
        self.line(text)
        written = len(self.lines) - 1
        self._tentative.append((written, next(loops, written)))

    def drop_unused(self, name: str) -> None:
        """Take away tentative lines after which (and around which, in a loop) none uses `name`."""
        tentative = {line for line, _ in self._tentative}
        used = [at for at, line in enumerate(self.lines) if at not in tentative and name in line]
        for line, start in reversed(self._tentative):
            if not used or used[-1] < start:
                del self.lines[line], self.locations[line]

    def comment(self, location: str) -> None:
        """Say to which location in the template the next lines belong."""
        if location != self.location:
            if self._entries:
                self._entries.append((f"# {location}", location))
            else:
                self.line(f"# {location}")
        self.location = location

    def append(self, target: str, code: str) -> None:
        """Append the value of `code` to the list `target`, in one statement with its neighbours."""
        if target != self._list:
            self._extend()
        self._list = target
        self._entries.append((code, self.location))

    def _extend(self) -> None:
        """Write the statement of `append`, a line per value, so that errors have a location."""
        if not self._entries:
            return
        entries, self._entries = self._entries, []
        notes = [entries.pop()] if entries[-1][0].startswith("# ") else []
        if len(entries) == 1:
            written = [(f"{self._list}.append({entries[0][0]})", entries[0][1])]
        else:
            values = [
                (f"    {code}" if code.startswith("# ") else f"    {code},", location) for code, location in entries
            ]
            written = [(f"{self._list} += (", entries[0][1]), *values, (")", entries[-1][1])]
        for text, location in [*written, *notes]:
            self.lines.append(self._indent + text)
            self.locations.append(location)

    def indented(self) -> PythonSource:
        """While it is entered, what is written is indented; it is at least `pass`."""
        return self

    def __enter__(self) -> None:
        self._extend()
        self._indent += "    "
        self._starts.append(len(self.lines))

    def __exit__(self, *error: object) -> None:
        self._extend()
        if self._starts.pop() == len(self.lines):
            self.line("pass")
        self._indent = self._indent[4:]

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
        return "\n".join(self.lines) + "\n"  # the last one is a `return`, so that nothing is pending

    def function(self, name: str, filename: str) -> Callable[..., Any]:
        """Compile the source; returns its function `name`. Tracebacks see the source."""
        text = self.text
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        namespace = dict(self.names)
        exec(compile(text, filename, "exec"), namespace)  # noqa: S102 - our own source
        function: Callable[..., Any] = namespace[name]
        finalize(function, linecache.cache.pop, filename, None).atexit = False
        return function
