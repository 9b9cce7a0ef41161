"""What generated functions call: the less common half of variable lookup, text, loops and scopes.

Generated code may use every name of this module as if it stood here.

Each function follows the behaviour of Django's documented template language ("Variables", "Custom
template filters") step by step, because its results must be Django's to the byte.
"""

from __future__ import annotations

import datetime as dt
import decimal
import html
import inspect
import logging
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from types import BuiltinMethodType
from typing import Any, cast

import django
from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.cache.utils import make_template_fragment_key
from django.db.models import Model
from django.template import Context, TemplateSyntaxError
from django.template.base import Node as DjangoNode
from django.template.base import Template, VariableDoesNotExist
from django.template.context import BaseContext, ContextDict
from django.template.loader_tags import BLOCK_CONTEXT_KEY, BlockContext, BlockNode
from django.templatetags.cache import CacheNode
from django.templatetags.i18n import BlockTranslateNode
from django.templatetags.static import StaticNode
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import localize
from django.utils.html import conditional_escape, strip_spaces_between_tags
from django.utils.safestring import SafeData, SafeString, mark_safe
from django.utils.translation import trans_real

from djust.render.values import Html, escaped, source, special
from djust.template.context import rendering, stored_by
from djust.template.inheritance import Chain
from djust.template.markup import UnbalancedError, ancestors_closed_by
from djust.template.nodes import Node

logger = logging.getLogger("djust.template")
# The logger to which Django reports failed lookups. Projects use it to find missing names.
_lookup_logger = logging.getLogger("django.template")
_LOOKUP_FAILED = "Exception while resolving variable '%s' in template '%s'."

# Types whose instances cannot be called: the test for these is cheaper than `callable`.
PLAIN = (
    frozenset({str, int, float, bool, type(None), bytes, SafeString, decimal.Decimal, uuid.UUID})
    | {dict, list, tuple, set, frozenset}
    | {dt.date, dt.datetime, dt.time, dt.timedelta}
)
# Instead of what is shown for a name that does not exist: to tell it from all values, to raise the
# error.
MISSING, REQUIRED = object(), object()
_NO_TEXT = ""
EMPTY: tuple[Any, ...] = ()
NOTHING: frozenset[str] = frozenset()
# Where Django's settings keep values that were read, until they change. Reading them there is 5
# times faster.
_known_settings = vars(settings)
_NO_TYPES: frozenset[type] = frozenset()
_STRINGS: frozenset[type] = frozenset({str})
_STRINGS_AND_NUMBERS: frozenset[type] = frozenset({str, int})


# Variables


def step(current: Any, bit: str) -> Any:
    """One further lookup: dictionary, attribute, index. A plain dictionary lacks `bit`."""
    subscriptable = type(current) is not dict and hasattr(type(current), "__getitem__")
    if subscriptable:
        try:
            return current[bit]
        except (TypeError, AttributeError, KeyError, ValueError, IndexError):
            pass
    # The attributes of a context are machinery, not names.
    if not (subscriptable and isinstance(current, BaseContext)):
        try:
            return getattr(current, bit)
        except (TypeError, AttributeError):
            # An error inside a property is the author's, a missing attribute is not.
            if bit in dir(current):
                raise
    try:
        return current[int(bit)]
    except (IndexError, ValueError, KeyError, TypeError):
        raise VariableDoesNotExist("Failed lookup for key [%s] in %r", (bit, current)) from None


def called(context: Context, value: Any) -> Any:
    """What `value`, which can be called, returns if it wants no arguments."""
    if type(value) is not BuiltinMethodType:  # which has no attributes of that kind
        if getattr(value, "do_not_call_in_templates", False):
            return value
        if getattr(value, "alters_data", False):
            return cast(Template, context.template).engine.string_if_invalid
    try:
        return value()
    except TypeError:
        try:
            inspect.signature(value).bind()
        except (ValueError, TypeError):
            # It needs arguments, or has no signature.
            return cast(Template, context.template).engine.string_if_invalid
        raise


def looked_up(context: Context, bits: tuple[str, ...], missing: object = "", silenced: str = "") -> Any:
    """A variable; `missing` if there is none; `silenced` if a silent exception was raised."""
    first = bits[0]
    try:
        for layer in reversed(context.dicts):
            if first in layer:
                value = layer[first]
                break
        else:
            value = step(context, first)
        if type(value) not in PLAIN and callable(value):
            value = called(context, value)
        # As in `followed`: this is the most frequent call of all.
        for bit in bits[1:]:
            value = value[bit] if type(value) is dict and bit in value else step(value, bit)
            if type(value) not in PLAIN and callable(value):
                value = called(context, value)
        return value
    except Exception as error:  # noqa: BLE001 - raised again unless it stands for a value
        return _shown_instead(context, error, missing, silenced)


