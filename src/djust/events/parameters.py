"""Parameters of handlers: what a browser sends becomes what an annotation asks for.

Browsers send text (form fields, `data-*`) and JSON (literals in `dj-click="pick(3, true)"`), so
both forms are taken:

    converter(int)("12")              ->  12
    converter(int | None)("")         ->  None       an empty field, unless text is allowed
    converter(list[int])("12")        ->  [12]       a form with one box ticked sends no list
    converter(int)("twelve")          raises Refused

A converter is made once per parameter and class. Where everything is allowed, it is `unchanged`.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import partial
from typing import Any, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime, parse_time

Converter = Callable[[Any], Any]

_integer = re.compile(r"\s*[+-]?[0-9]{1,1000}\s*").fullmatch
_TRUE = frozenset({"true", "on", "1", "yes"})
_FALSE = frozenset({"false", "off", "0", "no", ""})

# Beyond this, a short text such as 1e999999999 becomes a number that takes minutes to print.
_DECIMAL_EXPONENT = 1000


class Refused(Exception):  # noqa: N818 — a verdict on a value, turned into ParameterError by the handler
    """The value does not fit."""


class Unsupported(Exception):  # noqa: N818 — as above, on an annotation
    """No browser can fill a parameter with this annotation."""


def unchanged(value: Any) -> Any:
    """The converter where everything is allowed."""
    return value


def converter(annotation: Any) -> Converter:
    """The converter for an annotation."""
    if annotation is Any or annotation is object or isinstance(annotation, TypeVar):
        return unchanged
    if annotation is None or annotation is type(None):
        return _nothing
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    if isinstance(annotation, NewType):
        return converter(annotation.__supertype__)
    if isinstance(annotation, type):
        return _of_class(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Union or origin is types.UnionType:
        return _union(arguments)
    if origin is Literal:
        return _literal(arguments)
    if origin is list:
        each = converter(arguments[0])
        return lambda value: [each(item) for item in _list(value)]
    if origin is dict:
        key, member = map(converter, arguments)
        return lambda value: {key(name): member(item) for name, item in _dict(value).items()}
    raise Unsupported(annotation)


def _of_class(kind: type) -> Converter:
    if issubclass(kind, Enum):
        return _enum(kind)
    if is_typeddict(kind):
        return _dict
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    raise Unsupported(kind)


# Simple types


def _nothing(value: Any) -> None:
    if value is not None:
        raise Refused


def _int(value: Any) -> int:
    if type(value) is int:
        return value
    if (type(value) is str and _integer(value)) or (type(value) is float and value.is_integer()):
        return int(value)
    raise Refused


def _number(value: Any) -> int | float | str:
    """A number, or a text that may be one. Python would take `1_000` for one."""
    if type(value) not in (int, float, str) or (type(value) is str and "_" in value):
        raise Refused
    return value  # type: ignore[no-any-return]


def _float(value: Any) -> float:
    try:
        number = float(_number(value))
    except (ValueError, OverflowError) as error:
        raise Refused from error
    if not math.isfinite(number):
        raise Refused
    return number


def _decimal(value: Any) -> Decimal:
    try:
        number = Decimal(str(_number(value)).strip())
    except InvalidOperation as error:
        raise Refused from error
    if not number.is_finite() or abs(number.adjusted()) > _DECIMAL_EXPONENT:
        raise Refused
    return number


def _bool(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) in (str, int):
        text = str(value).strip().lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
    raise Refused


def _str(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) in (int, float):
        return str(value)
    raise Refused


def _datetime(value: Any) -> datetime:
    moment = _parsed(parse_datetime, value)
    if settings.USE_TZ and timezone.is_naive(moment):
        # As Django's form fields do: what a visitor types is meant in the visitor's time zone.
        return timezone.make_aware(moment)
    return moment


T = TypeVar("T")


def _parsed(parse: Callable[[str], T | None], value: Any) -> T:
    """What `parse` makes of a text; it raises `ValueError` or gives None for others."""
    if type(value) is not str:
        raise Refused
    try:
        result = parse(value.strip())
    except ValueError as error:
        raise Refused from error
    if result is None:
        raise Refused
    return result


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else [value]


def _dict(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Refused
    return value


_SIMPLE: dict[Any, Converter] = {
    int: _int,
    float: _float,
    bool: _bool,
    str: _str,
    Decimal: _decimal,
    UUID: partial(_parsed, UUID),
    date: partial(_parsed, parse_date),
    datetime: _datetime,
    time: partial(_parsed, parse_time),
    list: _list,
    dict: _dict,
}


# Types made of others


def _union(alternatives: tuple[Any, ...]) -> Converter:
    wanted = [alternative for alternative in alternatives if alternative is not type(None)]
    optional = len(wanted) < len(alternatives)
    converters = [converter(alternative) for alternative in wanted]
    if unchanged in converters:
        return unchanged
    empty_is_nothing = optional and str not in wanted

    def convert(value: Any) -> Any:
        if optional and (value is None or (empty_is_nothing and value == "")):
            return None
        for attempt in converters:
            try:
                return attempt(value)
            except Refused:
                continue
        raise Refused

    return convert


def _literal(choices: Iterable[Any]) -> Converter:
    return _choice([(choice, choice) for choice in choices])


def _enum(kind: type[Enum]) -> Converter:
    by_value = [(member.value, member) for member in kind]
    return _choice([*by_value, *((name, member) for name, member in kind.__members__.items())])


def _choice(choices: list[tuple[Any, Any]]) -> Converter:
    """One of these.

    The text of a choice stands for it, but `true` is not 1, as it is for Python.
    """
    exact: dict[tuple[type, Any], Any] = {}
    for key, result in choices:
        exact.setdefault((type(key), key), result)
    for key, result in choices:
        exact.setdefault((str, str(key)), result)

    def convert(value: Any) -> Any:
        try:
            return exact[type(value), value]
        except (KeyError, TypeError) as error:
            raise Refused from error

    return convert


def _dataclass(kind: Any) -> Converter:
    hints = get_type_hints(kind)
    converters = {field.name: converter(hints[field.name]) for field in dataclasses.fields(kind) if field.init}

    def convert(given: Any) -> Any:
        known = {name: convert(item) for name, item in _dict(given).items() if (convert := converters.get(name))}
        try:
            return kind(**known)
        except (TypeError, ValueError) as error:
            # A field is missing, or the class checks its values itself.
            raise Refused from error

    return convert
