"""Templates that are right: nothing is found. Each marked line is a sample."""

import dataclasses
import random

from django.utils.html import escape, strip_tags
from django.views.generic import TemplateView

from djust import LiveView, computed, event_handler, state


class Handlers(LiveView):
    handler = state(default="save")
    open = state(default=False)
    template = """
    <button dj-click="save">x</button>  {# fine #}
    <button dj-click="save(1, 'a', true)" dj-loading dj-confirm="Sure?">x</button>  {# fine #}
    <button dj-click="{{ handler }}">x</button>  {# fine #}
    <button dj-click="{% if open %}save{% else %}inherited{% endif %}">x</button>  {# fine #}
    <button dj-click="sa{{ handler }}">x</button>  {# fine #}
    <!-- <button dj-click="commented">x</button> -->  {# fine #}
    <script>const html = '<b dj-click="scripted"></b>';</script>  {# fine #}
    <textarea><b dj-click="typed"></b></textarea>  {# fine #}
    <code>&lt;b dj-click="escaped"&gt;</code>  {# fine #}
    <p>Write dj-click="shown" into a tag.</p>  {# fine #}
    <b data-dj-click="no" dj-hook="Chart" dj-update="ignore" dj-key="x"></b>  {# fine #}
    <b title='dj-click="quoted"'></b>  {# fine #}
    <b dj-click="components.menu.open"></b>  {# fine #}
    {# <b dj-click="commented"></b> fine #}
    {% comment %}<b dj-click="commented"></b>{% endcomment %}  {# fine #}
    {% if view.other %}<b dj-click="of_another_view"></b>{% endif %}  {# fine #}
    <b dj-click="silent"></b>  {# noqa: V005 fine #}
    <input dj-input="inherited" dj-debounce="300" dj-keydown.ctrl.enter="save">  {# fine #}
    """

    @event_handler
    def save(self, *args):
        pass

    @event_handler
    def inherited(self):
        pass


class Inherits(Handlers):
    def mount(self, request):
        self.more = 1  # fine


class Another(LiveView):
    template = '<b dj-click="of_another_view"></b>'  # fine

    @event_handler
    def of_another_view(self):
        pass


class Names(LiveView):
    items = state(default=[])
    rows: list = state(default_factory=list)
    template = """
    {{ items }}{{ rows }}{{ assigned }}{{ nested }}{{ in_handler }}  {# fine #}
    {{ view.items }}{{ request.path }}{{ user.username }}{{ perms }}{{ messages }}  {# fine #}
    {% csrf_token %}{{ csrf_token }}  {# fine #}
    {% for a, b in items %}{{ a }}{{ b }}{{ forloop.counter }}{% empty %}{{ rows }}{% endfor %}  {# fine #}
    {% with total=items|length %}{{ total }}{% endwith %}  {# fine #}
    {% if error %}{{ error }}{% endif %}  {# fine #}
    {{ perhaps|default:"no" }}{{ perhaps }}  {# fine #}
    {% url "x" as link %}{{ link }}  {# fine #}
    {% now "Y" as year %}{{ year }}  {# fine #}
    {% block content %}{{ block.super }}{% endblock %}  {# fine #}
    {% cycle "a" "b" as odd %}{{ odd }}  {# fine #}
    {% firstof nickname "none" %}{{ nickname }}  {# fine #}
    {{ total_price }}{{ by_setattr }}{{ later }}{{ soon }}  {# fine #}
    {{ "literal" }}{{ 1 }}{{ None }}{{ True }}  {# fine #}
    {% regroup items by name as groups %}{% for group in groups %}{{ group.grouper }}{% endfor %}  {# fine #}
    {% filter upper %}{{ items }}{% endfilter %}  {# fine #}
    {{ silent }}  {# noqa: V009 fine #}
    """

    @computed
    def total_price(self):
        return 1

    def mount(self, request):
        self.assigned = 1
        self._set()
        setattr(self, "by_setattr", 1)
        self.assign_async("later", self._set)
        self.assign_later(soon=1)

    def _set(self):
        self.nested, _ = 1, 2

    @event_handler
    def change(self):
        self.in_handler = 1


@dataclasses.dataclass
class Fields(LiveView):
    template = "{{ number }}"  # fine
    number: int = 0


class Dynamic(LiveView):
    template = "{{ anything }}"  # fine

    def mount(self, request):
        for name in ("anything", "else"):
            setattr(self, name, 1)


class DynamicDict(LiveView):
    template = "{{ anything }}"  # fine

    def mount(self, request):
        self.__dict__.update(anything=1)


class GivenAway(LiveView):
    template = "{{ anything }}"  # fine

    def mount(self, request):
        random.choice([fill])(self)


def fill(view):
    view.filled = 1


class Filled(LiveView):
    template = "{{ filled }}"  # fine

    def mount(self, request):
        fill(self)


class OpenContext(LiveView):
    template = "{{ anything }}"  # fine

    def get_context_data(self, **kwargs):
        return {**super().get_context_data(**kwargs), **load()}


class Merged(LiveView):
    template = "{{ a }}{{ b }}{{ c }}{{ d }}"  # fine

    def get_context_data(self, **kwargs):
        return super().get_context_data(**kwargs) | {"a": 1, **{"b": 2}} | dict(c=3, **{"d": 4})


class Named(LiveView):
    template = "{{ a }}"  # fine

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        for name in load():
            context[name] = 1
        return context


class WithDjangosMixin(TemplateView, LiveView):
    template = "{{ from_elsewhere }}"  # fine


def load():
    return {}


class Raw(LiveView):
    html = state(default="<b>ours</b>")
    template = """
    {{ html|safe }}  {# fine #}
    {{ shown }}{{ shown|upper|linebreaks }}  {# fine #}
    {{ escaped|safe }}{{ stripped|safe }}{{ cleaned|safe }}  {# fine #}
    {{ shown|force_escape|safe }}  {# fine #}
    {{ shown|escape|safe }}{{ shown|length|safe }}  {# fine #}
    {{ number|safe }}{{ flag|safe }}  {# fine #}
    {{ checked|safe }}{{ one_of|safe }}{{ matched|safe }}  {# fine #}
    {{ looked_up|safe }}{{ loaded|safe }}  {# fine #}
    {{ overwritten|safe }}  {# fine #}
    {% autoescape off %}{{ html }}{{ shown|force_escape }}{% endautoescape %}  {# fine #}
    {{ shown|safe }}  {# noqa: S001 fine #}
    """

    @event_handler
    def write(self, value: str = "", count: int = 0, flag: bool = False, **kwargs):
        self.shown = value
        self.escaped = escape(value)
        self.stripped = strip_tags(value)
        self.cleaned = self._clean(value)
        self.number = count
        self.flag = flag
        if value in ("a", "b"):
            self.checked = value
        match value:
            case "a":
                self.matched = value
        self.looked_up = LOOKUP[value]
        self.loaded = load().get(value)
        self.overwritten = value
        self.overwritten = escape(value)
        self.length = len(value)
        if value not in LOOKUP:
            return
        self.one_of = value

    def _clean(self, text):
        return escape(text)


LOOKUP = {"a": "<b>a</b>"}
