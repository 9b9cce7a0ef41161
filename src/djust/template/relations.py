"""Relations that a loop reads are fetched for all of its items at once, instead of one by one.

    {% for order in orders %}{{ order.customer.name }}: {{ order.lines.all|length }}{% endfor %}

When `orders` is a queryset that nothing has evaluated yet, and its author has left it as it is, the customers come with
the orders (`select_related`), and the first order that is asked for its lines fetches those of all others, too
(`prefetch_related`): two queries, where Django makes one for each order and relation.

Nothing else may be different from Django. The queryset that the loop was given holds the items afterwards, as if the
loop had evaluated it. An item keeps what was fetched early in `_Single` and `_Many`, dictionaries of Django's own
kind that give it out when it is asked for; when the loop ends, what nobody asked for is forgotten, and so are
prefetched lists, because Django would ask the database again. So no later rendering shows what was fetched for
an earlier one, and no template makes more queries than in Django.

Left alone are querysets that are sliced, combined, raw, `values()`, locked, deferred, or fetch relations already;
generic foreign keys, descriptors and managers that are not Django's own; projects with database routers; and, for
joins, querysets with DISTINCT, GROUP BY or raw SQL, in which another table could be noticed. `auto_related = False`
on a live view, or on any context, switches all of it off.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from django.db import router
from django.db.models import ForeignKey, Manager, Model, Prefetch, QuerySet, prefetch_related_objects
from django.db.models.expressions import RawSQL
from django.db.models.fields import related_descriptors as descriptors
from django.db.models.query import ModelIterable
from django.db.models.sql import Query
from django.db.models.sql.where import ExtraWhere
from django.template import Context

from djust.template.lookups import EACH, Lookup
from djust.template.runtime import backwards, sequence

# Databases join some sixty tables at most.
_MOST_JOINS = 20
# So many items are prefetched for at once: databases limit the number of parameters of a query.
_BATCH = 1000

# What a class of querysets or managers must not have changed for us to know what it does.
_QUERYSET_METHODS = ("_chain", "_clone", "_fetch_all", "__iter__", "__len__", "__bool__", "all", "filter", "using")
_MANAGER_METHODS = ("get_queryset", "all")


def related(context: Context, value: Any, loop: Related, *, reverse: bool = False) -> Sequence[Any]:
    """What `{% for %}` iterates over, given `value`; relations that the loop reads are fetched early."""
    if isinstance(value, QuerySet) and value._result_cache is None and vars(context).get("auto_related", True):
        plan = loop.plan(value.model)
        if plan and _is_plain(value):
            rows = _fetched(value, plan)
            if reverse:
                rows.reverse()
            return rows
    found = sequence(value)
    return backwards(found) if reverse else found


# Plans


@dataclass(slots=True)
class _Plan:
    """What to fetch with instances of a model: single objects by join, lists by a query of their own."""

    singles: list[_ToOne] = field(default_factory=list)
    lists: list[_ToMany] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.singles or self.lists)

    def joins(self) -> list[str]:
        """The paths for `select_related`."""
        deeper = [(single, single.plan.joins()) for single in self.singles]
        return [path for single, inner in deeper for path in [single.name, *(f"{single.name}__{p}" for p in inner)]]


@dataclass(slots=True)
class _ToOne:
    """A foreign key, or a one-to-one relation from either side. `attname`: the instance's column, if it has one."""

    name: str
    cache_name: str
    attname: str
    plan: _Plan


@dataclass(slots=True)
class _ToMany:
    """The other side of a foreign key, or a many-to-many relation. `certain`: each instance's list is read."""

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
    if not _looks_up_attributes(model):
        return plan
    for name, inner in by_name.items():
        relation = inspect.getattr_static(model, name, None)
        if (single := _to_one(relation, inner, origin)) is not None:
            plan.singles.append(single)
        elif (many := _to_many(name, relation, inner)) is not None:
            plan.lists.append(many)
    return plan


def _looks_up_attributes(model: type[Model]) -> bool:
    return not hasattr(model, "__getitem__") and model.__getattribute__ is object.__getattribute__


