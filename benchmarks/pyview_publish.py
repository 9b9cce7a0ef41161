"""What `benchmarks.publish` measures, done by pyview: a server for its own interpreter, run by
`--pyview PYTHON`.

Prints its port and serves until standard input ends.
"""

import os
import sys
import threading
import time

os.environ.setdefault("PYVIEW_SECRET", "publish")

import uvicorn
from pyview import LiveView, PyView
from pyview.template import LiveRender, LiveTemplate
from pyview.vendor.ibis import Template

TEXT = "A paragraph of text that never changes, as most of a page."
CARDS = "".join(f'<section class="card"><h2>Figure {n}</h2><p>{TEXT}</p></section>' for n in range(360))
NUMBERS = "".join(f"<p>{{{{ {name} }}}}</p>" for name in "abcde")


class View(LiveView):
    async def render(self, assigns, meta):
        return LiveRender(self.template, assigns, meta)


class Publisher(View):
    template = LiveTemplate(Template("<div></div>"))
    count = 0

    async def mount(self, socket, session):
        socket.context = {}

    async def handle_event(self, event, payload, socket):
        Publisher.count += 1
        await socket.broadcast("numbers", Publisher.count)


class Counter(View):
    template = LiveTemplate(Template("<div><p>{{ count }}</p></div>"))

    async def mount(self, socket, session):
        socket.context = {"count": 0}
        if socket.connected:
            await socket.subscribe("numbers")

    async def handle_info(self, event, socket):
        socket.context = {"count": event.payload}


class Large(Counter):
    template = LiveTemplate(Template(f"<div>{NUMBERS}{CARDS}</div>"))

    async def mount(self, socket, session):
        await super().mount(socket, session)
        socket.context = dict.fromkeys("abcde", 0)

    async def handle_info(self, event, socket):
        n = event.payload
        socket.context = {"a": n, "b": n * 2, "c": n * 3, "d": n * 5, "e": n * 7}


app = PyView()
for name, view in (("publisher", Publisher), ("counter", Counter), ("large", Large)):
    app.add_live_view(f"/{name}/", view)

server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
sock = server.config.bind_socket()
threading.Thread(target=server.run, args=([sock],), daemon=True).start()
while not server.started:
    time.sleep(0.01)
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
