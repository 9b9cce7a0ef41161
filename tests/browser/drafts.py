"""Two pages that somebody writes on for a while: a letter, and a form whose second half depends on
the first.

`SITE_CACHE=folder uvicorn tests.browser.drafts:application`: what was written survives the process.
"""

from __future__ import annotations

from django.urls import path

from djust import LiveView, event_handler, state
from tests.browser import site

application = site.application

NAMES = ["first", "second", "third"]


class Letter(LiveView):
    template = """<!DOCTYPE html><html><head><title>Letter</title></head><body>
      <form dj-submit="save"><input id="subject" name="subject" value="{{ subject }}" dj-input="set_subject">
      <textarea id="text" name="text" dj-input="set_text" dj-debounce="40">{{ text }}</textarea>
      <button id="save">Save</button></form>
      <p id="shown">{{ subject }}</p><p id="length">{{ text|length }}</p>
      <button id="add" dj-click="add">Add a note</button>
      <ol id="notes">{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ol>
      <ul id="saved">{% for letter in saved %}<li>{{ letter }}</li>{% endfor %}</ul></body></html>"""
    subject = state(default="")
    text = state(default="")
    notes: list[str] = state(default=[])
    saved: list[str] = state(default=[])

    @event_handler
    def set_subject(self, value: str) -> None:
        self.subject = value

    @event_handler
    def set_text(self, value: str) -> None:
        self.text = value

    @event_handler
    def add(self) -> None:
        self.notes.append(NAMES[len(self.notes)])

    @event_handler
    def save(self, subject: str, text: str) -> None:
        self.saved.append(f"{subject}: {text}")


class Order(LiveView):
    """`recover` does not only take the values but remembers that it was asked."""

    template = """<!DOCTYPE html><html><head><title>Order</title></head><body>
      <form dj-input="enter" dj-submit="order" dj-debounce="0" dj-auto-recover="recover('order')">
      <input id="name" name="name" value="{{ name }}"><input id="size" name="size" value="{{ size }}"></form>
      <p id="calls">{{ calls|join:" " }}</p></body></html>"""
    name = state(default="")
    size = state(default="1")
    calls: list[str] = state(default=[])

    @event_handler
    def enter(self, value: str, field: str) -> None:
        setattr(self, {"name": "name", "size": "size"}[field], value)
        self.calls.append(f"{field}={value}")

    @event_handler
    def recover(self, what: str, name: str, size: str) -> None:
        self.name, self.size = name, size
        self.calls.append(f"{what}:{name},{size}")

    @event_handler
    def order(self) -> None:
        self.calls.append("order")


site.urlpatterns += [path("", Letter.as_view()), path("order/", Order.as_view())]