def _to_one(relation: Any, inner: list[Lookup], origin: Any) -> _ToOne | None:
    """`origin` is not followed back: there, Django puts the instance we come from."""
    if type(relation) in (descriptors.ForwardManyToOneDescriptor, descriptors.ForwardOneToOneDescriptor):
        key: Any = relation.field
        target, cache_name, name, attname, back = key.related_model, key.cache_name, key.name, key.attname, key
    elif type(relation) is descriptors.ReverseOneToOneDescriptor:
        key = relation.related.field
        back = relation.related
        target, cache_name, name, attname = back.related_model, back.cache_name, key.related_query_name(), ""
    else:
        return None
    if not _is_usual(key) or back is origin or not _is_usual_manager(target._base_manager):
        return None
    return _ToOne(name, cache_name, attname, _planned(target, inner, back.remote_field))


def _is_usual(key: Any) -> bool:
    """Whether the database makes sure that what a foreign key names exists, and no model inherits through it."""
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
    # Anything but reading all of the list might query the database all the same.
    whole = [lookup for lookup in inner if lookup.path[:1] == ("all",)]
    read = [lookup for lookup in whole if lookup.path == ("all",) and lookup.reads]
    certain = any(lookup.certain for lookup in read)
    others = [lookup for lookup in inner if lookup.path[1:2] not in ((), (EACH,)) or lookup not in whole]
    unread = [lookup for lookup in whole if lookup.path == ("all",) and not lookup.reads]
    if not read or not (certain or not (others or unread)) or not _is_usual_manager(model._default_manager):
        return None
    rows = [lookup._replace(path=lookup.path[2:]) for lookup in whole if lookup.path[1:2] == (EACH,)]
    return _ToMany(name, cache_name, model, certain, _planned(model, rows, origin))


def _is_usual_manager(manager: Manager[Any]) -> bool:
    """Whether `manager` finds all objects of its model, as Django's own does."""
    usual = all(getattr(type(manager), name) is getattr(Manager, name) for name in _MANAGER_METHODS)
    return usual and _is_usual_queryset(manager.all())


def _is_usual_queryset(value: QuerySet[Any]) -> bool:
    return all(getattr(type(value), name) is getattr(QuerySet, name) for name in _QUERYSET_METHODS)


# Querysets


def _is_plain(value: QuerySet[Any]) -> bool:
    """Whether `value` gives whole model instances, and its author did not choose how relations are fetched."""
    query: Any = value.query
    return (
        value._iterable_class is ModelIterable
        and type(query) is Query
        and _is_usual_queryset(value)
        and not vars(value)["_prefetch_related_lookups"]
        and query.select_related is False
        and not (query.is_sliced or query.combinator or query.select_for_update or query.is_empty())
        and query.deferred_loading == (frozenset(), True)
        and not router.routers
    )


def _may_join(query: Any) -> bool:
    """Whether further tables cannot be noticed: no column is named without its table, or compared with all others."""
    if query.distinct or query.group_by is not None or query.extra or query.extra_tables or query.extra_order_by:
        return False
    ordering = [order for order in query.order_by if not isinstance(order, str)]
    return not any(map(_is_raw, [query.where, *query.annotations.values(), *ordering]))


def _is_raw(expression: Any) -> bool:
    if isinstance(expression, RawSQL | ExtraWhere):
        return True
    inner: Iterable[Any] = getattr(expression, "get_source_expressions", tuple)()
    return any(map(_is_raw, inner))


def _fetched(value: QuerySet[Any], plan: _Plan) -> Rows:
    """The items of `value`, which holds them afterwards."""
    known = {key.name for key in vars(value)["_known_related_objects"]}
    usable = _Plan([single for single in plan.singles if single.name not in known], plan.lists)
    joins = usable.joins()[:_MOST_JOINS] if _may_join(value.query) else []
    if joins:
        clone = value._chain()  # type: ignore[attr-defined]
        clone.query.add_select_related(joins)
        clone._fetch_all()
        value._result_cache = clone._result_cache
    value._fetch_all()
    rows = Rows(value._result_cache or ())
    rows.hold(rows.copy(), usable if joins else _Plan([], plan.lists))
    return rows


# Items and what is fetched for them


