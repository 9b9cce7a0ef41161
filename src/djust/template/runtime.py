"""What generated functions call: the less common half of variable lookup, text, loops and scopes.

Each function follows the behaviour of Django's documented template language ("Variables", "Custom template filters")
step by step, because its results must be Django's to the byte.
"""

from __future__ import annotations

import datetime as dt
import decimal
import inspect
import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import django
from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.cache.utils import make_template_fragment_key
from django.db.models import Model
from django.template import Context, Node, TemplateSyntaxError
from django.template.base import Template, VariableDoesNotExist
from django.template.context import BaseContext, ContextDict
from django.template.loader_tags import BLOCK_CONTEXT_KEY, BlockContext, BlockNode
from django.templatetags.cache import CacheNode
from django.templatetags.static import StaticNode
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import localize
from django.utils.html import conditional_escape, strip_spaces_between_tags
from django.utils.safestring import SafeData, SafeString, mark_safe
from django.utils.translation import trans_real

from djust.render.values import Html, escaped, source
from djust.template.markup import UnbalancedError, reach
from djust.template.parts import Capture, Chain, IfChanged, Opaque, SimpleTag, Text

logger = logging.getLogger("djust.template")

# Types whose instances cannot be called: the test for these is cheaper than `callable`.
PLAIN = frozenset(
    {
        str,
        int,
        float,
        bool,
        type(None),
        dict,
        list,
        tuple,
        set,
        frozenset,
        bytes,
        SafeString,
        decimal.Decimal,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        uuid.UUID,
    }
)
_NO_TEXT = ""
_NO_TYPES: frozenset[type] = frozenset()
_STRINGS: frozenset[type] = frozenset({str})
_STRINGS_AND_NUMBERS: frozenset[type] = frozenset({str, int})


# Variables


def name(context: Context, bit: str) -> Any:
    """The first name of a variable, looked up in `context`."""
    for layer in reversed(context.dicts):
        if bit in layer:
            value = layer[bit]
            return value if type(value) in PLAIN else called(context, value)
    return called(context, step(context, context, bit))


def step(context: Context, current: Any, bit: str) -> Any:
    """One further lookup: dictionary, attribute, list index."""
    if hasattr(type(current), "__getitem__"):
        try:
            return current[bit]
        except (TypeError, AttributeError, KeyError, ValueError, IndexError):
            pass
    # The attributes of a context are machinery, not names.
    if not isinstance(current, BaseContext):
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
    """`value`, or what it returns if it can be called without arguments."""
    if not callable(value) or getattr(value, "do_not_call_in_templates", False):
        return value
    invalid = cast(Template, context.template).engine.string_if_invalid
    if getattr(value, "alters_data", False):
        return invalid
    try:
        return value()
    except TypeError:
        try:
            inspect.signature(value).bind()
        except (ValueError, TypeError):
            return invalid  # it wants arguments, or does not tell
        raise


def looked_up(context: Context, bits: tuple[str, ...], missing: str | None, silenced: str) -> Any:
    """A variable, or `missing` if it does not exist, or `silenced` if a silent exception was raised on the way."""
    try:
        value = name(context, bits[0])
        return _follow(context, value, bits[1:]) if len(bits) > 1 else value
    except Exception as error:  # noqa: BLE001 - raised again unless it stands for a value
        return _shown_instead(error, missing, silenced)


def followed(context: Context, value: Any, bits: tuple[str, ...], missing: str | None, silenced: str) -> Any:
    """As `looked_up`, from a value that is known."""
    try:
        return _follow(context, value if type(value) in PLAIN else called(context, value), bits)
    except Exception as error:  # noqa: BLE001 - raised again unless it stands for a value
        return _shown_instead(error, missing, silenced)


def _shown_instead(error: Exception, missing: str | None, silenced: str) -> str | None:
    """What a variable shows whose lookup raised `error`; any other error is raised again."""
    if isinstance(error, VariableDoesNotExist):
        return missing
    if getattr(error, "silent_variable_failure", False):
        return silenced
    raise error


def _follow(context: Context, value: Any, bits: tuple[str, ...]) -> Any:
    for bit in bits:
        value = value[bit] if type(value) is dict and bit in value else step(context, value, bit)
        if type(value) not in PLAIN:
            value = called(context, value)
    return value


# Text


def text_types(context: Context) -> frozenset[type]:
    """The types whose instances are values as they are, in this context."""
    if not context.autoescape:
        return _NO_TYPES
    grouped = settings.USE_THOUSAND_SEPARATOR and context.use_l10n is not False
    return _STRINGS if grouped else _STRINGS_AND_NUMBERS


def text(context: Context, value: Any) -> str:
    """The value of a text part that shows `value`: plain, or `Html` where it is safe markup."""
    value = template_localtime(value, use_tz=context.use_tz)
    value = localize(value, use_l10n=context.use_l10n)
    if not context.autoescape:
        return source(str(value))
    if not issubclass(type(value), str):
        value = str(value)
    if hasattr(value, "__html__"):
        return source(value.__html__())
    return str.__str__(str(value))


