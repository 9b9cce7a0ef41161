"""Django's expressions as Python: variables, filters, conditions.

    {{ user.name|upper }}   becomes   t1 = looked_up(context, ('user', 'name'), '', '')
                                      t2 = K0(t1)

In loops speed counts for more than length: there, with `row` a local of the generated function, `{{ row.name }}` is

    try:
        t1 = row
        if type(t1) not in PLAIN: t1 = called(context, t1)
        t1 = t1['name'] if type(t1) is dict and 'name' in t1 else step(context, t1, 'name')
        if type(t1) not in PLAIN: t1 = called(context, t1)
    except VariableDoesNotExist:
        t1 = ''
    except Exception as error:
        if not getattr(error, 'silent_variable_failure', False): raise
        t1 = ''

The inlined dictionary lookup and the test for plain types make a lookup 3 times faster than a call.
"""

from __future__ import annotations

from typing import Any, cast

from django.template.base import FilterExpression, Variable
from django.template.defaulttags import TemplateLiteral
from django.utils.safestring import mark_safe

from djust.template.scope import Names
from djust.template.source import Source


def is_native(expression: FilterExpression) -> bool:
    """Whether we can write `expression` as Python: nothing in it is a subclass of Django's own classes."""
    if type(expression) is not FilterExpression:
        return False
    if expression.is_var and not _native_variable(expression.var):
        return False
    return all(_native_variable(arg) for _, args in expression.filters for lookup, arg in args if lookup)


def _native_variable(variable: Any) -> bool:
    return type(variable) is Variable and not variable.translate


def reads(expression: FilterExpression) -> set[str]:
    """The first names of the variables in `expression`."""
    variables = [arg for _, args in expression.filters for lookup, arg in args if lookup]
    if expression.is_var:
        variables.append(expression.var)
    return {v.lookups[0] for v in variables if isinstance(v, Variable) and v.lookups}


def leaves(condition: Any) -> list[FilterExpression]:
    """The expressions in a condition of `{% if %}`."""
    if isinstance(condition, TemplateLiteral):
        return [cast(FilterExpression, condition.value)]
    operands = [operand for operand in (condition.first, condition.second) if operand is not None]
    return [leaf for operand in operands for leaf in leaves(operand)]


def changed_by(node: Any) -> list[FilterExpression]:
    """The expressions that `{% ifchanged %}` compares; none if it compares its output."""
    return list(node._varlist)


