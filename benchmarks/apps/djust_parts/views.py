"""The five pages. Handlers are `async def` where nothing in them blocks; state is public, as the
guide has it.
"""

from benchforms import ProfileForm
from benchspec import INITIAL, dashboard_body, make_rows, numbers, search

from djust import LiveView, state
from djust.decorators import event_handler


class CounterView(LiveView):
    template_name = "counter.html"

    count = state(default=0)

    @event_handler
    async def inc(self):
        self.count += 1


class TableView(LiveView):
    template_name = "table.html"

    rows = state(default=[])
    selected = state(default=0)

    @event_handler
    async def run(self):
        self.rows = make_rows(1000, 1)
        self.selected = 0

    @event_handler
    async def add(self):
        self.rows += make_rows(1000, self.rows[-1]["id"] + 1 if self.rows else 1)

    @event_handler
    async def update(self):
        for row in self.rows[::10]:
            row["label"] += " !!!"

    @event_handler
    async def select(self, id: int):
        self.selected = id

    @event_handler
    async def swap(self):
        if len(self.rows) > 998:
            self.rows[1], self.rows[998] = self.rows[998], self.rows[1]

    @event_handler
    async def remove(self, id: int):
        self.rows = [row for row in self.rows if row["id"] != id]

    @event_handler
    async def clear(self):
        self.rows = []


class SearchView(LiveView):
    template_name = "search.html"

    query = state(default="")
    items = state(default=[])

    async def mount(self, request):
        self.items = search("")

    @event_handler
    async def filter(self, value: str):
        self.query = value
        self.items = search(value)


class FormView(LiveView):
    template_name = "form.html"

    values = state(default=INITIAL)
    errors = state(default={})

    @event_handler
    async def validate(self, field: str, value: str):
        self.values[field] = value
        self.errors = {name: messages[0] for name, messages in ProfileForm(self.values).errors.items()}


class DashboardView(LiveView):
    template = (
        "<!DOCTYPE html>\n<html><head><title>bench</title></head><body>\n"
        '<button id="tick" dj-click="tick">tick</button>\n' + dashboard_body() + "</body></html>"
    )

    ticks = state(default=0)

    async def mount(self, request):
        self._refresh()

    def _refresh(self):
        for name, value in numbers(self.ticks).items():
            setattr(self, name, value)

    @event_handler
    async def tick(self):
        self.ticks += 1
        self._refresh()
