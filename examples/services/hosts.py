"""Where https://api.example.com and https://api.weather.example.com really are.

The views call `httpx.get("https://api.example.com/products", ...)`, as the guide prints them, but
these hosts do not exist. A real project would change the URL. The demo leaves the views unchanged
and changes the transport instead. `httpx.get` becomes the `get` of a client that sends requests for
these two hosts to the server that DEMO_API_URL names (`backing.py` starts it). Requests, time-outs
and answers are real HTTP. Requests to other hosts are not affected.
"""

import os

import httpx

HOSTS = ("api.example.com", "api.weather.example.com")


class DemoTransport(httpx.HTTPTransport):
    """Connects to DEMO_API_URL; the Host header still names the host that was asked for."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if address := os.environ.get("DEMO_API_URL"):
            demo = httpx.URL(address)
            request.url = request.url.copy_with(scheme=demo.scheme, host=demo.host, port=demo.port)
        return super().handle_request(request)


def install() -> None:
    """Let `httpx.get` use the transport above for the hosts above.

    A client's `get` lacks those options of `httpx.get` that describe a client (proxy, verify). The
    views use none of them.
    """
    transport = DemoTransport()
    httpx.get = httpx.Client(mounts={f"https://{host}": transport for host in HOSTS}).get  # type: ignore[assignment]
