"""A visitor whom a plain Django view refuses is refused everywhere; one whom it serves is served.

A random stack (`tests/guarded.py`) stands around a live view and around a plain one. The plain
view's answer to a GET is the oracle. A POST to the live view needs two answers: the plain view's to
a GET, because the page is what the POST is about, and its answer to a POST, because a stack that
refuses POST as such (`require_safe`) refuses the transport.

DJUST_SEED chooses other stacks, DJUST_STACKS says how many; a failure names the stack and its seed.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.test import override_settings

from djust import apublish
from djust.live.channel import joins
from djust.live.page import Page
from djust.live.registry import registry
from djust.live.token import USER, JoinToken, fingerprint, make_join_token
from djust.live.transports.post import _connections
from djust.protocol.messages import Settled
from tests import guarded
from tests.asgi_client import Browser, Closed, Response
from tests.guarded import SECRET, TOPIC, Stack, deeds, tallies
from tests.test_restoring import crash, written
from tests.transports import PostWire, SocketWire

pytestmark = [pytest.mark.django_db(transaction=True)]

SEED = int(os.environ.get("DJUST_SEED", "1"))
STACKS = int(os.environ.get("DJUST_STACKS", "240"))
PARTS = 4
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
CACHES = {name: {"BACKEND": LOCMEM, "LOCATION": f"guards {name}"} for name in ("default", "pages", "states")}

# What befalls a visitor while a page is open.
EVENTS = ["nothing", "nothing", "permission", "ban", "deactivated", "logout"]
# Afterwards they are somebody else, who does not get the page of the one they were, whatever guards
# it.
OF_ANOTHER = ("deactivated", "logout")


class Posting(PostWire):
    """Counts its requests."""

    posts = 0

    async def send(self, *frames: list[Any]) -> None:
        self.posts += 1
        await super().send(*frames)


class Case(NamedTuple):
    stack: Stack
    browser: Browser
    user: User | None
    befalls: str
    handler: str

    async def get(self) -> Response:
        """The plain view's answer, which no cache of it gives."""
        caches["pages"].clear()
        return await self.browser.get("/plain/")

    async def serves(self) -> bool:
        return (await self.get()).status == 200

    async def serves_posts(self) -> bool:
        """Whether the plain view would answer both a GET and a POST."""
        return await self.serves() and (await self.post("/plain/")).status == 200

    async def post(self, url: str, body: bytes = b"", **headers: str) -> Response:
        token = {"x-csrftoken": self.browser.cookies.get("csrftoken", "")}
        return await self.browser.get(url, "POST", body=body, **token, **headers)

    async def befall(self) -> None:
        """Let what befalls the visitor happen."""
        if self.user is None:
            return
        if self.befalls == "permission":
            await self.user.user_permissions.aclear()
        elif self.befalls == "ban":
            guarded.banned.add(self.user.username)
        elif self.befalls == "deactivated":
            await User.objects.filter(pk=self.user.pk).aupdate(is_active=False)
        elif self.befalls == "logout":
            await self.browser.log_out()

    @property
    def is_another(self) -> bool:
        return self.user is not None and self.befalls in OF_ANOTHER


