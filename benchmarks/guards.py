"""What an event costs when somebody has to be asked for: pages for members, and middleware of the
project's own.

    python -m benchmarks.guards        half a minute

Microseconds of CPU of the whole process per event of a counter, through the mailbox of its page.
Sessions are in the memory of the process, users in SQLite in memory; each event of a members' page
reads both. Rounds of all kinds of page alternate; the median of each is printed, and its ratio to
that of the open page.
"""

import asyncio
import statistics
import time
from collections.abc import Callable

import django
from django.conf import settings

ROUNDS = 9
EVENTS = 1_000

settings.configure(
    SECRET_KEY="guards",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "djust"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:guards?mode=memory&cache=shared"}},
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    STATIC_URL="/static/",
    LIVEVIEW_CONFIG={"events_per_second": 1e9, "max_waiting": 1_000_000},
)
django.setup()

from django.contrib.auth.decorators import login_required  # noqa: E402 - the settings come first in a single-file project
from django.contrib.auth.mixins import LoginRequiredMixin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.urls import path  # noqa: E402

from benchmarks.peer import CountingPeer  # noqa: E402
from djust import LiveView, event_handler, state  # noqa: E402
from djust.live.page import Page  # noqa: E402
from djust.live.registry import registry  # noqa: E402
from djust.protocol.frames import Event  # noqa: E402
from djust.protocol.messages import Joining  # noqa: E402


class Counter(LiveView):
    template = "<p>{{ count }}</p>"
    count = state(default=0)

    @event_handler
    def click(self) -> None:
        self.count += 1


class Members(LoginRequiredMixin, Counter):
    pass


class Marked(Counter):
    login_required = True


def own_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    return middleware


urlpatterns = [
    path("open/", Counter.as_view()),
    path("mixin/", Members.as_view()),
    path("decorator/", login_required(Counter.as_view())),
    path("attribute/", Marked.as_view()),
]


async def cost(page: Page, peer: CountingPeer) -> float:
    """Microseconds of CPU per event."""
    peer.missing = EVENTS
    peer.done.clear()
    first = page.last_ref + 1
    start = time.process_time()
    for ref in range(first, first + EVENTS):
        page.post(Event(ref, "click", {}, []))
    await peer.done.wait()
    return (time.process_time() - start) / EVENTS * 1e6


def made(client: Client, url: str) -> Page:
    before = set(registry.pages())
    assert client.get(url).status_code == 200
    (page,) = set(registry.pages()) - before
    return page


async def measure(pages: dict[str, Page]) -> None:
    peers = {name: CountingPeer() for name in pages}
    for name, page in pages.items():
        peers[name].missing = 1
        page.post(Joining(peers[name], page.version))
        await peers[name].done.wait()
    rounds = [{name: await cost(page, peers[name]) for name, page in pages.items()} for _ in range(ROUNDS)]
    medians = {name: statistics.median(one[name] for one in rounds) for name in pages}
    for name, median in medians.items():
        print(f"{name:28}{median:8.1f} µs{median / medians['open']:8.2f}x")


def main() -> None:
    connection.ensure_connection()
    call_command("migrate", verbosity=0, run_syncdb=True)
    client = Client()
    client.force_login(User.objects.create(username="member"))
    pages = {name: made(client, f"/{name}/") for name in ("open", "mixin", "decorator", "attribute")}
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, f"{own_middleware.__module__}.own_middleware"]):
        pages |= {f"{name}, own middleware": made(client, f"/{name}/") for name in ("open", "mixin")}
        asyncio.run(measure(pages))


if __name__ == "__main__":
    main()
