"""Django's expressions as Python: variables, filters, conditions.

    {{ user.name|upper }}   has the value   K0(looked_up(context, ('user', 'name')))

Each is one Python expression, which stands where its value is used, so that it is evaluated once
and in Django's order. Few long lines are compiled several times faster than many short ones.

In loops a dictionary is asked without a call. There, with `i1` a local of the generated function,
`{{ row.name }}` is

    escaped(t) if type(i1) is dict and type(t := i1.get('name')) in plain else as_html(…)

The name `t` holds a value within such an expression, `v` that of a filter's input, `w` what the
first of many filters gave; nothing is kept in them.
"""

from __future__ import annotations

from typing import Any, cast

from django.template.base import FilterExpression, Variable
from django.template.defaulttags import TemplateLiteral
from django.template.smartif import TokenBase
from django.utils.safestring import mark_safe

from djust.template.codegen.source import PythonSource
from djust.template.context import Names

# What a loop's `forloop` always has.
_COUNTERS = frozenset({"counter", "counter0", "revcounter", "revcounter0", "first", "last"})
# How many filters are nested calls.
_CALLS = 20


def is_native(expression: FilterExpression) -> bool:
    """Whether we can write `expression` as Python: all of it is of Django's own classes."""
    if type(expression) is not FilterExpression:
        return False
    if expression.is_var and not _native_variable(expression.var):
        return False
    return all(_native_variable(arg) for _, args in expression.filters for lookup, arg in args if lookup)


def _native_variable(variable: Any) -> bool:
    return type(variable) is Variable and not variable.translate


def leaves(condition: Any) -> list[FilterExpression]:
    """The expressions in a condition of `{% if %}`."""
    if isinstance(condition, TemplateLiteral):
        return [cast(FilterExpression, condition.value)]
    if not isinstance(condition, TokenBase):
        return [condition]  # an operator of another package: it is not native
    operands = [operand for operand in (condition.first, condition.second) if operand is not None]
    return [leaf for operand in operands for leaf in leaves(operand)]


def is_direct(condition: Any) -> bool:
    """Whether a condition of `{% if %}` is written without statements before it."""
    return isinstance(condition, TemplateLiteral) and not leaves(condition)[0].filters


