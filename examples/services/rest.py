"""The two REST APIs of the demo: products that can be searched, and weather forecasts.

One small HTTP server answers for both hosts. It tells them apart by the Host header, as any shared
server does. An answer takes `delay` seconds, as real ones do. `requests` counts the requests by
`(host, path)`.

    GET /products?q=lamp       Host: api.example.com
        {"results": [{"id", "name", "sku", "price", "available"}]}
    GET /forecast?city=Oslo    Host: api.weather.example.com
        {"city", "cities", "now": {...}, "days": [{...}]}
"""

import json
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PRODUCTS = [
    ("Brass desk lamp", "LMP-014", 89.0, True),
    ("Paper floor lamp", "LMP-020", 129.5, True),
    ("Clip-on reading lamp", "LMP-033", 24.9, False),
    ("Oak side table", "TBL-101", 210.0, True),
    ("Round bistro table", "TBL-117", 178.0, False),
    ("Folding table", "TBL-130", 64.0, True),
    ("Reading chair", "CHR-204", 349.0, True),
    ("Stacking chair", "CHR-210", 55.0, True),
    ("Rocking chair", "CHR-222", 289.0, False),
    ("Kitchen stool", "STL-305", 72.5, True),
    ("Bar stool", "STL-311", 95.0, True),
    ("Linen sofa, two seats", "SOF-402", 1249.0, True),
    ("Corner sofa", "SOF-415", 2190.0, False),
    ("Wall shelf", "SHL-503", 39.0, True),
    ("Bookcase, five shelves", "SHL-520", 199.0, True),
    ("Coat stand", "HAL-601", 84.0, True),
    ("Shoe bench", "HAL-608", 118.0, False),
    ("Wool rug, 140 x 200", "RUG-702", 265.0, True),
    ("Jute rug, 80 x 150", "RUG-709", 59.9, True),
    ("Wall clock", "DEC-801", 44.0, True),
    ("Round mirror", "DEC-814", 132.0, True),
    ("Terracotta planter", "DEC-822", 18.5, True),
    ("Picture frame, A3", "DEC-830", 27.0, False),
    ("Storage basket", "DEC-841", 21.0, True),
]

# City -> temperature of an average day, difference between day and night.
CITIES = {
    "Cape Town": (19, 8),
    "Lima": (20, 5),
    "London": (12, 6),
    "Nairobi": (21, 10),
    "Reykjavík": (5, 4),
    "São Paulo": (22, 8),
    "Sydney": (20, 7),
    "Tokyo": (17, 7),
}
SKIES = ["sunny", "fair", "cloudy", "rain", "showers", "windy"]


def products(query: str) -> dict[str, Any]:
    """The products whose name or SKU contains `query`; all for an empty one."""
    words = query.casefold().split()
    return {
        "results": [
            {"id": number, "name": name, "sku": sku, "price": price, "available": available}
            for number, (name, sku, price, available) in enumerate(PRODUCTS, 1)
            if all(word in f"{name} {sku}".casefold() for word in words)
        ]
    }


def forecast(city: str) -> dict[str, Any]:
    """Seven days for a city of CITIES, and `now`, which changes each second; else no days."""
    answer: dict[str, Any] = {"city": city, "cities": list(CITIES), "days": []}
    if city not in CITIES:
        return answer | {"error": f"No forecast for {city!r}."}
    average, swing = CITIES[city]
    today = datetime.now(UTC)
    for ahead in range(7):
        date = today.date() + timedelta(days=ahead)
        chance = random.Random(f"{city} {date}")
        high = average + swing // 2 + chance.randint(-3, 3)
        answer["days"].append(
            {
                "date": date.isoformat(),
                "name": f"{date:%A}",
                "sky": chance.choice(SKIES),
                "high": high,
                "low": high - swing - chance.randint(0, 2),
                "rain": chance.randrange(0, 100, 5),
            }
        )
    wind = random.Random(f"{city} {today:%H:%M:%S}").randint(2, 38)
    answer["now"] = {"time": f"{today:%H:%M:%S}", "wind": wind, "sky": answer["days"][0]["sky"]}
    return answer


class RestServer(ThreadingHTTPServer):
    """Both APIs on one port of 127.0.0.1."""

    def __init__(self, port: int, delay: float) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.delay = delay
        self.requests: Counter[tuple[str, str]] = Counter()


class _Handler(BaseHTTPRequestHandler):
    server: RestServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        host = self.headers.get("Host", "").partition(":")[0]
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        self.server.requests[host, address.path] += 1
        time.sleep(self.server.delay)
        match host, address.path:
            case "api.example.com", "/products":
                self._answer(200, products(query.get("q", "")))
            case "api.weather.example.com", "/forecast":
                city = query.get("city", "")
                self._answer(200 if city in CITIES else 404, forecast(city))
            case _:
                self._answer(404, {"error": f"{host}{address.path} is not an address of this server."})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing: the terminal belongs to the demo."""
