"""Relations that a loop reads are fetched for all of its items at once, instead of one by one.

    {% for order in orders %}{{ order.customer.name }}: {{ order.lines.all|length }}{% endfor %}

When `orders` is a queryset that nothing has evaluated yet, and its author has left it as it is, the
customers come with the orders (`select_related`). Whatever else holds model instances - a queryset
that `{% if orders %}` or a view has evaluated, a slice, a page of a paginator, a list - stays what
it is: there, the first order that is asked for its customer fetches those of all others, too, and
so it is with lines everywhere (`prefetch_related`). That makes one query for each relation, where
Django makes one for each order and relation. So no matter where a queryset is evaluated first,
nothing is fetched before a loop asks for it, and a loop that is not reached costs nothing.

Nothing else may be different from Django. An item keeps what was fetched early in `_Single` and
`_Many`, dictionaries of Django's own kind that give it out when it is asked for, an object of its
own to each item; when the loop ends, what was not used is forgotten, and so are prefetched lists,
because Django would ask the database again. So no later rendering shows what was fetched for an
earlier one. What only some items may be asked for, the first one gets from Django, and the second
one for all. A template never makes more queries than in Django, unless a method that it calls
filters a list which the template itself reads here and there.

Left alone are raw querysets, querysets and managers with methods of their own that decide what is
found, generic foreign keys, foreign keys that were deferred or have no constraint, descriptors that
are not Django's own, items that are not saved, and projects with database routers. Nothing is
joined to querysets that are sliced, combined, `values()`, locked, deferred, or fetch relations
already, nor where another table could be noticed: DISTINCT, GROUP BY, raw SQL. All of this is off
with `auto_related = False` on a live view, or on any context.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from django.core.paginator import Page
from django.db import models, router
from django.db.models import ForeignKey, Manager, Model, Prefetch, QuerySet, prefetch_related_objects
from django.db.models.expressions import RawSQL
from django.db.models.fields import related_descriptors as descriptors
from django.db.models.query import ModelIterable
from django.db.models.query_utils import DeferredAttribute
from django.db.models.sql import Query
from django.db.models.sql.where import ExtraWhere
from django.template import Context

from djust.template.optimize.lookups import EACH, Lookup
from djust.template.runtime import EMPTY, PLAIN, backwards, sequence

# Since version 6.1, Django asks the fetch mode of an instance for a relation that was not fetched.
# Its own FETCH_PEERS fetches for all, but lets them share objects, and keeps relations that the
# template does not read; loops have a mode of their own.
FETCH_ONE: Any = getattr(models, "FETCH_ONE", None)
_FetchMode: Any = type(models.FETCH_PEERS).__base__ if hasattr(models, "FETCH_PEERS") else object

# Databases join some sixty tables at most.
_MOST_JOINS = 20
# So many items are prefetched for at once: databases limit the number of parameters of a query.
_BATCH = 1000

# Where Django keeps the lists that were prefetched for an instance.
_LISTS = "_prefetched_objects_cache"

# Methods that a class of querysets or managers must not override, or its behaviour is unknown.
_QUERYSET_METHODS = ("_chain", "_clone", "_fetch_all", "__iter__", "__len__", "__bool__", "all", "filter", "using")
_MANAGER_METHODS = ("get_queryset", "all")


def related(context: Context, value: Any, loop: Related, *, reverse: bool = False) -> Sequence[Any] | LoopItems:
    """What `{% for %}` iterates over, given `value`; relations are fetched early."""
    found: Any = value if isinstance(value, QuerySet) else sequence(value)  # whose length would be a query
    if found is EMPTY or (type(found) is list and type(found[0]) in PLAIN):
        return backwards(found) if reverse else found
    rows = _rows(found, loop) if vars(context).get("auto_related", True) and not router.routers else None
    items = backwards(sequence(found)) if reverse else sequence(found)
    if rows is None:
        return items
    rows.items = items
    return rows


def _rows(found: Any, loop: Related) -> LoopItems | None:
    """The items of `found`, if they are instances with relations that the loop reads."""
    joined: list[_ToOne] = []
    if isinstance(found, QuerySet):
        if not _is_usual_queryset(found) or not (plan := loop.plan(found.model)):
            return None
        if found._result_cache is None and _is_plain(found):
            joined = _join(found, plan)
    elif not isinstance(found, list | tuple | Page):
        return None
    first = next(iter(found), None)
    if not isinstance(first, Model) or not (plan := loop.plan(type(first))):
        return None
    rows = LoopItems(found)
    rows.hold([item for item in found if type(item) is type(first) and _is_free(item, first)], plan, joined)
    return rows


def _is_free(item: Model, first: Model) -> bool:
    """Whether `item` is of the same database as `first`, and not held by a loop around."""
    state = item._state
    parents: list[Any] = [link for link in item._meta.parents.values() if link]
    return (
        _early(item) is None
        and _is_usual_mode(getattr(state, "fetch_mode", FETCH_ONE))
        and state.db == first._state.db
        and not (state.adding or item.pk is None)
        and not any(link.is_cached(item) for link in parents)  # Django takes relations from there
    )


# Plans


@dataclass(slots=True)
class _Plan:
    """What to fetch with instances of a model: single objects by join, lists by queries."""

    singles: list[_ToOne] = field(default_factory=list)
    lists: list[_ToMany] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.singles or self.lists)

    def joins(self) -> list[str]:
        """The paths for `select_related`."""
        deeper = [(single, single.plan.joins()) for single in self.singles]
        return [path for single, inner in deeper for path in [single.path, *(f"{single.path}__{p}" for p in inner)]]


@dataclass(slots=True)
class _ToOne:
    """A foreign key, or a one-to-one relation, whose objects know their origin by `back`.

    `path`: its name in queries. `attname`: the instance's column, if it has one. `certain`: each
    instance is asked.
    """

    name: str
    path: str
    cache_name: str
    attname: str
    back: Any
    certain: bool
    plan: _Plan

    def may_ask(self, instance: Model) -> bool:
        """Whether Django would ask the database for the object of `instance`."""
        return not self.attname or vars(instance).get(self.attname) is not None


@dataclass(slots=True)
class _ToMany:
    """The other side of a foreign key, or a many-to-many relation; `certain` as above."""

    name: str
    cache_name: str
    model: type[Model]
    certain: bool
    plan: _Plan


class Related:
    """The lookups of one loop, and the plan for each model that it came to iterate over."""

    def __init__(self, lookups: Iterable[Lookup]) -> None:
        self.lookups = tuple(lookups)
        self._plans: WeakKeyDictionary[type[Model], _Plan] = WeakKeyDictionary()

    def plan(self, model: type[Model]) -> _Plan:
        plan = self._plans.get(model)
        if plan is None:
            plan = self._plans[model] = _planned(model, self.lookups)
        return plan


def _planned(model: type[Model], lookups: Iterable[Lookup], origin: Any = None) -> _Plan:
    """The plan for lookups on instances of `model`, which are reached by the relation `origin`."""
    by_name: dict[str, list[Lookup]] = {}
    for lookup in lookups:
        if lookup.path:
            by_name.setdefault(lookup.path[0], []).append(lookup._replace(path=lookup.path[1:]))
    plan = _Plan()
    if hasattr(model, "__getitem__") or model.__getattribute__ is not object.__getattribute__:
        return plan  # a lookup does not lead to its attributes
    for name, inner in by_name.items():
        relation = inspect.getattr_static(model, name, None)
        if (single := _to_one(name, relation, inner, origin)) is not None:
            plan.singles.append(single)
        elif (many := _to_many(name, relation, inner)) is not None:
            plan.lists.append(many)
    return plan


def _to_one(name: str, relation: Any, inner: list[Lookup], origin: Any) -> _ToOne | None:
    """`origin` is not followed back: there, Django puts the instance we come from."""
    if type(relation) in (descriptors.ForwardManyToOneDescriptor, descriptors.ForwardOneToOneDescriptor):
        key: Any = relation.field
        field, target, path, attname, back = key, key.related_model, key.name, key.attname, key.remote_field
        back = None if back.multiple else back
    elif type(relation) is descriptors.ReverseOneToOneDescriptor:
        field, key = relation.related, relation.related.field
        target, path, attname, back = field.related_model, key.related_query_name(), "", key
    else:
        return None
    if not _is_usual(key) or field is origin or not _is_usual_manager(target._base_manager):
        return None
    certain = any(lookup.certain for lookup in inner)
    plan = _planned(target, inner, field.remote_field)
    return _ToOne(name, path, field.cache_name, attname, back, certain, plan)


def _is_usual(key: Any) -> bool:
    """Whether what a foreign key names certainly exists, and no model inherits through it."""
    return isinstance(key, ForeignKey) and vars(key)["db_constraint"] and not key.remote_field.parent_link


def _to_many(name: str, relation: Any, inner: list[Lookup]) -> _ToMany | None:
    origin: Any = None
    if type(relation) is descriptors.ReverseManyToOneDescriptor:
        model, origin, cache_name = relation.rel.related_model, relation.rel.field, relation.rel.cache_name
        if not isinstance(origin, ForeignKey):
            return None
    elif type(relation) is descriptors.ManyToManyDescriptor:
        key: Any = relation.field
        model = relation.rel.related_model if relation.reverse else relation.rel.model
        cache_name = key.related_query_name() if relation.reverse else key.name
    else:
        return None
    read = [lookup for lookup in inner if lookup.path == ("all",) and lookup.reads]
    rows = [lookup._replace(path=lookup.path[2:]) for lookup in inner if lookup.path[:2] == ("all", EACH)]
    certain = any(lookup.certain for lookup in read)
    # Anything but reading all of the list might query the database nevertheless.
    only_all = len(read) + len(rows) == len(inner)
    if not read or not (certain or only_all) or not _is_usual_manager(model._default_manager):
        return None
    return _ToMany(name, cache_name, model, certain, _planned(model, rows, origin))


def _is_usual_manager(manager: Manager[Any]) -> bool:
    """Whether `manager` finds all objects of its model, as Django's own does."""
    usual = all(getattr(type(manager), name) is getattr(Manager, name) for name in _MANAGER_METHODS)
    return usual and _is_usual_queryset(manager.all())


