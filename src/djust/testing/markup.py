"""What a test finds in the HTML of a page: directives, and forms with what their fields show.

handlers_in('<button dj-click="remove(3)">', "dj-click")  ->  {"remove"}
fields_to_send(html, "BasketView", "add", {"name": "Pear"})  ->  {"name": "Pear", "amount": "1"}
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_HANDLER = re.compile(r"\s*([\w.]+)")
_NEVER_SENT = {"button", "file", "image", "reset", "submit"}


@dataclass
class Field:
    """An `input`, `select` or `textarea`: the values that a browser would send."""

    name: str
    kind: str
    values: list[str] = field(default_factory=list)
    # What a checkbox sends if it is checked.
    checked: str = "on"


@dataclass
class Form:
    """A form, and the handler of its `dj-submit`."""

    handler: str
    fields: list[Field] = field(default_factory=list)

    def hides(self, given: dict[str, Any]) -> bool:
        """Whether the hidden fields have the values that are given for them."""
        hidden = [one for one in self.fields if one.kind == "hidden" and one.name in given]
        return all([str(given[one.name])] == one.values for one in hidden)


class _Reader(HTMLParser):
    def __init__(self, directive: str) -> None:
        super().__init__()
        self.directive = directive
        self.handlers: set[str] = set()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._field: Field | None = None
        # The options of the select that is being read: value, or None for their text; text; whether
        # they are selected.
        self._options: list[tuple[str | None, list[str], bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        for name, value in known.items():
            if name.partition(".")[0] == self.directive and (found := _HANDLER.match(value)):
                self.handlers.add(found[1])
                if tag == "form":
                    self._form = Form(found[1])
                    self.forms.append(self._form)
        if self._form is None:
            return
        if tag in ("input", "select", "textarea") and known.get("name") and "disabled" not in known:
            self._begin(tag, known)
        elif tag == "option" and self._field is not None and "disabled" not in known:
            self._options.append((known.get("value"), [], "selected" in known))

    def _begin(self, tag: str, known: dict[str, str]) -> None:
        kind = known.get("type", "text").lower() if tag == "input" else tag
        if kind in _NEVER_SENT:
            return
        one = Field(known["name"], kind)
        if tag == "input":
            one.checked = known.get("value", "on")
            if kind not in ("checkbox", "radio"):
                one.values = [known.get("value", "")]
            elif "checked" in known:
                one.values = [one.checked]
        elif tag == "textarea":
            one.values = [""]
            self._field = one
        else:
            one.kind = "multiple" if "multiple" in known else tag
            self._field, self._options = one, []
        assert self._form is not None
        self._form.fields.append(one)

    def handle_data(self, data: str) -> None:
        if self._field is not None and self._field.kind == "textarea":
            self._field.values[0] += data
        elif self._field is not None and self._options:
            self._options[-1][1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "textarea":
            if self._field is not None:
                # The line break after the start tag is not part of the text.
                self._field.values[0] = self._field.values[0].removeprefix("\n")
            self._field = None
        elif tag == "select" and self._field is not None:
            chosen = [option for option in self._options if option[2]]
            if self._field.kind != "multiple":
                chosen = chosen[-1:] or self._options[:1]
            texts = [(value, " ".join("".join(text).split())) for value, text, _ in chosen]
            self._field.values = [text if value is None else value for value, text in texts]
            self._field = None


def handlers_in(html: str, directive: str) -> set[str]:
    """The handlers that elements name in `directive`."""
    return _read(html, directive).handlers


def _read(html: str, directive: str) -> _Reader:
    reader = _Reader(directive)
    reader.feed(html)
    reader.close()
    return reader


def fields_to_send(html: str, title: str, handler: str, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters that the form of `handler` sends when a user has entered what is given."""
    forms = _read(html, "dj-submit").forms
    form = next((form for form in forms if form.handler == handler and form.hides(given)), None)
    if form is None:
        known = ", ".join(sorted({form.handler for form in forms})) or "nothing"
        raise AssertionError(
            f'{title}: no form of the page has dj-submit="{handler}" and the hidden fields that are given; '
            f"forms are for: {known}."
        )
    names = {one.name for one in form.fields}
    if unknown := sorted(given.keys() - names):
        raise AssertionError(
            f'{title}: the form of "{handler}" has no field {", ".join(unknown)}; '
            f"its fields are: {', '.join(sorted(names)) or 'none'}."
        )
    sent: dict[str, list[str]] = {}
    for one in form.fields:
        if one.name not in given:
            sent.setdefault(one.name, []).extend(one.values)
        elif one.name not in sent:
            sent[one.name] = _entered(one, given[one.name])
    return {name: values[0] if len(values) == 1 else values for name, values in sent.items() if values}


def _entered(one: Field, value: Any) -> list[str]:
    if value is None or value is False:
        return []
    if value is True:
        return [one.checked]
    return [str(member) for member in value] if isinstance(value, list | tuple) else [str(value)]