class Count:
    """How often each layer was passed since the last look."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._before: Counter[str] = Counter()
        self.expect(0, 0, check=False)

    def expect(self, view: int, middleware: int, *, check: bool = True) -> None:
        """Each counting layer of the view was passed so often, and each middleware."""
        now, wanted = Counter(tallies["/live/"]), Counter[str]()
        wanted.update(dict.fromkeys(self._stack.counting, view))
        wanted.update(dict.fromkeys(self._stack.counting_middleware, middleware))
        passed = {name: now[name] - self._before[name] for name in wanted}
        self._before = now
        if check and self._stack.counts_exactly:
            assert passed == dict(wanted)


def live_page() -> Page:
    (page,) = registry.pages()
    return page


async def settled(page: Page) -> None:
    """Wait until the page has dealt with everything that it has, and with what was published."""
    for _ in range(5):
        await asyncio.sleep(0)
    done = asyncio.Event()
    page.post(Settled(done))
    async with asyncio.timeout(10):
        await done.wait()


async def create_user(rng: random.Random, name: str) -> User | None:
    kind = rng.choice(["anonymous", "member", "editor", "editor", "editor", "banned"])
    if kind == "anonymous":
        return None
    user = await User.objects.acreate(username=name)
    if kind != "member":
        await user.user_permissions.aadd(await Permission.objects.aget(codename="change_group"))
    if kind == "banned":
        guarded.banned.add(name)
    return user


def has_done(case: Case, *, by_post: bool = False) -> list[str]:
    done = deeds.copy()
    deeds.clear()
    # What refuses a response refuses it when the handler has run.
    is_late = case.stack.is_late_for_posts if by_post else case.stack.is_late
    return [] if is_late else done


# Visitors who are refused


async def expect_refused_from_the_start(case: Case) -> None:
    """Neither GET nor join, frames or form of somebody whom the plain view refuses."""
    plain, live = await case.get(), await case.browser.get("/live/")
    # Of several layers that refuse, another one may be the first: attributes are asked for after
    # mixins.
    assert (live.status in (302, 403, 404, 410), SECRET in live.text) == (plain.status != 200, False)
    owner = "" if case.user is None else fingerprint(f"{USER}{case.user.pk}")
    ticket = make_join_token(JoinToken("somebody", "/live/", owner))
    await expect_no_join(case, ticket)
    for body, headers in ((f'["join","{ticket}",0,"/live/","one"]\n[1,"add",{{}}]', {"x-djust": ""}), ("", {})):
        response = await case.post("/live/", body.encode(), **headers)
        assert (response.status == 200, SECRET in response.text) == (False, False)
    assert has_done(case, by_post=True) == []


async def expect_no_join(case: Case, ticket: str, version: int = 0) -> None:
    socket = await case.browser.connect()
    with suppress(Closed):
        await socket.send(["join", ticket, version, "/live/", "one"])
        await socket.send([1, case.handler, {}])
        while True:
            frame = await socket.receive()
            assert frame[0] in ("error", "go"), frame
            assert SECRET not in str(frame)
    assert has_done(case) == []


async def expect_refused_over_socket(case: Case, page: SocketWire) -> None:
    """An event or a message of the topic ends the connection, and shows nothing."""
    if case.befalls == "ban":
        await apublish(TOPIC, 1)
    else:
        await page.send([page.ref + 1, case.handler, {}])
    with suppress(Closed):
        while True:
            frame = await page.receive()
            assert frame[0] == "error", frame
    assert page.socket.code in (4403, 4401)
    await settled(live_page())
    assert has_done(case) == []


async def expect_refused_over_posts(case: Case, page: PostWire) -> None:
    await apublish(TOPIC, 1)
    await settled(live_page())
    # A session that was lost behind everybody's back is found out by the next request.
    assert has_done(case) == [] or await case.serves()
    response = await case.post("/live/", f'[99,"{case.handler}",{{}}]'.encode(), **{"x-djust": page.id})
    # Frames of somebody who does not own the page are answered with the reason.
    assert response.status != 200 or response.headers.get("x-djust-close") in ("4403", "4401")
    assert "[99,1" not in response.text
    assert SECRET not in response.text
    assert has_done(case, by_post=True) == []


# Visitors who are served


async def open_over(case: Case, count: Count, wire: type[SocketWire | PostWire]) -> SocketWire | PostWire:
    page = wire(case.browser, "/live/")
    page.response = await case.browser.get("/live/")
    assert (page.response.status, SECRET in page.response.text) == (200, True)
    count.expect(1, 1)
    assert (await page.join(page.response.ticket))[0] == "joined"
    # A browser that posts asks for a token before.
    count.expect(*((1, 1) if isinstance(page, SocketWire) else (2, 2)))
    return page


async def expect_served(case: Case, count: Count, page: SocketWire | PostWire, shown: int) -> None:
    """An event and a message of the topic; the page shows `shown` before."""
    deeds.clear()
    answer = await page.event(case.handler)
    assert (answer[0], answer[2]) == (page.ref, [0, f"{SECRET}: {shown + 1}"]), answer
    surrounded = "set" if case.stack.surrounds else "nothing"
    assert answer[4]["reply"] == [surrounded, surrounded if case.handler == "add" else "unknown"]
    count.expect(*((1, 1) if isinstance(page, SocketWire) else (1, 2)))
    posts = page.posts if isinstance(page, Posting) else 0
    await apublish(TOPIC, 1)
    assert (await page.receive())[2] == [0, f"{SECRET}: {shown + 2}"]
    polls = page.posts - posts if isinstance(page, Posting) else 0
    count.expect(1 + polls, 1 + polls)
    assert deeds == ["add", "info"]


async def expect_form_served(case: Case, count: Count) -> None:
    response = await case.post("/live/", b"dj-submit=add", **{"content-type": "application/x-www-form-urlencoded"})
    assert (response.status, f"{SECRET}: 1" in response.visible) == (200, True), response
    count.expect(1, 2)


async def lose_process(page: SocketWire | PostWire) -> None:
    """The process ends, and its pages are in the state cache."""
    held = live_page()
    held.end()
    await written(held.id, lambda snapshot: snapshot.last_ref == held.last_ref)
    if isinstance(page, SocketWire):
        await page.socket.close()
    else:
        _connections[page.id].channel.close(1012)
    crash()


async def expect_restored(case: Case, count: Count, page: SocketWire | PostWire, shown: int) -> None:
    """The process of the page is lost, and it is restored."""
    version = live_page().version
    await lose_process(page)
    frame = await page.join(page.response.ticket, version)
    assert (frame[0], frame[2][0]) == ("all", f"{SECRET}: {shown}"), frame
    await settled(live_page())
    # As often as a join, and once for `MessagesMissed`.
    count.expect(*((2, 2) if isinstance(page, SocketWire) else (3, 3)))


async def expect_not_restored(case: Case, page: SocketWire | PostWire, *, by_posts: bool) -> None:
    ticket = page.response.ticket
    if by_posts:
        body = f'["join","{ticket}",0,"/live/","one"]\n[99,"add",{{}}]'
        response = await case.post("/live/", body.encode(), **{"x-djust": ""})
        assert response.status != 200 or response.headers.get("x-djust-close") in ("4403", "4401")
        assert SECRET not in response.text
        assert has_done(case, by_post=True) == []
    await expect_no_join(case, ticket, 1)


async def check_served(case: Case, rng: random.Random) -> None:
    """A visitor whom the plain view serves, until something befalls them."""
    count = Count(case.stack)
    wires: tuple[type[SocketWire | PostWire], ...] = (SocketWire, Posting)
    wire = rng.choice(wires) if await case.serves_posts() else SocketWire
    page = await open_over(case, count, wire)
    await expect_served(case, count, page, 0)
    is_restored = rng.random() < 0.3
    if is_restored:
        await expect_restored(case, count, page, 2)
        await expect_served(case, count, page, 2)
    await case.befall()
    serves, serves_posts = await case.serves(), await case.serves_posts()
    deeds.clear()
    has_posts = isinstance(page, PostWire)
    if (serves_posts if has_posts else serves) and not (has_posts and case.is_another):
        await expect_served(case, count, page, 4 if is_restored else 2)
    elif isinstance(page, PostWire):
        await expect_refused_over_posts(case, page)
    else:
        await expect_refused_over_socket(case, page)
    await check_afterwards(case, count, page)


async def check_afterwards(case: Case, count: Count, page: SocketWire | PostWire) -> None:
    """What a form and a lost process lead to when something has befallen the visitor."""
    serves, serves_posts = await case.serves(), await case.serves_posts()
    deeds.clear()
    if not serves:
        await lose_process(page)
        await expect_not_restored(case, page, by_posts=True)
    crash()
    count.expect(0, 0, check=False)
    if serves_posts:
        await expect_form_served(case, count)
    else:
        response = await case.post("/live/", b"dj-submit=add")
        assert (response.status == 200, SECRET in response.text) == (False, False)
        assert has_done(case, by_post=True) == []


async def check(seed: str) -> str:
    """One stack and one visitor; what was found out about them."""
    rng = random.Random(seed)
    stack = Stack(rng)
    site = type("Site", (), {"urlpatterns": stack.urlpatterns})
    middleware = [*django_settings.MIDDLEWARE, *stack.middleware]
    for known in (deeds, tallies, guarded.banned, joins._buckets):
        known.clear()
    registry.clear()
    with override_settings(ROOT_URLCONF=site, MIDDLEWARE=middleware):
        async with Browser() as browser:
            user = await create_user(rng, f"visitor {seed}")
            case = Case(stack, browser, user, rng.choice(EVENTS), rng.choice(["add", "add_on_loop"]))
            try:
                if user is not None:
                    await browser.log_in(user)
                if await case.serves():
                    await check_served(case, rng)
                    return "served"
                await expect_refused_from_the_start(case)
            except BaseException as error:
                error.add_note(f"seed {seed}: {user and user.username!r}, {case.befalls}, {case.handler}; {stack!r}")
                raise
            finally:
                registry.clear()
    return "refused"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@override_settings(CACHES=CACHES, LIVEVIEW_CONFIG={"state_cache": "states", "events_per_second": 1e6})
async def test_a_live_view_refuses_and_serves_as_a_plain_one_does(part: int) -> None:
    found = Counter([await check(f"{SEED}/{part}/{number}") for number in range(STACKS // PARTS)])
    assert min(found["served"], found["refused"]) > STACKS // PARTS / 10, f"{found} says little"