def _is_usual_queryset(value: QuerySet[Any]) -> bool:
    return all(getattr(type(value), name) is getattr(QuerySet, name) for name in _QUERYSET_METHODS)


# Querysets


def _is_plain(value: QuerySet[Any]) -> bool:
    """Whether it gives whole instances, and its author chose nothing about relations."""
    query: Any = value.query
    return (
        value._iterable_class is ModelIterable
        and type(query) is Query
        and not vars(value)["_prefetch_related_lookups"]
        and query.select_related is False
        and not (query.is_sliced or query.combinator or query.select_for_update or query.is_empty())
        and query.deferred_loading == (frozenset(), True)
        and _is_usual_mode(getattr(value, "_fetch_mode", FETCH_ONE))
    )


def _may_join(query: Any) -> bool:
    """Whether further tables have no visible effect: each column is named with its table."""
    if query.distinct or query.group_by is not None or query.extra or query.extra_tables or query.extra_order_by:
        return False
    ordering = [order for order in query.order_by if not isinstance(order, str)]
    return not any(map(_is_raw, [query.where, *query.annotations.values(), *ordering]))


def _is_raw(expression: Any) -> bool:
    if isinstance(expression, RawSQL | ExtraWhere):
        return True
    inner: Iterable[Any] = getattr(expression, "get_source_expressions", tuple)()
    return any(map(_is_raw, inner))


