"""The topic of a model's changes: published after the commit, by every process that saves, deletes
or links a row.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import AbstractUser, Group, Permission, User
from django.db import transaction
from django.http import HttpRequest
from django.test.utils import isolate_apps
from django.urls import path

from djust import LiveView, event_handler, model_changes, publish, state
from djust.pubsub import Changed
from djust.pubsub.hub import hub
from djust.pubsub.subscriptions import Inbox
from tests.asgi_client import Browser
from tests.myapp.models import Express, Parcel, Urgent

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

GROUP_CHANGES = model_changes(Group)


class Groups(LiveView):
    template = "<body><p>{{ changes|join:' ' }}</p></body>"
    changes: list[str] = state(default=[])

    def mount(self, request: HttpRequest) -> None:
        self.subscribe(GROUP_CHANGES)

    def handle_info(self, message: Changed) -> None:
        assert message.model == "auth.group"
        self.changes.append(f"{message.kind}:{message.pk}")

    @event_handler
    def change(self, how: str) -> list[Any]:
        with transaction.atomic():
            group, _ = Group.objects.get_or_create(name="authors")
            changed = [group.pk]
            if how == "rename":
                group.name = "writers"
                group.save()
            elif how == "link":
                group.permissions.add(Permission.objects.first())
            elif how == "delete":
                group.delete()
            elif how == "roll back":
                transaction.set_rollback(True)
        return changed


urlpatterns = [path("", Groups.as_view())]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("create", ["created"]),
        ("rename", ["created", "saved"]),
        ("link", ["created", "saved"]),
        ("delete", ["created", "deleted"]),
    ],
)
async def test_changes_are_received_after_the_commit(how: str, expected: list[str]) -> None:
    async with Browser() as browser:
        page = await browser.open("/")
        answer = await page.event("change", {"how": how})
        (pk,) = answer[4]["reply"]
        heard: list[str] = []
        while len(heard) < len(expected):
            heard = (await page.receive())[2][1].split()
        assert heard == [f"{kind}:{pk}" for kind in expected]


async def test_nothing_is_received_of_what_was_rolled_back() -> None:
    async with Browser() as browser:
        page = await browser.open("/")
        await page.event("change", {"how": "roll back"})
        answer = await page.event("change", {"how": "create"})
        (pk,) = answer[4]["reply"]
        assert (await page.receive())[2][1] == f"created:{pk}"


def test_the_topic_names_the_model() -> None:
    assert (GROUP_CHANGES, model_changes(User)) == ("model:auth.group", "model:auth.user")


@contextmanager
def heard(topic: str) -> Iterator[Callable[[], list[Any]]]:
    """Gives what was published to a topic so far."""
    called = threading.Event()
    inbox = Inbox(called.set)
    hub.subscribe(inbox, topic).result(10)

    def messages() -> list[Any]:
        found: list[Any] = []
        publish(topic, "end")
        while "end" not in found:
            assert called.wait(10)
            called.clear()
            found += [publication.message for publication in inbox.drain()]
        return found[:-1]

    yield messages
    hub.unsubscribe(inbox, [topic])


def test_a_proxy_has_the_topic_of_its_model_whichever_class_saves() -> None:
    assert model_changes(Urgent) == model_changes(Express) == "model:myapp.express"
    with heard("model:myapp.express") as messages:
        fast, urgent = Express.objects.create(code="a"), Urgent.objects.create(code="b")
        assert messages() == [Changed("myapp.express", row.pk, "created") for row in (fast, urgent)]
        keys = [urgent.pk, fast.pk]
        urgent.delete()
        fast.delete()
        assert messages() == [Changed("myapp.express", pk, "deleted") for pk in keys]


def test_a_row_of_a_model_that_inherits_is_a_row_of_its_parent() -> None:
    with heard(model_changes(Parcel)) as messages:
        urgent = Urgent.objects.create(code="c")
        urgent.save()
        pk = urgent.pk
        urgent.delete()
        assert messages() == [Changed("myapp.parcel", pk, kind) for kind in ("created", "saved", "deleted")]


@isolate_apps("tests.myapp")
def test_models_that_are_made_later_are_followed_as_well() -> None:
    topic = model_changes(Parcel)

    class Later(Parcel):
        class Meta:
            app_label = "myapp"
            proxy = True

    with heard(topic) as messages:
        row = Later.objects.create(code="d")
        assert messages() == [Changed("myapp.parcel", row.pk, "created")]


def test_an_abstract_model_has_no_changes() -> None:
    with pytest.raises(TypeError, match=r"model_changes\(AbstractUser\): it is abstract"):
        model_changes(AbstractUser)
