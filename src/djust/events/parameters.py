"""Parameters of handlers: what a browser sends becomes what an annotation asks for.

Browsers send text (form fields, `data-*`) and JSON (literals in `dj-click="pick(3, true)"`), so
both forms are taken:

    converter(int)("12")              ->  12
    converter(int | None)("")         ->  None       an empty field, unless text is allowed
    converter(list[int])("12")        ->  [12]       a form with one box ticked sends no list
    converter(int)("twelve")          raises Refused

A converter is made once per parameter and class; `None` instead of one means that everything passes
as it came.
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


def converter(annotation: Any) -> Converter | None:
    """The converter for an annotation, or None where everything is taken as it comes."""
    if annotation is Any or annotation is object or isinstance(annotation, TypeVar):
        return None
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
        return _list(converter(arguments[0]))
    if origin is dict:
        return _dict(converter(arguments[0]), converter(arguments[1]))
    raise Unsupported(annotation)


def _of_class(kind: type) -> Converter:
    if issubclass(kind, Enum):
        return _enum(kind)
    if is_typeddict(kind):
        return _dict(None, None)
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


def _float(value: Any) -> float:
    if type(value) not in (int, float, str) or (type(value) is str and "_" in value):
        raise Refused
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise Refused from error
    if not math.isfinite(number):
        raise Refused
    return number


def _decimal(value: Any) -> Decimal:
    if type(value) not in (int, float, str) or (type(value) is str and "_" in value):
        raise Refused
    try:
        number = Decimal(str(value).strip())
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


def _uuid(value: Any) -> UUID:
    try:
        return UUID(_text(value))
    except ValueError as error:
        raise Refused from error


def _date(value: Any) -> date:
    return _parsed(parse_date, value)


def _time(value: Any) -> time:
    return _parsed(parse_time, value)


def _datetime(value: Any) -> datetime:
    moment = _parsed(parse_datetime, value)
    if settings.USE_TZ and timezone.is_naive(moment):
        # As Django's form fields do: what a visitor types is meant in the visitor's time zone.
        return timezone.make_aware(moment)
    return moment


T = TypeVar("T")


def _parsed(parse: Callable[[str], T | None], value: Any) -> T:
    try:
        result = parse(_text(value))
    except ValueError as error:
        raise Refused from error
    if result is None:
        raise Refused
    return result


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Refused
    return value.strip()


def _any_list(value: Any) -> list[Any]:
    return value if type(value) is list else [value]


def _any_dict(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Refused
    return value


_SIMPLE: dict[Any, Converter] = {
    int: _int,
    float: _float,
    bool: _bool,
    str: _str,
    Decimal: _decimal,
    UUID: _uuid,
    date: _date,
    datetime: _datetime,
    time: _time,
    list: _any_list,
    dict: _any_dict,
}


# Types made of others


def _union(alternatives: tuple[Any, ...]) -> Converter | None:
    wanted = [alternative for alternative in alternatives if alternative is not type(None)]
    optional = len(wanted) < len(alternatives)
    converters = [converter(alternative) for alternative in wanted]
    if None in converters:
        return None
    empty_is_nothing = optional and str not in wanted

    def convert(value: Any) -> Any:
        if optional and (value is None or (empty_is_nothing and value == "")):
            return None
        for attempt in converters:
            assert attempt is not None
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


def _list(each: Converter | None) -> Converter:
    if each is None:
        return _any_list
    return lambda value: [each(item) for item in _any_list(value)]


def _dict(key: Converter | None, value: Converter | None) -> Converter:
    if key is None and value is None:
        return _any_dict

    def convert(given: Any) -> dict[Any, Any]:
        return {
            (name if key is None else key(name)): (item if value is None else value(item))
            for name, item in _any_dict(given).items()
        }

    return convert


def _dataclass(kind: Any) -> Converter:
    hints = get_type_hints(kind)
    converters = {field.name: converter(hints[field.name]) for field in dataclasses.fields(kind) if field.init}

    def convert(given: Any) -> Any:
        known = {name: item for name, item in _any_dict(given).items() if name in converters}
        for name, item in known.items():
            each = converters[name]
            known[name] = item if each is None else each(item)
        try:
            return kind(**known)
        except (TypeError, ValueError) as error:
            # A field is missing, or the class checks its values itself.
            raise Refused from error

    return convert
