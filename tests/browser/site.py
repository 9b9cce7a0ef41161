"""A small site for the browser tests, under a content security policy that forbids everything
inline.

`uvicorn tests.browser.site:application`; the list on its pages shows what handlers were called
with. SITE_CACHE names a folder for what has to survive the process.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.safestring import SafeString, mark_safe

if __name__ == "tests.browser.site" and "DJANGO_SETTINGS_MODULE" not in os.environ:
    settings.configure(
        SECRET_KEY="only for tests",
        DEBUG=os.environ.get("SITE_DEBUG") == "1",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.browser.site",
        STATIC_URL="/static/",
        INSTALLED_APPS=["django.contrib.sessions", "django.contrib.staticfiles", "djust"],
        MIDDLEWARE=["tests.browser.site.policy"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        CACHES={
            "default": {
                "BACKEND": "django.core.cache.backends."
                + ("filebased.FileBasedCache" if "SITE_CACHE" in os.environ else "locmem.LocMemCache"),
                "LOCATION": os.environ.get("SITE_CACHE", ""),
            }
        },
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
    )

from django.contrib.staticfiles.views import serve

from djust import LiveView, background, event_handler, state
from djust.asgi import get_asgi_application

POLICY = "default-src 'self'; require-trusted-types-for 'script'; trusted-types djust"


def policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    return answer


class Recording(LiveView):
    """Every handler writes down its name and arguments."""

    acts: list[str] = state(default=[])

    def note(self, name: str, /, **params: Any) -> None:
        self.acts = [*self.acts, f"{name} {json.dumps(params)}"]


LOG = "<ol id='acts'>{% for act in acts %}<li>{{ act }}</li>{% endfor %}</ol>"


class Directives(Recording):
    template = f"""<!DOCTYPE html><html><head><title>d</title></head><body dj-window-keydown.escape="escape"
      dj-window-keydown.ctrl.k.prevent="find" dj-window-scroll="scrolled" dj-window-resize="resized"
      dj-window-blur="window_left">
      <input id="keys" dj-keydown.enter="entered" dj-keydown.ctrl.arrow-up="top" dj-keyup.space="spaced">
      <button id="open" dj-click="toggle">menu</button>
      {{% if is_open %}}<div id="menu" dj-click-away="close"><b>inside</b></div>{{% endif %}}
      <button id="slow" dj-click="slow" dj-disable-with="Wait…">Go</button>
      <button id="many" dj-click="many" dj-multiple>Many</button>
      <button id="ask" dj-click="asked" dj-confirm="Sure?">Ask</button>
      <button id="once" dj-click.once="only_once">Once</button>
      <form dj-submit="save"><input name="name"><button id="save">Save</button></form>
      <input id="field" name="field" dj-focus="came" dj-blur="went">
      <input id="late" name="late" dj-input="typed" dj-debounce="blur">
      <div id="lock" dj-click="slow" dj-lock tabindex="0">lock</div>
      <div id="live" aria-live="polite">{{{{ announced }}}}</div>
      {LOG}<ul id="rows">{{% for row in rows %}}<li dj-key="{{{{ row }}}}"><b dj-click="toggle">{{{{ row }}}}</b></li>
      {{% endfor %}}</ul><p id="tall"></p></body></html>"""
    is_open = state(default=False)
    announced = state(default="ready")
    rows: list[int] = state(default=[])

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.rows = list(range(int(request.GET.get("rows", 0))))

    @event_handler
    def toggle(self) -> None:
        self.is_open = not self.is_open

    @event_handler
    def close(self) -> None:
        self.is_open = False
        self.note("close")

    @event_handler
    def slow(self) -> None:
        time.sleep(0.3)
        self.note("slow")

    @event_handler
    def save(self, name: str = "") -> None:
        time.sleep(0.3)
        self.note("save", name=name)


def _recorder(name: str) -> Any:
    def handler(self: Recording, **params: Any) -> None:
        self.note(name, **params)

    handler.__name__ = name
    return event_handler(handler)


HANDLERS = ["escape", "find", "scrolled", "resized", "window_left", "entered", "top", "spaced", "many"]
for _name in [*HANDLERS, "asked", "only_once", "came", "went", "typed"]:
    setattr(Directives, _name, _recorder(_name))


class Hooked(Recording):
    template = f"""<!DOCTYPE html><html><head><title>h</title><script src="/hooks.js"></script></head><body>
      <div id="chart" dj-hook="Chart" data-n="{{{{ n }}}}"><i>{{{{ n }}}}</i></div><p>{{{{ other }}}}</p>
      {{% if shown %}}<div id="late" dj-hook="Late">late</div>{{% endif %}}
      <div id="widget" dj-update="ignore" class="c{{{{ n }}}}"><b>{{{{ n }}}}</b>
        {{% for row in rows %}}<u>{{{{ row }}}}</u>{{% endfor %}}</div>
      {{% if shown %}}<div id="owned" dj-update="ignore">{{{{ n }}}}</div>{{% endif %}}
      <section>{{{{ html }}}}</section>
      <button id="n" dj-click="count">n</button><button id="o" dj-click="change_other">o</button>
      <button id="s" dj-click="show">s</button>{LOG}</body></html>"""
    n = state(default=0)
    other = state(default=0)
    shown = state(default=False)
    rows: list[int] = state(default=[])

    @property
    def html(self) -> SafeString:
        return mark_safe(f"<em>{self.n}</em><div id='raw' dj-update='ignore'>{self.n}</div>")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(html=self.html, **kwargs)

    @event_handler
    def count(self) -> None:
        self.n += 1
        self.rows = list(range(self.n))
        self.push_event("counted", {"n": self.n})
        self.push_event("second", None)

    @event_handler
    def change_other(self) -> None:
        self.other += 1

    @event_handler
    def show(self) -> None:
        self.shown = not self.shown

    @event_handler
    def double(self, n: int) -> dict[str, int]:
        return {"twice": 2 * n}

    @event_handler
    def unfit(self) -> object:
        return object()


HOOKS = """
const log = text => { (window.log ??= []).push(text); };
const entry = name => ({
  mounted() { log(name + ' mounted ' + this.el.id); this.times = 0; this.init?.(); },
  updated() { this.times++; log(name + ' updated ' + this.times + ' ' + this.el.textContent); },
  destroyed() { log(name + ' destroyed'); },
  disconnected() { log(name + ' disconnected'); },
  reconnected() { log(name + ' reconnected'); },
});
window.djust = { hooks: { Chart: { ...entry('Chart'), init() {
  this.handleEvent('counted', ({ n }) => log('counted ' + n + ' ' + this.el.textContent));
  this.pushEvent('double', { n: 4 }).then(reply => log('reply ' + reply.twice));
} } } };
window.lateHook = entry('Late');
for (const name of ['djust:push_event', 'djust:counted', 'djust:second'])
  addEventListener(name, event => { (window.events ??= []).push([name, event.detail]); });
