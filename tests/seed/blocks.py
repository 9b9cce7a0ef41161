"""The Python code blocks of the guide "Working with External Services", whose text lost its
indentation.

`blocks(text)` finds them: a block starts at a comment, an import or a class, and goes on as long as
the lines, indented again, are Python. A comment that names a file (`# views.py`) starts a new
block. No line is changed but for the white space before it.

Indentation is restored by the shape all these blocks share: classes at the left (but `Meta` in its
model), methods in classes, one statement in each `if`.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

GUIDE = Path(__file__).with_name("working-with-external-services.txt")
_start = re.compile(r"# |import |from \w[\w.]* import |class \w+\(")
_file = re.compile(r"# \w+\.py$")


def blocks(text: str) -> list[str]:
    """All blocks of Python in `text`, indented."""
    lines = text.splitlines()
    found, position = [], 0
    while position < len(lines):
        end = _end(lines, position) if _start.match(lines[position]) else position
        if end > position:
            found.append(indented(lines[position:end]))
        position = max(end, position + 1)
    return found


def _end(lines: list[str], start: int) -> int:
    """The end of the longest block that starts at `start`; `start` if there is none."""
    longest = start
    for end in range(start + 1, min(start + 60, len(lines)) + 1):
        if end > start + 1 and _file.match(lines[end - 1]):
            break
        if is_python(indented(lines[start:end])):
            longest = end
    return longest


def is_python(source: str) -> bool:
    try:
        return bool(ast.parse(source).body)
    except SyntaxError:
        return False


def indented(lines: list[str]) -> str:
    """`lines` with white space before them."""
    result = []
    in_class = in_meta = in_function = after_colon = False
    open_brackets = 0
    for line in lines:
        if open_brackets:
            depth = 4
        elif re.match(r"class Meta\b", line):
            depth, in_meta = 1, True
        elif re.match(r"class |import |from |# \w+\.py$", line):
            depth, in_class, in_meta, in_function = 0, line.startswith("class "), False, False
        elif re.match(r"def |async def |@", line):
            depth, in_function = int(in_class), not line.startswith("@")
        else:
            depth = int(in_class) + int(in_meta or in_function) + int(after_colon)
        result.append("    " * depth + line)
        open_brackets = max(0, open_brackets + _brackets(line))
        after_colon = line.startswith("if ") and line.endswith(":")
    return "\n".join(result) + "\n"


def _brackets(line: str) -> int:
    """Brackets opened less brackets closed."""
    balance = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(line).readline):
            balance += (token.string in "([{") - (token.string in ")]}") if token.type == tokenize.OP else 0
    except tokenize.TokenError:
        pass  # the end of a line inside brackets
    return balance