def _join(value: QuerySet[Any], plan: _Plan) -> list[_ToOne]:
    """Let `value` hold its items, with what can be fetched by joins; returns these relations."""
    known = {key.name for key in vars(value)["_known_related_objects"]}
    joined = [single for single in plan.singles if single.name not in known] if _may_join(value.query) else []
    if joined:
        clone = value._chain() if FETCH_ONE is None else value.fetch_mode(FETCH_ONE)  # type: ignore[attr-defined]
        clone.query.add_select_related(_Plan(joined).joins()[:_MOST_JOINS])
        clone._fetch_all()
        value._result_cache = clone._result_cache
    return joined


# Items and what is fetched for them


class LoopItems:
    """The items of a loop. When it is over, they are as Django would have left them."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items
        self._held: list[Model] = []

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self.items
        finally:
            self._release()

    def hold(self, instances: Iterable[Any], plan: _Plan, joined: Sequence[_ToOne] = ()) -> None:
        """Let `instances` ask for what is in `plan`; what `joined` names has come with them."""
        # A list may name an instance twice, and instances of the same row of the database share
        # their lists.
        different = list({id(instance): instance for instance in instances}.values()) if plan else []
        for start in range(0, len(different), _BATCH):
            batch = _Batch(self, different[start : start + _BATCH], plan)
            self._held += batch.instances
            for single in joined:
                self.hold(batch.put_aside(single, batch.instances), single.plan, single.plan.singles)

    def _release(self) -> None:
        held, self._held = self._held, []
        for instance in held:
            if FETCH_ONE is not None and _early(instance) is not None:
                instance._state.fetch_mode = FETCH_ONE
            elif type(instance._state.fields_cache) is _Single:
                instance._state.fields_cache = dict(instance._state.fields_cache)
            if type(lists := vars(instance).get(_LISTS)) is _Many:
                vars(instance)[_LISTS] = {name: value for name, value in lists.items() if name not in lists.given}
                if not vars(instance)[_LISTS] and lists.is_new:
                    del vars(instance)[_LISTS]


class _Single(dict[str, Any]):
    """The cache of an instance's foreign keys.

    `waiting`: what was fetched early and not asked for, with the value of the key that it was
    fetched by.
    """

    def __init__(self, instance: Model, batch: _Batch) -> None:
        super().__init__(instance._state.fields_cache)
        self.instance, self.batch = instance, batch
        self.waiting: dict[str, tuple[Any, Any]] = {}

    def __missing__(self, name: str) -> Any:
        if name not in self.waiting:
            self.batch.fetch_single(name, self.instance)
        value = self[name] = self.waiting.pop(name)[1]
        return value

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or name in self.waiting

    def __delitem__(self, name: str) -> None:
        if self.waiting.pop(name, self) is self or dict.__contains__(self, name):
            dict.__delitem__(self, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class _Early(_FetchMode):  # type: ignore[misc] # its base depends on the version of Django
    """The fetch mode of an instance in a loop; for older versions of Django, see `_Single`."""

    track_peers = False

    def __init__(self, instance: Model, batch: _Batch) -> None:
        self.instance, self.batch = instance, batch
        self.waiting: dict[str, tuple[Any, Any]] = {}

    def fetch(self, fetcher: Any, instance: Model) -> None:
        """Fetch what `fetcher` is for. Django copies modes: `instance` may not be ours."""
        relation = fetcher.related if hasattr(fetcher, "related") else fetcher.field
        if instance is self.instance and not isinstance(fetcher, DeferredAttribute):
            name = relation.cache_name
            if name not in self.waiting:
                self.batch.fetch_single(name, instance)
            key, value = self.waiting.pop(name, (self, None))
            if key is not self and key == vars(instance).get(getattr(relation, "attname", "")):  # nobody has changed it
                relation.set_cached_value(instance, value)
                return
        with _usual_mode(instance):
            FETCH_ONE.fetch(fetcher, instance)

    def __reduce__(self) -> tuple[Any, ...]:
        return _fetch_one, ()


def _fetch_one() -> Any:
    return FETCH_ONE


@contextmanager
def _usual_mode(instance: Model) -> Iterator[None]:
    """What is fetched for `instance` gets Django's usual mode."""
    state: Any = instance._state
    if FETCH_ONE is None:
        yield
        return
    mode, state.fetch_mode = state.fetch_mode, FETCH_ONE
    try:
        yield
    finally:
        state.fetch_mode = mode


