"""Names that djust does not read, and something else does: nothing is found. Each marked line is a sample."""

from typing import TYPE_CHECKING

from django import forms
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin, UserPassesTestMixin
from django.core.exceptions import PermissionDenied
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.generic import DetailView
from django.views.generic.edit import FormMixin

from djust import LiveView, computed, event_handler, service, state


class Form(LiveView):
    template = ""


class Contact(forms.Form):
    name = forms.CharField()


class Handlers(Form):
    @event_handler
    def handle_tick(self):  # fine
        pass

    @event_handler
    async def handle_params(self, page: int = 1):  # fine
        pass

    @event_handler
    def check_permission(self, name: str = ""):  # fine
        pass


class Declared(Form):
    tick_interval = state(default=5)  # fine
    temporary_assigns: dict = state(default_factory=dict)  # fine
    on_mount = service(dict)  # fine
    permission_classes = state(default=[])  # fine

    @computed
    def has_permission(self):  # fine
        return True


class OnlyAnnotated(Form):
    tick_interval: int  # fine
    form_class: "type[Contact]"  # fine
    requires_login: bool  # fine
    if TYPE_CHECKING:
        on_mount: list  # fine


class InInstances(Form):
    def mount(self, request):
        self.tick_interval = 5  # fine
        self.requires_login = True  # fine


class OwnLoop(Form):
    tick_interval = 5  # fine

    def mount(self, request):
        self.start_async(self._run)

    def _run(self):
        self.handle_tick(self.tick_interval)

    def handle_tick(self, seconds):  # fine
        self.assign_later(now=seconds)


class OwnForm(Form):
    form_class = Contact  # fine

    def mount(self, request):
        self._form = self.form_class()

    @event_handler
    def save(self, **data):
        self._form = form = self.form_class(data)
        return self.form_valid(form) if form.is_valid() else self.form_invalid(form)

    def form_valid(self, form):  # fine
        self.saved = True

    def form_invalid(self, form):  # fine
        self.saved = False


class OtherForm(OwnForm):
    form_class = Contact  # fine

    def form_valid(self, form):  # fine
        super().form_valid(form)


class WithoutFormClass(Form):
    def form_valid(self, form):  # fine
        pass


class DjangoForm(FormMixin, Form):
    form_class = Contact  # fine

    @event_handler
    def save(self, **data):
        form = self.get_form()
        return self.form_valid(form) if form.is_valid() else self.form_invalid(form)

    def form_valid(self, form):  # fine
        return None


class DjangoFormWithoutHandlers(FormMixin, DetailView, Form):
    form_class = Contact  # fine

    def form_invalid(self, form):  # fine
        return None


class Mentioned(Form):
    on_mount = [print]  # fine
    temporary_assigns = {"rows": []}  # fine

    def mount(self, request):
        for hook in type(self).on_mount:
            hook(self)

    def get_context_data(self, **kwargs):
        return super().get_context_data(**getattr(self, "temporary_assigns", {}), **kwargs)


class ByClassName(Form):
    temporary_assigns = {"rows": []}  # fine

    def mount(self, request):
        self.rows = ByClassName.temporary_assigns["rows"]


class InSubclass(Form):
    tick_interval = 5  # fine


class SubclassReads(InSubclass):
    def mount(self, request):
        self.seconds = self.__class__.tick_interval


class ReadsItsAttributes(type):
    def __init__(cls, name, bases, namespace):
        super().__init__(name, bases, namespace)
        cls.hooks = list(cls.on_mount)


class OfMetaclass(Form, metaclass=ReadsItsAttributes):
    on_mount = []  # fine


class InTemplate(LiveView):
    template = '<p dj-hook="Clock" data-interval="{{ view.tick_interval }}"></p>'
    tick_interval = 5  # fine


class Silenced(Form):
    tick_interval = 5  # noqa: V010
    requires_login = True  # noqa: V011
    temporary_assigns = {
        "rows": [],
    }  # noqa: V010

    @method_decorator(never_cache)
    def handle_params(self, params, uri):  # noqa: V010
        pass


class RealGuards(Form):
    login_required = True  # fine
    login_url = "/in/"  # fine
    permission_required = "shop.view_order"  # fine
    raise_exception = True  # fine
    redirect_field_name = "to"  # fine
    permission_denied_message = "No."  # fine

    def check_permissions(self, request):  # fine
        return True

    def authorize(self, handler):  # fine
        return True

    def on_event(self, handler):  # fine
        return True


class DjangoPermission(PermissionRequiredMixin, Form):
    permission_required = "shop.view_order"  # fine

    def has_permission(self):  # fine
        return True


class DjangoTest(UserPassesTestMixin, Form):
    def test_func(self):  # fine
        return True


class DjangoLogin(LoginRequiredMixin, Form):
    raise_exception = True  # fine


class SwitchedOff(Form):
    login_require = False  # fine
    permissions_required = ()  # fine
    permission_classes = None  # fine
    staff_required = ""  # fine


class GuardMixin:
    requires_login = False

    def dispatch(self, request, *args, **kwargs):
        if self.requires_login and not request.user.is_authenticated:
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)


class ByMixin(GuardMixin, Form):
    requires_login = True  # fine


class UsedByItself(Form):
    def has_permission(self):  # fine
        return self.request.user.is_staff

    def check_permissions(self, request):
        return self.has_permission()


class UsedByTemplate(LiveView):
    template = "{% if view.has_permission %}yes{% endif %}"

    def has_permission(self):  # fine
        return True
