"""Where https://api.example.com and https://api.weather.example.com really are.

The views call `httpx.get("https://api.example.com/products", ...)`, as the guide prints them, and nobody serves these
hosts. A real project would change the URL; the demo leaves the views alone and changes the transport instead:
`httpx.get` becomes the `get` of a client that hands requests for these two hosts to the server named by the variable
DEMO_API_URL (started by `backing.py`). The views' requests, timeouts and answers are real HTTP, and requests to all
other hosts go where they always went.
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

    A client's `get` lacks the options of `httpx.get` that describe a client (proxy, verify); the views use none.
    """
    transport = DemoTransport()
    httpx.get = httpx.Client(mounts={f"https://{host}": transport for host in HOSTS}).get  # type: ignore[assignment]
