"""Attributes that nothing reads, and guards that guard nothing (V010, V011)."""

from dataclasses import dataclass, field
from typing import ClassVar

from django import forms
from django.contrib.auth.mixins import LoginRequiredMixin
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.generic import FormView

from djust import LiveView, event_handler, state


class Form(LiveView):
    template = ""


class Contact(forms.Form):
    name = forms.CharField()


class Search(Form):
    rows = state(default=[])

    def handle_params(self, params, uri):  # expect: V010
        self.rows = [params]  # noqa


class AsyncSearch(Form):
    async def handle_params(self, params, uri):  # expect: V010
        await super().handle_params(params, uri)


class Clock(Form):
    now = state(default=0)
    tick_interval = 1000  # expect: V010

    def handle_tick(self):  # expect: V010
        self.now += self.tick_interval


class FasterClock(Clock):
    tick_interval = Clock.tick_interval // 2  # expect: V010

    @method_decorator(never_cache)
    def handle_tick(self):  # expect: V010
        super().handle_tick()


class Messages(Form):
    temporary_assigns = {"messages": []}  # expect: V010
    on_mount = [print]  # expect: V010


class WithoutValues(Form):
    temporary_assigns = {}  # expect: V010
    tick_interval = 0  # expect: V010
    on_mount = form_class = None  # expect: V010


class Annotated(Form):
    on_mount: ClassVar[list[str]] = ["log"]  # expect: V010


@dataclass
class Fields(Form):
    temporary_assigns: dict = field(default_factory=dict)  # expect: V010
    tick_interval: int = 5  # expect: V010


class InBranches(Form):
    if True:
        tick_interval = 5  # expect: V010
    else:
        on_mount = []  # expect: V010
    try:
        import somewhere
    except ImportError:
        temporary_assigns = {}  # expect: V010


class SeveralLines(Form):
    temporary_assigns = {  # expect: V010
        "messages": [],
    }


class TickMixin:
    tick_interval = 5  # expect: V010


class Ticking(TickMixin, Form):
    def handle_tick(self):  # expect: V010
        pass


class Signup(Form):
    form_class = Contact  # expect: V010

    def form_valid(self, form):  # expect: V010
        return self.form_invalid(form)

    def form_invalid(self, form):  # expect: V010
        return self.form_class()


class PropertyForm(Form):
    @property
    def form_class(self):  # expect: V010
        return Contact


class OtherView(FormView):
    """It reads these names of itself, not of live views."""

    form_class = Contact
    requires_login = True

    def dispatch(self, request, *args, **kwargs):
        return self.requires_login and self.handle_tick(self.form_class)

    def handle_tick(self, form):
        return form


def other_fields():
    return OtherView.form_class, OtherView.requires_login


class Login1(Form):
    login_require = True  # expect: V011


class Login2(Form):
    require_login = True  # expect: V011


class Login3(Form):
    requires_login: bool = True  # expect: V011


class Login4(LoginRequiredMixin, Form):
    auth_required = "yes"  # expect: V011


class Permissions1(Form):
    permissions_required = ("shop.view_order",)  # expect: V011


class Permissions2(Form):
    permission_requires = "shop.view_order"  # expect: V011


class Permissions3(Form):
    required_permissions = ["shop.view_order"]  # expect: V011


class IsAdmin:
    pass


class Permissions4(Form):
    permission_classes = [IsAdmin]  # expect: V011

    def mount(self, request):
        self.allowed = request.user.has_permission("x") and self.request.user.check_permission(self)


class Checks1(Form):
    def check_permission(self, request):  # expect: V011
        return super().check_permission(request) and self.has_permission()

    def has_permission(self):  # expect: V011
        return self.request.user.is_staff


class Checks2(Form):
    async def has_permission(self):  # expect: V011
        return True


class Checks3(Form):
    def test_func(self):  # expect: V011
        return self.request.user.is_staff


class Public(Form):
    requires_login = False


class Private(Public):
    requires_login = True  # expect: V011


class PrivateMixin:
    require_login = True  # expect: V011


class Mixed(PrivateMixin, View):
    def get(self, request):
        return None


class MixedLive(PrivateMixin, Form):
    @event_handler
    def save(self):
        pass