def followed(context: Context, value: Any, bits: tuple[str, ...], missing: object = "", silenced: str = "") -> Any:
    """As `looked_up`, from a value that is known."""
    try:
        if callable(value):
            value = called(context, value)
        for bit in bits:
            value = value[bit] if type(value) is dict and bit in value else step(value, bit)
            if type(value) not in PLAIN and callable(value):
                value = called(context, value)
        return value
    except Exception as error:  # noqa: BLE001 - raised again unless it stands for a value
        return _shown_instead(context, error, missing, silenced)


def _shown_instead(context: Context, error: Exception, missing: object, silenced: str) -> object:
    """What a variable shows whose lookup raised `error`, logged as Django does; or raises it."""
    if _lookup_logger.isEnabledFor(logging.DEBUG):
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        scopes = [frame.f_locals for frame in frames if frame.f_code.co_filename == __file__]
        bits = [scope.get("bit") or scope["bits"][0] for scope in scopes if "bit" in scope or scope.get("bits")]
        name = getattr(context, "template_name", None) or "unknown"
        _lookup_logger.debug(_LOOKUP_FAILED, bits[-1] if bits else "", name, exc_info=error)
    if isinstance(error, VariableDoesNotExist) and missing is not REQUIRED:
        return missing
    if getattr(error, "silent_variable_failure", False):
        return silenced
    raise error


def kept_safe(result: Any, value: Any) -> Any:
    """The `result` of a filter that keeps safe what is safe, such as `value`."""
    return mark_safe(result) if isinstance(value, SafeData) else result  # noqa: S308 - as the filter's author says


# Text


def text_types(context: Context) -> frozenset[type]:
    """The types whose instances are values as they are, in this context."""
    if not context.autoescape:
        return _NO_TYPES
    grouped = _known_settings.get("USE_THOUSAND_SEPARATOR")
    if grouped is None:
        grouped = settings.USE_THOUSAND_SEPARATOR
    return _STRINGS if grouped and context.use_l10n is not False else _STRINGS_AND_NUMBERS


def text(context: Context, value: Any) -> str:
    """The value of a text part that shows `value`: plain, or `Html` where it is safe markup."""
    if type(value) is SafeString:
        return source(value)
    value = template_localtime(value, use_tz=context.use_tz)
    value = localize(value, use_l10n=context.use_l10n)
    if not context.autoescape:
        return source(str(value))
    if not issubclass(type(value), str):
        value = str(value)
    if hasattr(value, "__html__"):
        return source(value.__html__())
    return str.__str__(str(value))


def as_text(context: Context, plain: frozenset[type], value: Any) -> str:
    """The value of a text part that shows `value`; `plain` are the `text_types`."""
    return value if type(value) in plain else text(context, value)


def as_html(context: Context, plain: frozenset[type], value: Any) -> str:
    """`value` as it is written into HTML."""
    if type(value) is SafeString:
        return value
    if type(value) is str and plain:  # the most frequent case, without another call
        return html.escape(value) if special(value) else value
    return escaped(value if type(value) in plain else text(context, value))


# Tags


def url(context: Context, args: list[Any], kwargs: dict[str, Any], view_name: Any) -> str:
    """`{% url %}`; raises NoReverseMatch. Django looks up the name last, and so do we."""
    request = getattr(context, "request", None)
    try:
        current_app = request.current_app  # type: ignore[union-attr]
    except AttributeError:
        try:
            current_app = request.resolver_match.namespace  # type: ignore[union-attr]
        except AttributeError:
            current_app = None
    path = reverse(view_name, args=args, kwargs=kwargs, current_app=current_app)
    return source(str(conditional_escape(path)) if context.autoescape else path)


def static_url(context: Context, node: StaticNode, path: Any) -> str:
    """`{% static %}`."""
    found = node.handle_simple(path)
    return source(str(conditional_escape(found)) if context.autoescape else found)


# The keys of catalogs: the text of `{% translate "…" %}`, or context and format of `{%
# blocktranslate %}`.
Message = str | tuple[str, str]