class Rows(list[Any]):
    """The items of a loop. When the loop has gone through them, they are as Django would have left them."""

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__(items)
        self._held: list[Model] = []

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from super().__iter__()
        finally:
            self._release()

    def hold(self, instances: list[Any], plan: _Plan) -> None:
        """Take what was fetched by joins out of `instances`, until they are asked for it."""
        if plan.singles:
            for single, found in [(single, _Single.take(instances, single)) for single in plan.singles]:
                self.hold(found, single.plan)
        if plan.lists:
            for start in range(0, len(instances), _BATCH):
                batch = _Batch(self, instances[start : start + _BATCH], plan.lists)
                for instance in batch.instances:
                    vars(instance)["_prefetched_objects_cache"] = _Many(batch)
        if plan:
            self._held += instances

    def _release(self) -> None:
        held, self._held = self._held, []
        for instance in held:
            if type(instance._state.fields_cache) is _Single:
                instance._state.fields_cache = dict(instance._state.fields_cache)
            if type(lists := vars(instance).get("_prefetched_objects_cache")) is _Many:
                if own := lists.of_others():
                    vars(instance)["_prefetched_objects_cache"] = own
                else:
                    del vars(instance)["_prefetched_objects_cache"]


class _Single(dict[str, Any]):
    """The cache of an instance's foreign keys. `waiting`: what was fetched early and not asked for."""

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(content)
        self.waiting: dict[str, Any] = {}

    @classmethod
    def take(cls, instances: list[Any], single: _ToOne) -> list[Any]:
        """Let what was fetched for `single` wait; returns these objects."""
        found = []
        for instance in instances:
            cache = instance._state.fields_cache
            if single.cache_name not in cache:
                continue
            if type(cache) is not cls:
                cache = instance._state.fields_cache = cls(cache)
            value = dict.pop(cache, single.cache_name)
            if value is not None:
                found.append(value)
            elif single.attname and getattr(instance, single.attname) is not None:
                continue  # The key names nothing: Django has an error for that.
            cache.waiting[single.cache_name] = value
        return found

    def __missing__(self, name: str) -> Any:
        self[name] = value = self.waiting.pop(name)
        return value

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or name in self.waiting

    def __delitem__(self, name: str) -> None:
        if self.waiting.pop(name, self) is self or dict.__contains__(self, name):
            dict.__delitem__(self, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class _Many(dict[str, Any]):
    """The cache of an instance's prefetched lists, which asks its `batch` for those it lacks."""

    def __init__(self, batch: _Batch) -> None:
        super().__init__()
        self.batch = batch

    def __missing__(self, name: str) -> Any:
        if self.batch.fetch(name, self) and name in self:
            return self[name]
        raise KeyError(name)

    def of_others(self) -> dict[str, Any]:
        """What the batch did not put here."""
        return {name: value for name, value in self.items() if name not in self.batch.fetched}

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class _Batch:
    """Instances whose lists are fetched together."""

    def __init__(self, rows: Rows, instances: list[Any], lists: Iterable[_ToMany]) -> None:
        self.instances = instances
        self.fetched: set[str] = set()
        self._rows = rows
        self._lists = {many.cache_name: many for many in lists}
        self._first: dict[str, _Many] = {}

    def fetch(self, name: str, asking: _Many) -> bool:
        """Fetch the list `name` of all instances, if that is wanted now.

        Where it is not certain that each instance is asked for it, the first one gets its list from Django: often it
        remains the only one, such as the open entry of a list.
        """
        many = self._lists.get(name)
        if many is None or not (many.certain or self._first.setdefault(name, asking) is not asking):
            return False
        del self._lists[name]
        objects: QuerySet[Any] = many.model._default_manager.all()
        joins = many.plan.joins()[:_MOST_JOINS]
        objects = objects.select_related(*joins) if joins else objects
        prefetch_related_objects(self.instances, Prefetch(many.name, objects))
        self.fetched.add(name)
        lists = [vars(instance)["_prefetched_objects_cache"][name] for instance in self.instances]
        # Instances of the same row of the database share their lists.
        self._rows.hold(list({id(row): row for found in lists for row in found}.values()), many.plan)
        return True
