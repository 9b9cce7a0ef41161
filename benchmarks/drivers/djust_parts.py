"""The load generator's side of docs/protocol.md."""

import html
import json
import re
import time

from drivers.base import BaseDriver, Reply, WSSession, ws_connect

TICKET = re.compile(r'data-djust="([^"]*)"')


class PartsSession(WSSession):
    ref = 0

    async def send(self, op, arg=None):
        self.ref += 1
        message = json.dumps([self.ref, *event(op, arg)], separators=(",", ":"), ensure_ascii=False)
        mine = f"[{self.ref},"
        return await self.roundtrip(message, lambda frame: frame.startswith(mine) or refused(frame))


def event(op, arg):
    """Handler and parameters, as the client sends them for these elements."""
    if op in {"select", "remove"}:
        return op, {"id": str(arg)}
    if op == "type":
        return "filter", {"value": arg, "field": "q"}
    if op == "validate":
        return "validate", {"value": arg, "field": "email"}
    return op, {}


def refused(frame):
    if frame.startswith('["error"'):
        raise RuntimeError(frame[:300])
    return False


class Driver(BaseDriver):
    name = "djust_parts"
    label = "this project"

    async def open(self, port, workload):
        session = PartsSession()
        page = await self.get_page(session, port, workload)
        ticket = html.unescape(TICKET.search(page)[1])
        start = time.perf_counter()
        session.ws = await ws_connect(
            f"ws://127.0.0.1:{port}/djust/socket/", session.http.cookie_header(), f"http://127.0.0.1:{port}"
        )
        join = json.dumps(["join", ticket, 0, f"/{workload}/"], separators=(",", ":"))
        joined = await session.roundtrip(
            join, lambda frame: frame.startswith(('["joined"', '["all"')) or refused(frame)
        )
        session.mount_ms = (time.perf_counter() - start) * 1e3
        session.mount = Reply(joined.up, joined.down, session.ws.wire_out, session.ws.wire_in, joined.text)
        await session.http.close()
        return session
