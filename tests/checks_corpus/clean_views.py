"""Views that work, however unusual: nothing is found. Each marked line is a sample."""

import dataclasses
import datetime
import decimal
import enum
import functools
import typing
import uuid

from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from djust import LiveView, background, computed, event_handler, state


class BaseView(LiveView):  # fine
    """An abstract view has no template yet."""


class AbstractList(LiveView):  # fine
    pass


class TableMixin(LiveView):  # fine
    pass


class Parent(LiveView):  # fine
    def mount(self, request):
        self.x = 1


class Child(Parent):
    template = ""  # fine


class GrandChild(Child):  # fine
    pass


class OwnTemplate(LiveView):
    def get_template(self):  # fine
        return super().get_template()


class OwnAnswer(LiveView):
    def get(self, request, *args, **kwargs):  # fine
        return HttpResponse("")


class Silent(LiveView):  # noqa: V001
    pass


class Form(LiveView):
    template = ""


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def unwrapped(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class Mount1(Form):
    def mount(self, request):  # fine
        pass


class Mount2(Form):
    async def mount(self, request, pk, *, limit=1, **kwargs):  # fine
        pass


class Mount3(Form):
    def mount(self, *args, **kwargs):  # fine
        pass


class Mount4(Form):
    def mount(self, req, /, *args):  # fine
        pass


class Mount5(Form):
    @logged
    def mount(self, request, slug="x"):  # fine
        pass


class Mount6(Form):
    @unwrapped
    def mount(self, request):  # fine
        pass


class Mount7(Form):
    def mount(self, request):  # fine
        def rows():
            yield 1

        self.rows = list(rows())


class Mount8(Form):
    def restore(self, request, **kwargs):  # fine
        pass


@method_decorator(never_cache, name="dispatch")
class Decorated(PermissionRequiredMixin, Form):  # fine
    permission_required = "x.y"


class NotHandlers(Form):
    count = state(default=0)

    def mount(self, request, **kwargs):  # fine
        self.increase_by(1)

    def increase_by(self, number, **kwargs):  # fine
        self.count += number

    def load(self):  # fine
        self.count = 2

    def on_the_way(self):  # fine
        return self.count

    def _on_click(self, **kwargs):  # fine
        self.count = 1

    def handle_info(self, message):  # fine
        self.count = 1

    def handle_async(self, name, result):  # fine
        self.count = 1

    def handle_error(self, event, error):  # fine
        self.count = 1

    def get_context_data(self, **kwargs):  # fine
        self.count = 3
        return super().get_context_data(**kwargs)

    @unwrapped
    def on_change(self, **kwargs):  # fine
        self.count = 3

    def on_ready(self, **kwargs):  # noqa: V004
        self.count = 3

    def on_later(self, **kwargs):  # fine
        self.count = 4

    callbacks = ["on_later"]

    @computed
    def total(self, **kwargs):  # fine
        return self.count

    @event_handler
    @background
    def export(self, **kwargs):  # fine
        self.count = 5


class Overrides(NotHandlers):
    def on_change(self, **kwargs):  # fine
        self.count = 6


class Size(enum.Enum):
    S = 1


@dataclasses.dataclass
class Address:
    street: str
    number: int = 1


class Row(typing.TypedDict):
    name: str


T = typing.TypeVar("T")
RowId = typing.NewType("RowId", int)


class Parameters(Form):
    @event_handler
    def plain(self, value, field=None, **kwargs):  # fine
        pass

    @event_handler
    def simple(self, a: int, b: float, c: bool, d: str, e: decimal.Decimal, f: uuid.UUID):  # fine
        pass

    @event_handler
    def dates(self, a: datetime.date, b: datetime.datetime, c: datetime.time | None = None):  # fine
        pass

    @event_handler
    def choices(self, size: Size, kind: typing.Literal["a", "b"] = "a"):  # fine
        pass

    @event_handler()
    async def containers(self, ids: list[int], names: dict[str, list[str]], any_list: list, any_dict: dict):  # fine
        pass

    @event_handler
    def classes(self, address: Address, row: Row, id: RowId, thing: T, whatever: typing.Any, obj: object):  # fine
        pass

    @event_handler
    def options(self, a: typing.Optional[int] = None, b: "int | str" = 1, *rest: str, **more: int) -> "Unknown":  # fine
        pass

    @event_handler
    @logged
    def wrapped(self, value: int):  # fine
        pass

    @event_handler(timeout=1)
    def typed_only(self, value: "Nowhere"):  # noqa: V007
        pass

    def helper(self, path: "Nowhere", value: complex):  # fine
        pass