def translations() -> Callable[[Message], str]:
    """The function that translates during one rendering.

    Django keeps the active language in a context variable. As long as the current context is the
    same as before, so is the language. This comparison is 20 times faster than asking Django for
    the language.
    """
    context, texts = None, dict[Message, str]()

    def translated(message: Message) -> str:
        nonlocal context, texts
        current = copy_context()
        try:
            same = current == context
        except Exception:  # noqa: BLE001 - other variables may hold anything, and not all of it can be compared
            same = False
        if not same:
            context, texts = current, _texts()
        found = texts.get(message)
        if found is None:
            found = texts[message] = _text_for(message)
        return found

    return translated


def _texts() -> dict[Message, str]:
    """The texts of the active catalog, which are remembered, because catalogs do not change."""
    if translation._trans.gettext is not trans_real.gettext:  # type: ignore[attr-defined] # translations are off
        return {}
    texts: dict[Message, str] = vars(trans_real.catalog()).setdefault("_djust_texts", {})
    return texts


def _text_for(message: Message) -> str:
    if isinstance(message, str):
        # Django's parser has marked the literal safe.
        return source(translation.gettext(message).replace("%%", "%"))
    return singular(*message)


def singular(about: str, message: str) -> str:
    """The format of a sentence; `about` is its message context, if any."""
    return translation.pgettext(about, message) if about else translation.gettext(message)


def plural(about: str, message: str, several: str, count: float) -> str:
    """As `singular`, for a number of things."""
    if about:
        return translation.npgettext(about, message, several, count)
    return translation.ngettext(message, several, count)


def number(node: Any, value: Any) -> Any:
    """`value`, the counter of `{% blocktranslate %}`."""
    if not isinstance(value, decimal.Decimal | float | int):
        raise TemplateSyntaxError(f"{node.countervar!r} argument to {vars(node)['tag_name']!r} tag must be a number.")
    return value


def stored(context: Context, name: str, missing: object) -> Any:
    """What `name` stands for in `context`, as it is."""
    for layer in reversed(context.dicts):
        if name in layer:
            return layer[name]
    return missing


def untranslated(context: Context, node: BlockTranslateNode, names: dict[str, Any]) -> str:
    """A sentence whose translation cannot be formatted, in the language of the template."""
    with context.push(names), translation.override(None):
        return str(node.render(context, nested=True))


def balanced(value: str, node: Node) -> str:
    """`value`, the output of `node`; UnbalancedError if it opens or closes elements around."""
    if type(value) is Html and "<" in value:
        closed = ancestors_closed_by(str.__str__(value), node.ancestors)
        if closed is not None:
            raise UnbalancedError(node, closed)
    return value


# Loops


def sequence(value: Any) -> Sequence[Any]:
    """What `{% for %}` iterates over; `EMPTY` for what has no items, iterable or not."""
    if value is None:
        return EMPTY
    items = value if hasattr(value, "__len__") else list(value)
    return items if len(items) > 0 else EMPTY


def backwards(value: Sequence[Any]) -> Sequence[Any]:
    return value if value is EMPTY else list(reversed(value))


def unpack(item: Any, count: int) -> Iterable[Any]:
    """The items for `count` names of a loop."""
    try:
        length = len(item)
    except TypeError:
        length = 1
    if length != count:
        raise ValueError(f"Need {count} values to unpack in for loop; got {length}. ")
    return cast(Iterable[Any], item)


def counted(loop: dict[str, Any], items: Sequence[Any]) -> Iterator[Any]:
    """`items`; their number and the rounds are counted in `loop`, which is `forloop`."""
    length = len(items)
    if django.VERSION >= (6, 0):
        loop["length"] = length
    for index, item in enumerate(items):
        loop["counter0"] = index
        loop["counter"] = index + 1
        loop["revcounter"] = length - index
        loop["revcounter0"] = length - index - 1
        loop["first"] = index == 0
        loop["last"] = index == length - 1
        yield item


def parent_loop(context: Context) -> Any:
    return stored(context, "forloop", {})


def keyed(keys: list[Any], where: str) -> list[Any] | None:
    """`keys` of a loop's rows if they are usable, else None: rows are then matched by position."""
    if len(set(keys)) == len(keys):
        return keys
    if settings.DEBUG:
        seen: set[Any] = set()
        double = next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        logger.warning("%s: two rows of the loop have the key %r; rows are matched by position.", where, str(double))
    return None


def model_keys(items: Sequence[Any], rows: list[Any]) -> list[Any] | None:
    """Primary keys of model instances, of which `rows` were made, or None for anything else."""
    keys = [item.pk if isinstance(item, Model) else None for item in items]
    return keys if None not in keys and len(set(keys)) == len(keys) == len(rows) else None


# Blocks that are taken as strings


