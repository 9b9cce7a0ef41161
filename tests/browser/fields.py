"""A page with fields of every kind, whose server has its own mind about what is entered.

`SITE_DEBUG=1 uvicorn tests.browser.fields:application`: the tools of DEBUG slow the socket down.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.urls import path

from djust import LiveView, event_handler, state
from tests.browser import site

application = site.application


def only(allowed: str) -> Callable[[str], str]:
    return lambda text: "".join(char for char in text if char in allowed)


# What the server makes of the text of each field.
TEXTS: dict[str, Callable[[str], str]] = {
    "text": str.upper,
    "search": only("abcdefghijklmnopqrstuvwxyz"),
    "tel": only("0123456789"),
    "url": str,
    "email": str.lower,
    "password": lambda text: text[::-1],
    "number": lambda text: text[:50],
    "textarea": str.upper,
}
WAITS = {"text": 0, "search": 0, "tel": 60, "url": 0, "email": 0, "password": 60, "number": 0, "textarea": 0}


def _field(name: str) -> str:
    rest = f'id="{name}" name="{name}" dj-input="typed" dj-debounce="{WAITS[name]}"'
    if name == "textarea":
        return f"<textarea {rest}>{{{{ texts.textarea }}}}</textarea>"
    return f'<input type="{name}" {rest} value="{{{{ texts.{name} }}}}" step="any">'


class Typing(LiveView):
    template = f"""<!DOCTYPE html><html><head><title>{{{{ events }}}}</title></head><body class="n{{{{ events }}}}">
      <ol>{{% for word in words %}}<li dj-key="{{{{ word }}}}">{{{{ word }}}}</li>{{% endfor %}}</ol>
      {{% if events %}}<p>{{{{ events }}}}</p>{{% endif %}}
      {"".join(f"<div>{_field(name)}</div>" for name in TEXTS)}</body></html>"""
    texts: dict[str, str] = state(default={})
    words: list[str] = state(default=[])
    events = state(default=0)

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.texts = dict.fromkeys(TEXTS, "")

    @event_handler
    def typed(self, value: str, field: str) -> None:
        self.texts = {**self.texts, field: TEXTS[field](value)}
        self.events += 1
        # Something before the field comes and goes.
        self.words = [f"{n} {len(value)}" for n in range(len(value) % 4)]

    @event_handler
    def shown(self) -> dict[str, str]:
        return self.texts


class Choosing(LiveView):
    template = """<!DOCTYPE html><html><head><title>c</title></head><body><p id="n">{{ n }}</p>
      <input type="checkbox" id="yes" dj-change="choose" name="yes" {% if yes %}checked{% endif %}>
      <input type="checkbox" id="no" dj-change="choose" name="no" {% if no %}checked{% endif %}>
      {% for o in "abc" %}<input type="radio" name="radio" id="radio-{{ o }}" value="{{ o }}" dj-change="choose"
        {% if o == radio %}checked{% endif %}>{% endfor %}
      <select id="single" name="single" dj-change="choose">{% for o in "abc" %}
        <option value="{{ o }}" {% if o == single %}selected{% endif %}>{{ o }}{% endfor %}</select>
      <select id="multiple" name="multiple" multiple dj-change="choose">{% for o in "abc" %}
        <option value="{{ o }}" {% if o in multiple %}selected{% endif %}>{{ o }}{% endfor %}</select>
      <input type="date" id="date" name="date" value="{{ date|date:'Y-m-d' }}" dj-change="choose">
      <input type="range" id="range" name="range" min="0" max="9" value="{{ range }}" dj-input="choose">
      <input type="color" id="color" name="color" value="{{ color }}" dj-input="choose">
      <form id="form" dj-submit="save"><input id="name" name="name"><input id="size" name="size" value="{{ size }}">
        <textarea id="note" name="note"></textarea><input type="checkbox" id="box" name="box">
        <input type="file" id="file" name="file"><select id="kind" name="kind"><option>x<option>y</select>
        <button>Save</button></form><ul>{% for s in saved %}<li>{{ s }}</li>{% endfor %}</ul>
      <input id="ime" name="ime" value="{{ ime }}" dj-input="choose" dj-debounce="0">
      <div id="edited" contenteditable>{{ edited }}</div></body></html>"""
    n = state(default=0)
    yes = state(default=False)
    no = state(default=False)
    radio = state(default="a")
    single = state(default="a")
    multiple: list[str] = state(default=["b"])
    date = state(default=dt.date(2026, 1, 1))
    range = state(default=3)
    color = state(default="#112233")
    ime = state(default="")
    size = state(default="1")
    edited = state(default="text")
    saved: list[str] = state(default=[])

    @event_handler
    def choose(self, field: str, value: Any) -> None:
        """The server does not take `no`, `c`, days after the first of a month, more than 5, and
        red.
        """
        self.n += 1
        if field == "date":
            self.date = dt.date.fromisoformat(value).replace(day=1)
        elif field == "range":
            self.range = min(int(value), 5)
        elif field == "color":
            self.color = "#00" + value[3:]
        elif field == "multiple":
            self.multiple = [option for option in value if option != "c"]
        elif field != "no" and value != "c":
            setattr(self, field, value)

    @event_handler
    def say(self, **values: Any) -> None:
        """What others do to the page: sets the attributes."""
        self.n += 1
        for name, value in values.items():
            setattr(self, name, value)

    @event_handler
    def save(self, name: str, note: str, kind: str, size: str = "", box: str = "") -> None:
        if name == "bad":
            raise ValueError(name)
        self.n += 1
        self.saved = [*self.saved, f"{name} {size} {note} {box} {kind}"]


site.urlpatterns += [path("typing/", Typing.as_view()), path("choosing/", Choosing.as_view())]
