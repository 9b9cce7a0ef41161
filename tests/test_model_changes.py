"""The topic of a model's changes: published after the commit, by whoever saves, deletes or links a row."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.http import HttpRequest
from django.urls import path

from djust import LiveView, event_handler, model_changes, state
from djust.pubsub import Changed
from tests.asgi_client import Browser

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
async def test_changes_are_heard_after_the_commit(how: str, expected: list[str]) -> None:
    async with Browser() as browser:
        page = await browser.open("/")
        answer = await page.event("change", {"how": how})
        (pk,) = answer[4]["reply"]
        heard: list[str] = []
        while len(heard) < len(expected):
            heard = (await page.receive())[2][1].split()
        assert heard == [f"{kind}:{pk}" for kind in expected]


async def test_nothing_is_heard_of_what_was_rolled_back() -> None:
    async with Browser() as browser:
        page = await browser.open("/")
        await page.event("change", {"how": "roll back"})
        answer = await page.event("change", {"how": "create"})
        (pk,) = answer[4]["reply"]
        assert (await page.receive())[2][1] == f"created:{pk}"


def test_the_topic_names_the_model() -> None:
    assert (GROUP_CHANGES, model_changes(User)) == ("model:auth.group", "model:auth.user")
