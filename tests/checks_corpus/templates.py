"""Templates that ask for what is not there, or trust what they should not (V004, V005, V009, S001)."""

from django.utils.safestring import mark_safe

from djust import LiveView, computed, event_handler, state


class Handlers(LiveView):
    items = state(default=[])
    template = """
    <button dj-click="sav">x</button>  {# expect: V005 #}
    <button dj-click="remove(1, 'a')">x</button>  {# expect: V005 #}
    <form dj-submit='send'></form>  {# expect: V005 #}
    <input dj-keydown.enter=find dj-input.prevent="save">  {# expect: V005 #}
    <p dj-window-keydown.escape="close"></p>  {# expect: V005 #}
    {% for item in items %}
    <li dj-click="pick" data-id="{{ item }}"></li>  {# expect: V005 #}
    {% if item %}<b dj-click="drop({{ item }})"></b>{% endif %}  {# expect: V005 #}
    {% endfor %}
    <div dj-click-away="mount"></div>  {# expect: V005 #}
    <div title="a > b" dj-blur="_hidden"></div>  {# expect: V005 #}
    <button dj-click="undeclared"></button>
    """

    def undeclared(self):  # expect: V004
        pass

    @event_handler
    def save(self):
        pass


class Names(LiveView):
    items = state(default=[])
    template = """
    {{ itmes }}  {# expect: V009 #}
    {% for item in list %}{{ item }}{% endfor %}  {# expect: V009 #}
    {{ user_name|upper }}  {# expect: V009 #}
    <p class="{{ css }}">{{ total }}{{ items }}{{ later }}</p>  {# expect: V009 #}
    {% with a=missing %}{{ a }}{% endwith %}  {# expect: V009 #}
    {% if items %}{{ inside }}{% endif %}  {# expect: V009 #}
    """

    @computed
    def total(self):
        return 1

    def mount(self, request):
        self.later = 1


class NamesOfContext(LiveView):
    template = "{{ products }}{{ extra }}{{ more }}{{ other }}{{ nowhere }}"  # expect: V009

    def get_context_data(self, **kwargs):
        self.products = self._products()
        context = super().get_context_data(more=1, **kwargs)
        context["extra"] = 1
        context.update({"other": 1})
        return context

    def _products(self):
        return []


class Raw(LiveView):
    html = state(default="")
    draft = state(default="")
    comments = state(default=[])
    by_name = state(default={})
    template = """
    {{ html|safe }}  {# expect: S001 #}
    {{ draft|default:"x"|safe }}  {# expect: S001 #}
    {% for comment in comments %}{{ comment.text|safe }}{% endfor %}  {# expect: S001 #}
    {% autoescape off %}{{ html }}{% endautoescape %}  {# expect: S001 #}
    {% with text=html %}{{ text|upper|safe }}{% endwith %}  {# expect: S001 #}
    {{ by_name|safe }}  {# expect: S001 #}
    {{ formatted|safe }}  {# expect: S001 #}
    {{ joined|safe }}  {# expect: S001 #}
    {{ copied|safe }}  {# expect: S001 #}
    {{ helped|safe }}  {# expect: S001 #}
    {{ rest|safe }}  {# expect: S001 #}
    {{ listed|safeseq|join:"," }}  {# expect: S001 #}
    {{ marked|safe }}  {# expect: S001 #}
    """

    @event_handler
    def write(self, value: str = "", name=None, tags: list[str] = (), **kwargs):
        self.html = value
        draft = value.strip()
        self.draft = draft or "nothing"
        self.comments.append({"text": value})
        self.by_name[name] = value
        self.formatted = f"<b>{value}</b>"
        self.joined = "<br>".join([value, "x"]) + "%s" % name
        self.helped = self._bold(value)
        self.rest = kwargs["rest"]
        self.listed = [*tags, name]
        self.marked = mark_safe(value)

    def _bold(self, text):
        return "<b>" + text + "</b>"

    @event_handler
    def copy(self):
        self.copied = self.html
