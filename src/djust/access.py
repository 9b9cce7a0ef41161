"""Guards that a view declares as class attributes; `LiveView.dispatch` asks for them.

    class OrdersView(LiveView):
        login_required = True
        permission_required = "shop.view_order"             # or several
        login_url = "/welcome/"

        def check_permissions(self, request):               # False or PermissionDenied refuses
            return request.user.shop_id == self.kwargs["shop_id"]

They refuse as Django's mixins do: an anonymous visitor is redirected to the login page, and
everybody else gets 403. `raise_exception`, `redirect_field_name` and `permission_denied_message`
mean what they mean there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

_MIXIN = "django.contrib.auth.mixins.AccessMixin"
_OF_MIXIN = ("login_url", "raise_exception", "redirect_field_name", "permission_denied_message")

NAMES = frozenset({"login_required", "permission_required", "check_permissions", "login_url"})


def declares_guards(view: object) -> bool:
    """Whether a view, or a class of views, has any of the attributes that may refuse a visitor."""
    return any(getattr(view, name, None) for name in ("login_required", "permission_required", "check_permissions"))


def refusal(view: Any, request: HttpRequest) -> HttpResponseBase | None:
    """The answer to a visitor whom the attributes of `view` refuse; None for everybody else.

    Raises `PermissionDenied` as Django's mixins do, `ImproperlyConfigured` without `request.user`.
    """
    if getattr(view, "login_required", False) and not _user(view, request).is_authenticated:
        return _no_permission(view, request)
    # Django's own mixin reads the same attribute, in its own `has_permission` perhaps.
    permissions = None if hasattr(view, "get_permission_required") else getattr(view, "permission_required", None)
    if permissions is not None and not _user(view, request).has_perms(_names(view, permissions)):
        return _no_permission(view, request)
    check = getattr(view, "check_permissions", None)
    if check is None:
        return None
    verdict = async_to_sync(check)(request) if iscoroutinefunction(check) else check(request)
    if isinstance(verdict, HttpResponseBase):
        return verdict
    # A method that only raises returns None.
    return None if verdict is None or verdict else _no_permission(view, request)


def _user(view: Any, request: HttpRequest) -> Any:
    user = getattr(request, "user", None)
    if user is None:
        raise ImproperlyConfigured(
            f"{type(view).__name__} is for users only (login_required, permission_required), and the request has no "
            "user. Add django.contrib.auth.middleware.AuthenticationMiddleware to MIDDLEWARE."
        )
    return user


def _names(view: Any, permissions: object) -> tuple[str, ...]:
    names = (permissions,) if isinstance(permissions, str) else permissions
    if isinstance(names, Iterable):
        found = tuple(names)
        if found and all(isinstance(name, str) and name for name in found):
            return found
    raise ImproperlyConfigured(
        f"{type(view).__name__}.permission_required must be the name of a permission such as "
        f"'shop.view_order', or several; got {permissions!r}."
    )


def _no_permission(view: Any, request: HttpRequest) -> HttpResponseBase:
    if hasattr(view, "handle_no_permission"):
        answer: HttpResponseBase = view.handle_no_permission()
        return answer
    # By name: its module can only be imported where its app is installed.
    mixin = import_string(_MIXIN)()
    mixin.request = request
    for name in _OF_MIXIN:
        if (value := getattr(view, name, None)) is not None:
            setattr(mixin, name, value)
    refused: HttpResponseBase = mixin.handle_no_permission()
    return refused
