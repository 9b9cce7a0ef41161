"""A topic for the changes of a model.

    # models.py
    PRODUCT_CHANGES = model_changes(Product)

    # views.py
    def mount(self, request):
        self.subscribe(PRODUCT_CHANGES)

    def handle_info(self, message):                 # Changed("shop.product", 7, "saved")
        self.products = list(Product.objects.all())

Call it where every process that changes the model imports it: beside the model. What a transaction has changed is
published after its commit, and nothing if it is rolled back. `QuerySet.update` and `bulk_create` send no signals in
Django, so nothing is published for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save

from djust.pubsub.hub import publish


@dataclass(frozen=True, slots=True)
class Changed:
    """A row of a model has changed: `kind` is "created", "saved" or "deleted", `model` its label in lower case."""

    model: str
    pk: Any
    kind: str


def model_changes(model: type[Model]) -> str:
    """The topic of a model's changes, which are published from now on by this process."""
    label = model._meta.label_lower
    post_save.connect(_saved, sender=model, dispatch_uid=("djust", label))
    post_delete.connect(_deleted, sender=model, dispatch_uid=("djust", label))
    for field in model._meta.many_to_many:
        m2m_changed.connect(_linked, sender=field.remote_field.through, dispatch_uid=("djust", label))
    return f"model:{label}"


def _saved(sender: type[Model], instance: Model, *, created: bool, using: str, raw: bool, **_: Any) -> None:
    if not raw:
        _publish(sender, instance.pk, "created" if created else "saved", using)


def _deleted(sender: type[Model], instance: Model, *, using: str, **_: Any) -> None:
    _publish(sender, instance.pk, "deleted", using)


def _linked(instance: Model, *, action: str, reverse: bool, model: type[Model], **rest: Any) -> None:
    if not action.startswith("post_"):
        return
    if not reverse:
        _publish(type(instance), instance.pk, "saved", rest["using"])
        return
    for pk in rest["pk_set"] or ():
        _publish(model, pk, "saved", rest["using"])


def _publish(model: type[Model], pk: Any, kind: str, using: str) -> None:
    label = model._meta.concrete_model._meta.label_lower if model._meta.concrete_model else model._meta.label_lower
    send = partial(publish, f"model:{label}", Changed(label, pk, kind))
    transaction.on_commit(send, using=using, robust=True)