class Expressions:
    """Writes expressions into `src`. `invalid` is the engine's `string_if_invalid`."""

    def __init__(self, src: Source, invalid: str) -> None:
        self.src = src
        self.invalid = invalid

    def value(self, names: Names, expression: FilterExpression, *, ignore_failures: bool = False) -> str:
        """Write `expression`; returns the Python expression that holds its value."""
        if not expression.is_var:
            result = self.src.constant(expression.var)
            return self._filters(names, expression, result) if expression.filters else result
        if expression.var.lookups is None:
            return self._filters(names, expression, self.src.constant(expression.var.literal))
        result = self.src.temporary()
        skips = bool(self.invalid and expression.filters and not ignore_failures)
        if not skips and not names.repeated:
            self._called_lookup(
                names, expression.var, result, None if ignore_failures else self._missing(expression.var)
            )
            return self._filters(names, expression, result)
        if skips:
            self.src.line(f"{result}_missing = False")
        self._guarded(names, expression.var, result)
        self.src.line("except VariableDoesNotExist:")
        with self.src.indented():
            missing = None if ignore_failures else self._missing(expression.var)
            self.src.line(f"{result} = {missing!r}")
            if skips:
                self.src.line(f"{result}_missing = True")
        self._silenced(result)
        if not expression.filters:
            return result
        if not skips:
            return self._filters(names, expression, result)
        # A missing name shows `string_if_invalid` without any filter.
        self.src.line(f"if not {result}_missing:")
        with self.src.indented():
            self.src.line(f"{result} = {self._filters(names, expression, result)}")
        return result

    def _called_lookup(self, names: Names, variable: Variable, result: str, missing: str | None) -> None:
        """Write a lookup as one call: a tenth of the code, which Python need not compile."""
        first, *rest = variable.lookups or ()
        local, context = names.local.get(first), names.context
        fallbacks = f"{missing!r}, {self.invalid!r}"
        if local is None:
            self.src.line(f"{result} = looked_up({context}, {tuple(variable.lookups or ())!r}, {fallbacks})")
        else:
            self.src.line(f"{result} = followed({context}, {local}, {tuple(rest)!r}, {fallbacks})")

    def _missing(self, variable: Variable) -> str:
        return self.invalid % variable if "%s" in self.invalid else self.invalid

    def _guarded(self, names: Names, variable: Variable, result: str) -> None:
        self.src.line("try:")
        with self.src.indented():
            self._lookup(names, variable, result)

    def _silenced(self, result: str) -> None:
        self.src.line("except Exception as error:")
        with self.src.indented():
            self.src.line("if not getattr(error, 'silent_variable_failure', False): raise")
            self.src.line(f"{result} = {self.invalid!r}")

    def _lookup(self, names: Names, variable: Variable, result: str) -> None:
        """Write the lookups of `variable`; the code may raise VariableDoesNotExist."""
        src, context = self.src, names.context
        first, *rest = variable.lookups or ()
        local = names.local.get(first)
        if local is None:
            src.line(f"{result} = name({context}, {first!r})")
        else:
            src.line(f"{result} = {local}")
            src.line(f"if type({result}) not in PLAIN: {result} = called({context}, {result})")
        for bit in rest:
            found = f"{result}[{bit!r}] if type({result}) is dict and {bit!r} in {result}"
            src.line(f"{result} = {found} else step({context}, {result}, {bit!r})")
            src.line(f"if type({result}) not in PLAIN: {result} = called({context}, {result})")

    def _filters(self, names: Names, expression: FilterExpression, result: str) -> str:
        for function, args in expression.filters:
            result = self._filter(names, function, args, result)
        return result

    def _filter(self, names: Names, function: Any, args: list[tuple[bool, Any]], value: str) -> str:
        src = self.src
        arguments = [self._argument(names, *arg) for arg in args]
        if getattr(function, "expects_localtime", False):
            localized = src.temporary()
            src.line(f"{localized} = template_localtime({value}, {names.context}.use_tz)")
            value = localized
        if getattr(function, "needs_autoescape", False):
            arguments.append(f"autoescape={names.context}.autoescape")
        result = src.temporary()
        src.line(f"{result} = {src.constant(function)}({', '.join([value, *arguments])})")
        if getattr(function, "is_safe", False):
            src.line(f"if isinstance({value}, SafeData): {result} = mark_safe({result})")
        return result

    def _argument(self, names: Names, is_variable: bool, arg: Any) -> str:
        if not is_variable:
            return self.src.constant(mark_safe(arg))  # noqa: S308 - a literal of the template's author
        if arg.lookups is None:
            return self.src.constant(arg.literal)
        result = self.src.temporary()
        self._guarded(names, arg, result)
        self.src.line("except VariableDoesNotExist: raise")
        self._silenced(result)
        return result

    # Conditions

    def condition(self, names: Names, condition: Any) -> str:
        """Write a condition of `{% if %}`; returns the Python expression that holds its value."""
        if isinstance(condition, TemplateLiteral) and not leaves(condition)[0].filters:
            return self._operand(names, condition)
        result = self.src.temporary("c")
        self.src.line("try:")
        with self.src.indented():
            self.src.line(f"{result} = {self._operand(names, condition)}")
        self.src.line("except VariableDoesNotExist:")
        with self.src.indented():
            self.src.line(f"{result} = None")
        return result

    def _operand(self, names: Names, condition: Any) -> str:
        if isinstance(condition, TemplateLiteral):
            return self.value(names, leaves(condition)[0], ignore_failures=True)
        result = self.src.temporary("c")
        # Operators of Django's `if` never raise: what cannot be compared is false.
        self.src.line("try:")
        with self.src.indented():
            self._operator(names, condition, result)
        self.src.line("except Exception:")
        with self.src.indented():
            self.src.line(f"{result} = False")
        return result

    def _operator(self, names: Names, condition: Any, result: str) -> None:
        src, operator = self.src, condition.id
        first = self._operand(names, condition.first)
        if operator == "not":
            src.line(f"{result} = not {first}")
        elif operator in ("and", "or"):
            src.line(f"{result} = {first}")
            src.line(f"if {result}:" if operator == "and" else f"if not {result}:")
            with src.indented():
                src.line(f"{result} = {self._operand(names, condition.second)}")
        else:
            second = self._operand(names, condition.second)
            if operator in ("is", "is not"):
                # Python warns about `is` beside a literal, and merges equal literals into one object.
                first, second = self._object(first), self._object(second)
            src.line(f"{result} = {first} {operator} {second}")

    def _object(self, operand: str) -> str:
        """`operand`; a literal becomes a name."""
        if operand.isidentifier():
            return operand
        result = self.src.temporary("c")
        self.src.line(f"{result} = {operand}")
        return result
