"""Django's admin, rendered by our back end."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection
from django.template.base import Template
from django.test import Client, override_settings
from django.test.utils import _TestState, modify_settings
from django.urls import path

OURS = "djust.template.backend.DjangoTemplates"
DJANGOS = "django.template.backends.django.DjangoTemplates"


@pytest.fixture(params=["in tests", "in production"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test runs twice: as Django prepares tests, where it replaces `Template._render`, and
    without that.
    """
    if request.param == "in production":
        monkeypatch.setattr(Template, "_render", _TestState.saved_data.template_render)


@pytest.fixture
def admin_site(db: None) -> Iterator[None]:
    with modify_settings(INSTALLED_APPS={"append": "django.contrib.admin"}):
        from django.contrib.admin import AdminSite
        from django.contrib.admin.models import LogEntry
        from django.contrib.auth.admin import GroupAdmin, UserAdmin

        statement, _ = connection.schema_editor().table_sql(LogEntry)
        with connection.cursor() as cursor:
            cursor.execute(statement)
        site = AdminSite()
        site.register(User, UserAdmin)
        site.register(Group, GroupAdmin)

        class Urls:
            urlpatterns = [path("admin/", site.urls)]

        with override_settings(ROOT_URLCONF=Urls):
            yield


ADMIN_PAGES = [
    "/admin/login/",
    "/admin/",
    "/admin/auth/",
    "/admin/auth/user/",
    "/admin/auth/user/?q=user&is_staff__exact=0&o=-1&p=2",
    "/admin/auth/user/add/",
    "/admin/auth/user/1/change/",
    "/admin/auth/user/1/delete/",
    "/admin/auth/user/1/history/",
    "/admin/auth/group/add/?_popup=1",
    "/admin/password_change/",
    "/admin/auth/nothing/",
]


@pytest.mark.usefixtures("mode")
@pytest.mark.usefixtures("admin_site")
@pytest.mark.parametrize("url", ADMIN_PAGES)
def test_admin_pages_are_djangos_byte_for_byte(url: str) -> None:
    User.objects.bulk_create([User(id=n, username=f"user{n}", email=f"<{n}>@example.com") for n in range(1, 130)])
    client = Client()
    if "login" not in url:
        client.force_login(User.objects.create_superuser("root", id=1000))
    pages = []
    for backend in (DJANGOS, OURS):
        options = {"context_processors": settings.TEMPLATES[0]["OPTIONS"]["context_processors"]}
        own = [{"BACKEND": backend, "APP_DIRS": True, "OPTIONS": options}]
        with override_settings(TEMPLATES=own):
            response = client.get(url)
        names = [template.name for template in response.templates or ()]
        pages.append((response.status_code, names, without_token(response.content.decode())))
    assert pages[0] == pages[1]
    assert pages[0][0] == (404 if "nothing" in url else 200)


def without_token(html: str) -> str:
    return re.sub(r'(name="csrfmiddlewaretoken" value=")\w+', r"\1", html)
