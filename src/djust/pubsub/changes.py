"""A topic for the changes of a model.

    # models.py
    PRODUCT_CHANGES = model_changes(Product)

    # views.py
    def mount(self, request):
        self.subscribe(PRODUCT_CHANGES)

    def handle_info(self, message):                 # Changed("shop.product", 7, "saved")
        self.products = list(Product.objects.all())

Call it where every process that changes the model imports it: beside the model. What a transaction
has changed is published after its commit, and nothing if it is rolled back. `QuerySet.update` and
`bulk_create` send no signals in Django, so nothing is published for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.db.models.fields.related import lazy_related_operation
from django.db.models.signals import class_prepared, m2m_changed, post_delete, post_save

from djust.pubsub.hub import publish


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of a row: `kind` is "created", "saved" or "deleted", `model` its label."""

    model: str
    pk: Any
    kind: str


# Only these models have receivers: with receivers for all models, Django would delete rows one by
# one.
_watched: set[type[Model]] = set()


def model_changes(model: type[Model]) -> str:
    """The topic of a model's changes, which are published from now on by this process.

    A proxy has the topic of its model. A change of a model that inherits from it is a change of the
    model, too.
    """
    concrete = model._meta.concrete_model
    if concrete is None or model._meta.abstract:
        raise TypeError(f"model_changes({model.__name__}): it is abstract and has no rows. Name a model that has.")
    _watched.add(concrete)
    _follow(concrete)
    return _topic(concrete)


def _topic(model: type[Model]) -> str:
    return f"model:{model._meta.label_lower}"


def _follow(model: type[Model]) -> None:
    """Receive the signals of a model and of its subclasses: they name the class that was saved."""
    if _watched.isdisjoint(model.__mro__):
        return
    if not model._meta.abstract:
        post_save.connect(_saved, sender=model)
        post_delete.connect(_deleted, sender=model)
        for field in model._meta.many_to_many:
            # It may be the name of a model that is not loaded yet. A model that was swapped for
            # another one has no signals.
            if (through := field.remote_field.through) is not None:
                lazy_related_operation(_follow_links, model, through)
    for derived in model.__subclasses__():
        _follow(derived)


def _follow_links(_: type[Model], through: type[Model]) -> None:
    m2m_changed.connect(_linked, sender=through)


def _prepared(sender: type[Model], **_: Any) -> None:
    _follow(sender)


class_prepared.connect(_prepared)


def _saved(sender: type[Model], instance: Model, *, created: bool, using: str, raw: bool, **_: Any) -> None:
    if not raw:
        _publish_all(instance, "created" if created else "saved", using)


def _deleted(sender: type[Model], instance: Model, *, using: str, **_: Any) -> None:
    # The rows of the models from which it inherits have signals of their own.
    _publish(sender, instance.pk, "deleted", using)


def _linked(instance: Model, *, action: str, reverse: bool, model: type[Model], **rest: Any) -> None:
    if not action.startswith("post_"):
        return
    if not reverse:
        _publish_all(instance, "saved", rest["using"])
        return
    for pk in rest["pk_set"] or ():
        _publish(model, pk, "saved", rest["using"])


def _publish_all(instance: Model, kind: str, using: str) -> None:
    """A row has changed, and that of each model from which its own inherits."""
    concrete = instance._meta.concrete_model or type(instance)
    for model in (concrete, *concrete._meta.get_parent_list()):
        _publish(model, getattr(instance, model._meta.pk.attname), kind, using)


def _publish(model: type[Model], pk: Any, kind: str, using: str) -> None:
    concrete = model._meta.concrete_model
    if concrete in _watched:
        send = partial(publish, _topic(concrete), Changed(concrete._meta.label_lower, pk, kind))
        transaction.on_commit(send, using=using, robust=True)