def spaceless(content: str) -> str:
    """The output of `{% spaceless %}`."""
    return strip_spaces_between_tags(content.strip())


def tag_output(context: Context, output: Any) -> str:
    """The value of what a `simple_tag` returns."""
    if not context.autoescape:
        return source(_NO_TEXT.join([output]))  # in Django, too, it must be a string
    return output if type(output) is str else source(str(conditional_escape(output)))


def changed_frame(context: Context) -> Any:
    """Where `{% ifchanged %}` keeps what it saw last."""
    return context.get("forloop", context.render_context)


@dataclass(slots=True)
class CacheEntry:
    """One entry of `{% cache %}`; `value` is None if the cache lacks it."""

    cache: Any
    key: str
    seconds: int | None
    value: str | None
    stored: list[tuple[Any, str]]

    def store(self, value: str) -> str:
        self.cache.set(self.key, value, self.seconds)
        self.stored.append((self.cache, self.key))
        return value


def cache_entry(context: Context, node: CacheNode) -> CacheEntry:
    """The entry that `{% cache %}` uses here; errors as Django's."""
    try:
        seconds = node.expire_time_var.resolve(context)
    except VariableDoesNotExist:
        raise TemplateSyntaxError(f'"cache" tag got an unknown variable: {node.expire_time_var.var!r}') from None
    if seconds is not None:
        try:
            seconds = int(seconds)
        except (ValueError, TypeError):
            raise TemplateSyntaxError(f'"cache" tag got a non-integer timeout value: {seconds!r}') from None
    key = make_template_fragment_key(node.fragment_name, [vary.resolve(context) for vary in node.vary_on])
    cache = _fragment_cache(context, node)
    return CacheEntry(cache, key, seconds, cache.get(key), stored_by(context))


def _fragment_cache(context: Context, node: CacheNode) -> Any:
    if not node.cache_name:
        try:
            return caches["template_fragments"]
        except InvalidCacheBackendError:
            return caches["default"]
    try:
        name = node.cache_name.resolve(context)
    except VariableDoesNotExist:
        raise TemplateSyntaxError(f'"cache" tag got an unknown variable: {node.cache_name.var!r}') from None
    try:
        return caches[name]
    except InvalidCacheBackendError:
        raise TemplateSyntaxError(f"Invalid cache name specified for cache tag: {name!r}") from None


# Scopes around opaque nodes


class inclusion(rendering):  # noqa: N801 - used as a function
    """Around an included template in which something needs Django's own context."""

    __slots__ = ("_chain", "_context", "_isolated", "_values")

    def __init__(self, context: Context, chain: Chain, values: dict[str, Any], isolated: bool) -> None:
        super().__init__(context, chain.templates[-1])
        self._context, self._chain, self._values, self._isolated = context, chain, values, isolated

    def __enter__(self) -> Context:  # type: ignore[override] # it has more to give
        super().__enter__()
        if self._isolated:
            context = self._context.new(self._values)
        else:
            context = self._context
            context.dicts.append(self._values)
        override_blocks(context, self._chain)
        return context

    def __exit__(self, *error: object) -> None:
        if not self._isolated:
            self._context.dicts.pop()
        super().__exit__(*error)


def override_blocks(context: Context, chain: Chain) -> None:
    """Tell Django's block context which nodes override which, for the sake of opaque nodes."""
    if chain.extends:
        blocks = BlockContext()
        for nodes in chain.queues.values():
            for node in nodes:
                blocks.add_blocks({node.name: node})
        context.render_context[BLOCK_CONTEXT_KEY] = blocks


@contextmanager
def block(context: Context, node: BlockNode) -> Iterator[ContextDict]:
    """The scope of a block in which something needs Django's own context."""
    blocks = context.render_context.get(BLOCK_CONTEXT_KEY)
    with context.push() as layer:
        if blocks is None:
            context["block"] = node
            yield layer
            return
        top = blocks.pop(node.name)
        # A copy, because the node is shared by threads.
        current = type(node)(node.name, node.nodelist)
        current.context = context
        context["block"] = current
        try:
            yield layer
        finally:
            if top is not None:
                blocks.push(node.name, top)


def rendered(context: Context, node: DjangoNode, index: int = 0) -> str:
    """The output of an opaque node, which must be a string; Django's error tells its `index`."""
    output: Any = node.render_annotated(context)
    return output if isinstance(output, str) else _NO_TEXT.join([*[_NO_TEXT] * index, output])


# The type stubs of Django lack this function.
template_localtime = timezone.template_localtime  # type: ignore[attr-defined]
override_language, override_timezone = translation.override, timezone.override
