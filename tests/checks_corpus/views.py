"""Classes, methods and handlers that cannot work (V001, V003, V004, V007)."""

import decimal
import pathlib
from typing import TYPE_CHECKING, Annotated

from django.http import HttpRequest

from djust import LiveView, event_handler, state

if TYPE_CHECKING:
    from somewhere import Thing


class Form(LiveView):
    template = ""


class NoTemplate(LiveView):  # expect: V001
    def mount(self, request):
        self.x = 1


class MissingTemplate(LiveView):
    template_name = "checks_corpus/there_is_none.html"  # expect: V001


class NotATemplate(LiveView):
    template = "{% if %}"  # expect: V001


class MountWithoutRequest(Form):
    def mount(self, **kwargs):  # expect: V003
        self.x = 1


class MountAlone(Form):
    def mount(self):  # expect: V003
        self.x = 1


class MountWithKeyword(Form):
    async def mount(self, *, request):  # expect: V003
        self.x = 1


class MountYields(Form):
    def mount(self, request):  # expect: V003
        yield 1


class MountIsAsyncGenerator(Form):
    async def mount(self, request):  # expect: V003
        yield 1


class RestoreWithoutRequest(Form):
    def restore(self, **kwargs):  # expect: V003
        self.x = 1


class MountIsAProperty(Form):
    @property
    def mount(self):  # expect: V003
        return 1


class Undeclared(Form):
    count = state(default=0)

    def on_click(self):  # expect: V004
        self.count += 1

    def handle_save(self, value):  # expect: V004
        self.count = value

    async def increase(self, by: int = 1, **kwargs):  # expect: V004
        self.count += by


class Parameters(Form):
    @event_handler
    def tuples(self, value: tuple[int, int]):  # expect: V007
        pass

    @event_handler
    def sets(self, value: set[str]):  # expect: V007
        pass

    @event_handler
    def path(self, value: pathlib.Path):  # expect: V007
        pass

    @event_handler()
    def request(self, request: HttpRequest):  # expect: V007
        pass

    @event_handler
    def numbers(self, value: complex):  # expect: V007
        pass

    @event_handler
    async def binary(self, value: bytes = b""):  # expect: V007
        pass

    @event_handler
    def inside(self, value: list[pathlib.Path]):  # expect: V007
        pass

    @event_handler
    def optional(self, value: pathlib.Path | None = None):  # expect: V007
        pass

    @event_handler
    def typed_only(self, value: "Thing"):  # expect: V007
        pass

    @event_handler
    def view(self, value: LiveView):  # expect: V007
        pass