"""


door = threading.Event()


class Beside(Recording):
    """A background task, which goes on when the door is opened."""

    template = """<!DOCTYPE html><html><head><title>b</title></head><body>
      <p id="figures">{% if figures.loading %}loading {% endif %}{{ figures.result|default_if_none:"" }}</p>
      <button id="load" dj-click="load">load</button>
      <button id="export" dj-click="export" dj-disable-with="…">export</button>
      <progress id="bar" max="100" value="{{ percent }}"></progress>
      <p id="running">{{ view.running_tasks|join:"," }}</p><p id="file">{{ file }}</p>
      <button id="n" dj-click="count">{{ n }}</button><button id="open" dj-click="open">open</button>
      <script src="/hooks.js"></script></body></html>"""
    percent, file, n = 0, "", 0

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.percent, self.file, self.n = 0, "", 0
        self.load()

    @event_handler
    def load(self) -> None:
        door.clear()
        self.assign_async("figures", self._figures, self.n)

    def _figures(self, n: int) -> int:
        door.wait(10)
        return 100 + n

    @event_handler
    @background
    def export(self) -> str:
        door.clear()
        self.assign_later(percent=40)
        self.push_event("counted", 40)
        door.wait(10)
        return "export.csv"

    def handle_async(self, name: str, result: str) -> None:
        self.file = result

    @event_handler
    async def count(self) -> None:
        self.n += 1

    @event_handler
    async def open(self) -> None:
        door.set()


class Form(Recording):
    template = f"""<!DOCTYPE html><html><head><title>f</title></head><body>
      <input id="a" name="a" value="{{{{ a }}}}" dj-input="set_a" dj-debounce="0"><p id="pa">{{{{ a }}}}</p>
      <input id="c" type="checkbox" name="c" dj-change="set_c" {{% if c %}}checked{{% endif %}}>
      <select id="s" name="s" dj-change="set_s"><option>x<option>y</select><p id="ps">{{{{ s }}}}</p>
      <button id="hit" dj-click="hit">hit</button>{LOG}</body></html>"""
    a = state(default="first")
    c = state(default=True)
    s = state(default="x")

    @event_handler
    def set_a(self, value: str) -> None:
        self.a = value

    @event_handler
    def set_c(self, value: bool) -> None:
        self.c = value

    @event_handler
    def set_s(self, value: str) -> None:
        self.s = value

    @event_handler
    def hit(self) -> None:
        self.note("hit")

    @event_handler
    def broken(self) -> None:
        raise ValueError("broken")


class Raw(Recording):
    template = f"""<!DOCTYPE html><html><head><title>r</title></head><body><section>{{{{ html }}}}</section>
      {{% if n %}}<p class="created">{{{{ n }}}}</p>{{% endif %}}
      <svg>{{% if n %}}<circle r="{{{{ n }}}}"></circle>{{% endif %}}</svg>
      <button id="go" dj-click="go" dj-disable-with="Wait">go</button><button id="bad" dj-click="bad">bad</button>
      {LOG}</body></html>"""
    n = state(default=0)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        script = "<script>window.ran = 1</script>" if self.n else ""
        return super().get_context_data(html=mark_safe(f"<b>{self.n}</b>{script}"), **kwargs)

    @event_handler
    def go(self) -> None:
        self.n += 1

    @event_handler
    def bad(self) -> None:
        raise ValueError("bad")


def hooks_script(request: HttpRequest) -> HttpResponse:
    return HttpResponse(HOOKS, content_type="text/javascript")


urlpatterns = [
    path("directives/", Directives.as_view()),
    path("hooks/", Hooked.as_view()),
    path("beside/", Beside.as_view()),
    path("form/", Form.as_view()),
    path("raw/", Raw.as_view()),
    path("hooks.js", hooks_script),
    path("static/<path:path>", serve, {"insecure": True}),
]

application = get_asgi_application()