def _is_usual_mode(mode: Any) -> bool:
    """Whether the author of a queryset has left it to Django how its instances fetch relations."""
    return mode is FETCH_ONE or type(mode) is _Early


def _early(instance: Model) -> _Single | _Early | None:
    """Where an instance in a loop keeps what was fetched early and not asked for."""
    state: Any = instance._state
    if FETCH_ONE is None:
        return state.fields_cache if type(state.fields_cache) is _Single else None
    mode = state.fetch_mode
    return mode if type(mode) is _Early and mode.instance is instance else None


class _Many(dict[str, Any]):
    """The cache of an instance's lists, which asks `batch` for others; it was `given` these."""

    def __init__(self, instance: Model, batch: _Batch) -> None:
        super().__init__(vars(instance).get(_LISTS, ()))
        self.is_new = _LISTS not in vars(instance)
        self.given: set[str] = set()
        self.instance, self.batch = instance, batch

    def __missing__(self, name: str) -> Any:
        self.batch.fetch_list(name, self.instance)
        if name in self:
            return self[name]
        raise KeyError(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class _Batch:
    """Instances whose relations are fetched together.

    If it is not certain that each instance is asked for a relation, the first one gets it from
    Django. Often no other follows, as with the open entry of a list.
    """

    def __init__(self, rows: LoopItems, instances: list[Any], plan: _Plan) -> None:
        self.instances = instances
        self._rows = rows
        self._singles = {single.cache_name: single for single in plan.singles}
        self._lists = {many.cache_name: many for many in plan.lists}
        self._first: dict[str, Model] = {}
        for instance in instances:
            if FETCH_ONE is None:
                instance._state.fields_cache = _Single(instance, self)
            else:
                instance._state.fetch_mode = _Early(instance, self)
            vars(instance)[_LISTS] = _Many(instance, self)

    def _is_due(self, relation: _ToOne | _ToMany, asking: Model) -> bool:
        return relation.certain or self._first.setdefault(relation.cache_name, asking) is not asking

    def fetch_single(self, name: str, asking: Model) -> None:
        """Fetch the object `name` of all instances, if that is wanted now."""
        single = self._singles.get(name)
        if single is None or not single.may_ask(asking) or not self._is_due(single, asking):
            return
        del self._singles[name]
        without = [one for one in self.instances if single.may_ask(one) and not _has(one, name)]
        with _usual_mode(without[0]):
            prefetch_related_objects(without, single.name)
        self._rows.hold(self.put_aside(single, without), single.plan)

    def fetch_list(self, name: str, asking: Model) -> None:
        """Fetch the list `name` of all instances, if that is wanted now."""
        many = self._lists.get(name)
        if many is None or not self._is_due(many, asking):
            return
        del self._lists[name]
        objects: QuerySet[Any] = many.model._default_manager.all()
        joins = many.plan.joins()[:_MOST_JOINS]
        objects = objects.select_related(*joins) if joins else objects
        without = [instance for instance in self.instances if name not in vars(instance)[_LISTS]]
        prefetch_related_objects(without, Prefetch(many.name, objects))
        lists = [vars(instance)[_LISTS] for instance in without]
        for one in lists:
            one.given.add(name)
        self._rows.hold((row for one in lists for row in one[name]), many.plan, many.plan.singles)

    def put_aside(self, single: _ToOne, instances: list[Any]) -> list[Any]:
        """Let what was fetched for `single` wait until it is asked for; returns these objects."""
        found: dict[int, Any] = {}
        for instance in instances:
            cache = instance._state.fields_cache
            value = dict.pop(cache, single.cache_name, self)
            if value is self or (value is None and single.attname and single.may_ask(instance)):
                continue  # It was not fetched; or the key names nothing: Django has an error for that.
            if value is not None:
                value = _copy(value) if id(value) in found else value
                found[id(value)] = value
                if single.back:
                    single.back.set_cached_value(value, instance)
            early = _early(instance)
            assert early is not None, "only instances in a loop wait"
            early.waiting[single.cache_name] = vars(instance).get(single.attname), value
        return list(found.values())


def _has(instance: Model, name: str) -> bool:
    early = _early(instance)
    return name in instance._state.fields_cache or (early is not None and name in early.waiting)


def _copy(instance: Model) -> Model:
    """Another instance of the same row of the database."""
    names = [key.attname for key in instance._meta.concrete_fields]
    return type(instance).from_db(instance._state.db, names, copy.deepcopy([vars(instance)[name] for name in names]))