class ExpressionWriter:
    """Writes expressions, conditions into `src`. `invalid`: the engine's `string_if_invalid`."""

    def __init__(self, src: PythonSource, invalid: str) -> None:
        self.src = src
        self.invalid = invalid

    def value(self, names: Names, expression: FilterExpression, *, ignore_failures: bool = False) -> str:
        """The Python expression of the value of `expression`."""
        variable = expression.var
        if not expression.is_var:
            code = self.src.constant(variable)
        elif variable.lookups is None:
            code = self.src.constant(variable.literal)
        else:
            missing = "None" if ignore_failures else repr(self._missing(variable))
            if self.invalid and expression.filters and not ignore_failures:
                # A missing name shows `string_if_invalid` without any filter.
                found = f"(t := {self._lookup(names, variable, 'MISSING')})"
                return f"({missing} if {found} is MISSING else {self._filters(names, expression, 't')})"
            code = self._variable(names, variable, missing)
        return self._filters(names, expression, code) if expression.filters else code

    def shown(self, names: Names, expression: FilterExpression) -> tuple[str, str, str]:
        """What `{{ expression }}` shows: a condition, the value if it holds, and otherwise.

        The condition says that the value is text already; it is empty where that is not worth
        asking.
        """
        is_lookup = expression.is_var and expression.var.lookups and not expression.filters
        guard = self._guard(names, expression.var, "plain") if is_lookup else None
        if guard is None:
            return "", "", self.value(names, expression)
        return *guard, self._lookup(names, expression.var, repr(self._missing(expression.var)))

    def _missing(self, variable: Variable) -> str:
        return self.invalid % variable if "%s" in self.invalid else self.invalid

    def _variable(self, names: Names, variable: Variable, missing: str) -> str:
        code, guard = self._lookup(names, variable, missing), self._guard(names, variable, "PLAIN")
        return code if guard is None else f"({guard[1]} if {guard[0]} else {code})"

    def _lookup(self, names: Names, variable: Variable, missing: str) -> str:
        """A lookup without a condition: in most cases, a call."""
        if (counter := _counter(names, variable)) is not None:
            return counter
        bits = cast("tuple[str, ...]", variable.lookups)
        local, instead = names.local.get(bits[0]), f", {missing}" if missing != "''" or self.invalid else ""
        if self.invalid:
            instead += f", {self.invalid!r}"
        if local is None:
            return f"looked_up({names.context}, {bits!r}{instead})"
        return f"followed({names.context}, {local}, {bits[1:]!r}{instead})"

    def _guard(self, names: Names, variable: Variable, types: str) -> tuple[str, str] | None:
        """A condition that dictionaries lead to `variable`, with a type in `types`; its value then.

        Only in loops, where speed counts for more than length.
        """
        first, *bits = cast("tuple[str, ...]", variable.lookups)
        holder = names.local.get(first)
        if holder is None or not names.repeated:
            return None
        if not bits:
            return f"type({holder}) in {types}", holder
        if (counter := _counter(names, variable)) is not None:
            return (f"type(t := {counter}) in {types}", "t") if types == "plain" else None
        *between, last = bits
        conditions = [f"type({holder}) is dict"]
        for bit in between:
            conditions.append(f"type(t := {holder}.get({bit!r})) is dict")
            holder = "t"
        if types == "PLAIN":  # None, too, may be a value, so `get` does not tell whether it is there
            conditions.append(f"{last!r} in {holder} and type(t := {holder}[{last!r}]) in PLAIN")
        else:
            conditions.append(f"type(t := {holder}.get({last!r})) in {types}")
        return " and ".join(conditions), "t"

    def _filters(self, names: Names, expression: FilterExpression, code: str) -> str:
        steps: list[str] = []
        for count, (function, args) in enumerate(expression.filters, 1):
            if count % _CALLS == 0:
                steps.append(f"w := {code}")
                code = "w"
            if getattr(function, "expects_localtime", False):
                code = f"template_localtime({code}, {names.context}.use_tz)"
            arguments = [self._argument(names, *arg) for arg in args]
            if getattr(function, "needs_autoescape", False):
                arguments.append(f"autoescape={names.context}.autoescape")
            safe = getattr(function, "is_safe", False)
            arguments.insert(0, f"v := {code}" if safe else code)
            called = f"{self.src.constant(function)}({', '.join(arguments)})"
            code = f"kept_safe({called}, v)" if safe else called
        return f"({', '.join([*steps, code])})[-1]" if steps else code

    def _argument(self, names: Names, is_variable: bool, arg: Any) -> str:
        if not is_variable:
            return self.src.constant(mark_safe(arg))  # noqa: S308 - a literal of the template's author
        return self.src.constant(arg.literal) if arg.lookups is None else self._variable(names, arg, "REQUIRED")

    # Conditions

    def condition(self, names: Names, condition: Any) -> str:
        """Write a condition of `{% if %}`; returns the Python expression that holds its value."""
        if not isinstance(condition, TemplateLiteral):
            return self._operator(names, condition, self.src.temporary("c"))
        value = self._inline(names, condition)
        if is_direct(condition):
            return value
        result = self.src.temporary("c")
        self.src.line(f"try: {result} = {value}")
        self.src.line(f"except VariableDoesNotExist: {result} = None")
        return result

    def _operator(self, names: Names, condition: Any, result: str) -> str:
        """Write an operator. Those of Django's `if` never raise: what cannot be compared is false.

        So is what cannot be evaluated in the operators inside; they need no `try` of their own
        where it makes no difference which of them was false.
        """
        src, operator = self.src, condition.id
        second = condition.second
        if _is_simple(condition.first, operator, is_first=True):
            first = self._inline(names, condition.first, operator)
        else:
            first = self._operator(names, condition.first, result)
        if second is None or _is_simple(second, operator, is_first=False):
            src.line(f"try: {result} = {self._joined(names, operator, first, second)}")
            src.line(f"except Exception: {result} = False")
            return result
        src.line("try:")
        with src.indented():
            src.line(f"{result} = {first}")
            if operator in ("and", "or"):
                src.line(f"if {'not ' * (operator == 'or')}{result}:")
                with src.indented():
                    self._operator(names, second, result)
            else:
                src.line(f"{result} = {result} {operator} {self._operator(names, second, src.temporary('c'))}")
        src.line(f"except Exception: {result} = False")
        return result

    def _joined(self, names: Names, operator: str, first: str, second: Any) -> str:
        return f"not {first}" if second is None else f"{first} {operator} {self._inline(names, second, operator)}"

    def _inline(self, names: Names, condition: Any, outer: str = "") -> str:
        """A condition that is one Python expression."""
        if not isinstance(condition, TemplateLiteral):
            first = self._inline(names, condition.first, condition.id)
            if condition.id in ("and", "or") and getattr(condition.first, "id", "") == condition.id:
                first = first[1:-1]  # of many, each would be in one more pair of parentheses
            return f"({self._joined(names, condition.id, first, condition.second)})"
        code = self.value(names, leaves(condition)[0], ignore_failures=True)
        # Python warns about `is` beside a literal.
        return f"(t := {code})" if outer in ("is", "is not") else code


def _counter(names: Names, variable: Variable) -> str | None:
    """`forloop.counter` and the like where `forloop` is ours, and a local."""
    match variable.lookups:
        case ("forloop", name) if name in _COUNTERS and names.local.get("forloop", "").startswith("loop"):
            return f"{names.local['forloop']}[{name!r}]"
    return None


def _is_simple(condition: Any, outer: str, *, is_first: bool) -> bool:
    """Whether an operand needs no `try`: if it raises, `outer` is false as if it were false."""
    if isinstance(condition, TemplateLiteral):
        return True
    if outer != "and" and not (outer == "or" and not is_first):
        return False
    operands = [(condition.first, True), (condition.second, False)]
    return all(operand is None or _is_simple(operand, condition.id, is_first=first) for operand, first in operands)
