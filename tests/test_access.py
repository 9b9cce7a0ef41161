"""The attributes of a view that guard it: who gets the page."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from djust import LiveView


class Page(LiveView):
    template = "<p>open</p>"


def answer(view_class: type[LiveView], user: Any) -> HttpResponse:
    request = RequestFactory().get("/page/?x=1")
    if user is not None:
        request.user = user
    response: HttpResponse = view_class.as_view()(request)
    return response


class Visitor:
    def __init__(self, *permissions: str, is_authenticated: bool = True) -> None:
        self.permissions, self.is_authenticated = permissions, is_authenticated

    def has_perms(self, names: Any) -> bool:
        return set(names) <= set(self.permissions)


MEMBER, STRANGER = Visitor("a.x", "a.y"), Visitor(is_authenticated=False)


def guarded(*bases: type, **attributes: Any) -> type[LiveView]:
    return type("Guarded", (*bases, LiveView), {"template": "<p>open</p>", **attributes})


@pytest.mark.parametrize(
    ("attributes", "where"),
    [
        ({}, "/accounts/login/?next=/page/%3Fx%3D1"),
        ({"login_url": "/welcome/"}, "/welcome/?next=/page/%3Fx%3D1"),
        ({"login_url": "/welcome/", "redirect_field_name": "then"}, "/welcome/?then=/page/%3Fx%3D1"),
    ],
)
@pytest.mark.parametrize("guard", [{"login_required": True}, {"permission_required": "a.x"}])
def test_strangers_are_redirected_to_the_login(guard: Any, attributes: Any, where: str) -> None:
    response = answer(guarded(**guard, **attributes), STRANGER)
    assert (response.status_code, response["Location"]) == (302, where)
    with pytest.raises(PermissionDenied, match="members only"):
        answer(guarded(**guard, raise_exception=True, permission_denied_message="members only"), STRANGER)


@pytest.mark.parametrize("names", ["a.x", ["a.x", "a.y"], ("a.y",), {"a.x"}])
def test_permissions_are_one_name_or_several(names: Any) -> None:
    assert answer(guarded(permission_required=names), MEMBER).status_code == 200
    with pytest.raises(PermissionDenied):
        answer(guarded(permission_required=names), Visitor())


@pytest.mark.parametrize("names", ["", [], (), 7, True, [None], ["a.x", ""]])
def test_permissions_that_name_nothing_are_a_mistake(names: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="must be the name of a permission"):
        answer(guarded(permission_required=names), MEMBER)


@pytest.mark.parametrize("guard", [{"login_required": True}, {"permission_required": "a.x"}])
def test_a_request_without_a_user_is_a_mistake(guard: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="AuthenticationMiddleware"):
        answer(guarded(**guard), None)


@pytest.mark.parametrize("is_async", [False, True])
def test_check_permissions_may_refuse_in_every_way(is_async: bool) -> None:
    def view(verdict: Any) -> type[LiveView]:
        def check(self: Any, request: HttpRequest) -> Any:
            if isinstance(verdict, Exception):
                raise verdict
            return verdict

        async def check_on_loop(self: Any, request: HttpRequest) -> Any:
            return check(self, request)

        return guarded(check_permissions=check_on_loop if is_async else check)

    for verdict in (True, None, 1):
        assert answer(view(verdict), MEMBER).status_code == 200
    for verdict in (False, 0, "", PermissionDenied()):
        with pytest.raises(PermissionDenied):
            answer(view(verdict), MEMBER)
    assert answer(view(False), STRANGER).status_code == 302
    assert answer(view(HttpResponse(status=451)), MEMBER).status_code == 451


@pytest.mark.parametrize("mixin", [LoginRequiredMixin, PermissionRequiredMixin])
def test_a_mixin_after_the_view_in_the_bases_guards_nothing_less(mixin: type[Any]) -> None:
    class After(Page, mixin):  # type: ignore[misc]
        login_required = True
        permission_required = ("a.x",)

    assert answer(After, STRANGER).status_code == 302
    assert answer(After, MEMBER).status_code == 200