# Tags


def url(context: Context, view_name: Any, args: list[Any], kwargs: dict[str, Any]) -> str:
    """`{% url %}`; raises NoReverseMatch."""
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


def translated(message: str) -> str:
    """The value of `{% translate "…" %}` of a literal, which Django's parser has marked safe.

    Each catalog remembers what it said: that is 2.5 times faster than to ask it again, and catalogs do not change.
    """
    if not settings.USE_I18N:
        return source(message.replace("%%", "%"))
    texts: dict[str, str] = vars(trans_real.catalog()).setdefault("_djust_texts", {})
    found = texts.get(message)
    if found is None:
        found = texts[message] = source(translation.gettext(message).replace("%%", "%"))
    return found


def check_balance(html: str, item: Text | SimpleTag | Capture | IfChanged | Opaque) -> None:
    """Raise UnbalancedError if `html`, the output of `item`, opens or closes elements around it."""
    closes = reach(str.__str__(html), item.inside) if "<" in html else None
    if closes is not None:
        raise UnbalancedError(item, closes)


# Loops


def sequence(value: Any) -> Sequence[Any]:
    """What `{% for %}` iterates over."""
    if value is None:
        return []
    return value if hasattr(value, "__len__") else list(value)


def backwards(value: Sequence[Any]) -> Sequence[Any]:
    return list(reversed(value))


def unpack(item: Any, count: int) -> Iterable[Any]:
    """The items for `count` names of a loop."""
    try:
        length = len(item)
    except TypeError:
        length = 1
    if length != count:
        raise ValueError(f"Need {count} values to unpack in for loop; got {length}. ")
    return cast(Iterable[Any], item)


def counters(parent: Any, length: int) -> dict[str, Any]:
    """A new `forloop`."""
    loop = {"parentloop": parent}
    if django.VERSION >= (6, 0):
        loop["length"] = length
    return loop


def count(loop: dict[str, Any], index: int, length: int) -> None:
    """`forloop` of round `index`."""
    loop["counter0"] = index
    loop["counter"] = index + 1
    loop["revcounter"] = length - index
    loop["revcounter0"] = length - index - 1
    loop["first"] = index == 0
    loop["last"] = index == length - 1


def parent_loop(context: Context) -> Any:
    return context.get("forloop", {})


def keyed(keys: list[Any], where: str) -> list[Any] | None:
    """`keys` of a loop's rows if they are usable, else None: rows are then matched by position."""
    if len(set(keys)) == len(keys):
        return keys
    if settings.DEBUG:
        seen: set[Any] = set()
        double = next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        logger.warning("%s: two rows of the loop have the key %r; rows are matched by position.", where, str(double))
    return None


def model_keys(items: Sequence[Any]) -> list[Any] | None:
    """Primary keys of model instances, or None for anything else."""
    keys = [item.pk if isinstance(item, Model) else None for item in items]
    return keys if None not in keys and len(set(keys)) == len(keys) else None


# Blocks that are taken as strings


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

    def store(self, value: str) -> str:
        self.cache.set(self.key, value, self.seconds)
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
    return CacheEntry(cache, key, seconds, cache.get(key))


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


@contextmanager
def inclusion(context: Context, chain: Chain, values: Mapping[str, Any], isolated: bool) -> Iterator[Context]:
    """The context of an included template in which something needs Django's own context."""
    with context.render_context.push_state(chain.templates[-1]):
        if isolated:
            inner = context.new(dict(values))
            override_blocks(inner, chain)
            yield inner
        else:
            with context.push(dict(values)):
                override_blocks(context, chain)
                yield context


def override_blocks(context: Context, chain: Chain) -> None:
    """Tell Django's block context which nodes override which, for opaque nodes that use `block.super`."""
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


def rendered(context: Context, node: Node) -> str:
    """The output of an opaque node."""
    return str(node.render_annotated(context))


# The type stubs of Django lack this function.
template_localtime = timezone.template_localtime  # type: ignore[attr-defined]

NAMES: dict[str, Any] = {
    function.__name__: function
    for function in (
        name,
        step,
        called,
        looked_up,
        followed,
        text_types,
        text,
        url,
        static_url,
        translated,
        check_balance,
        sequence,
        backwards,
        unpack,
        counters,
        count,
        parent_loop,
        keyed,
        model_keys,
        tag_output,
        changed_frame,
        cache_entry,
        strip_spaces_between_tags,
        inclusion,
        override_blocks,
        block,
        rendered,
        escaped,
        source,
        mark_safe,
        template_localtime,
    )
} | {
    "PLAIN": PLAIN,
    "NOTHING": frozenset(),
    "override_language": translation.override,
    "override_timezone": timezone.override,
    "Html": Html,
    "SafeData": SafeData,
    "SafeString": SafeString,
    "VariableDoesNotExist": VariableDoesNotExist,
}
