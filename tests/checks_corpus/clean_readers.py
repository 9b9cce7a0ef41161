"""Attributes of views that other code of the project reads: nothing is found. Each marked line is a sample."""

from django.core.exceptions import PermissionDenied

from djust import LiveView


class Form(LiveView):
    template = ""


def run_ticks(page):
    page.handle_tick(page)


class FromOutside(Form):
    def handle_tick(self, page):  # fine
        pass


class Router:
    def handle_params(self, view, params):
        return view.handle_params(params)


class FromClass(Form):
    def handle_params(self, params):  # fine
        pass


class Guarding:
    def __init__(self, get_response):
        self.get_response = get_response

    def process_view(self, request, view_func, args, kwargs):
        view = getattr(view_func, "view_class", None)
        if getattr(view, "require_login", False) or view.auth_required:
            raise PermissionDenied


class ByMiddleware(Form):
    require_login = True  # fine
    auth_required = True  # fine


def guarded(kind):
    kind.group = kind.group_required
    return kind


@guarded
class ByDecorator(Form):
    group_required = "staff"  # fine


CHECKED = ("superuser_required",)


class ByName(Form):
    superuser_required = True  # fine


class UsedFromOutside(Form):
    def check_permission(self, request):  # fine
        return True


def may_see(live_view, request):
    return live_view.check_permission(request)
