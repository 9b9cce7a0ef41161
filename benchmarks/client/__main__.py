"""How much script does a click cost? The table of js-framework-benchmark, with frames of our
server.

    python -m benchmarks.client                    about fifteen minutes
    python -m benchmarks.client --quick            a smoke run
    python -m benchmarks.client --client FILE      another build of our script
    python -m benchmarks.client --before FILE      a second build of it, measured in the same run

Pages are open in one Chromium: ours, one by hand, and three with lit-html, morphdom and
idiomorph. All of them do every operation in turn, many times, by real clicks on their buttons and
links. Times are medians, in milliseconds of script from the event of the click to the changed page.
After each operation all pages must show the same table. The exit code is 1 if we miss a target.
"""

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.client.rows import SHOWN, Message, Table, operate, shown
from benchmarks.client.server import BUILT, contest, plain

HERE = Path(__file__).parent
ESBUILD = HERE.parents[1] / "client" / "node_modules" / ".bin" / "esbuild"
# Bytecode stays although garbage is collected before every operation: a page that is used keeps its
# own, too.
FLAGS = ["--no-sandbox", "--disable-gpu", "--js-flags=--expose-gc --no-flush-bytecode"]
PEERS = ["vanilla", "twin", "lit", "morphdom", "idiomorph"]
BEFORE = "before"

NUMBER = "one number beside 1,000 rows"

CLOCK = 0.005
"""The step of the browser's clock, in milliseconds."""

RATIO_TARGET, NUMBER_TARGET, FIRST_USE_TARGET, GROWTH_TARGET = 2.0, 0.5, 5.0, 1.0

# What is done in a cycle: the line of the report (or none), the operation, its arguments, one after
# the other. As in js-framework-benchmark, rows came and went before their creation is measured: the
# 10,000 of the cycle before leave memory that has to be fetched again.
STEPS: list[tuple[str, str, list[int]]] = [
    ("", "create", [1000]),
    ("", "clear", [0]),
    ("create 1,000", "create", [1000]),
    ("replace 1,000", "create", [1000]),
    ("update every tenth", "update", [10, 10, 10]),
    ("select", "select", [5, 995, 500, 7, 6, 250, 800, 100]),
    ("swap", "swap", [1, 2, 3, 4, 5, 100, 200, 300]),
    ("remove", "remove", [4, 500, 900, 7, 300, 600, 800, 0]),
    (NUMBER, "count", [1, 2, 3, 4, 5, 6, 7, 8]),
    ("append 1,000", "append", [1000]),
    ("", "create", [1000]),
    ("clear 1,000", "clear", [0]),
    ("create 1,000", "create", [1000]),
    ("append 1,000", "append", [1000]),
    ("", "create", [1000]),
    ("clear 1,000", "clear", [0]),
    ("create 10,000", "create", [10_000]),
    ("", "clear", [0]),
    ("create 10,000", "create", [10_000]),
    ("", "clear", [0]),
]

SHOW = f"""() => {{
  const html = document.getElementById('main').innerHTML.replace(/<!--.*?-->/g, '');
  return (html.match(/{SHOWN}/g) ?? []).join('\\n');
}}"""

Times = dict[str, dict[str, list[float]]]


class Contestant:
    """One page, in a browser context and so in a process of its own."""

    def __init__(self, browser: Browser, site: str, name: str) -> None:
        self.name = name.partition("/")[0]
        self.takes_html = self.name in {"morphdom", "idiomorph"}
        self.page: Page = browser.new_context().new_page()
        self.page.on("console", lambda message: print(f"{name}: {message.text}", file=sys.stderr))
        self.page.on("pageerror", lambda error: print(f"{name}: {error}", file=sys.stderr))
        self.page.goto(f"{site}/{name}")
        self.frame = ""

    def perform(self, name: str, value: int, message: Message, html: str) -> float:
        text = html if self.takes_html else json.dumps(message, separators=(",", ":"))
        self.page.evaluate("text => { window.answer = text; }", text)
        return self.click(name, value)

    def click(self, name: str, value: int) -> float:
        """Clicks what performs an operation; returns the milliseconds of script from the click to
        the changed page.
        """
        selector, index = f'[data-name="{name}"][data-value="{value}"]', 0
        if name in {"select", "remove"}:
            selector, index = f"#rows .col-md-{4 if name == 'select' else 1} > a", value
        x, y = self.page.evaluate("([selector, index]) => aim(selector, index)", [selector, index])
        self.page.mouse.click(x, y)
        done: dict[str, Any] = self.page.evaluate("() => done")
        self.frame = done["data"]
        return float(done["time"])

    def shown(self) -> str:
        return str(self.page.evaluate(SHOW))


class Ours(Contestant):
    """A page that performs by asking its server."""

    def __init__(self, browser: Browser, site: str, name: str = "djust/") -> None:
        super().__init__(browser, site, name)
        self.page.wait_for_function("window.djust?.connected")

    def perform(self, name: str, value: int, message: Message, html: str) -> float:
        return self.click(name, value)


def measure(contestants: list[Contestant], cycles: int, warm: int) -> Times:
    times: Times = defaultdict(lambda: defaultdict(list))
    table, chance = Table(), random.Random(0)
    for cycle in range(warm + cycles):
        for line, name, values in STEPS:
            for number, value in enumerate(values, 1):
                last = number == len(values)
                message, html = operate(table, name, value), plain(table) if last else ""
                chance.shuffle(contestants)  # who comes after a heavy one finds the caches cold
                for contestant in contestants:
                    if contestant.takes_html and not last:
                        continue  # the next HTML says it all; some of these need a quarter of a second
                    time = contestant.perform(name, value, message, html)
                    if line and cycle >= warm:
                        times[line][contestant.name].append(time)
            check(contestants, line or name, shown(html))
    return times


def median(times: list[float]) -> float:
    """The median of times that a clock has rounded, all the others of the same step taken into
    account.
    """
    return statistics.median_grouped([round(time / CLOCK) * CLOCK for time in times], CLOCK)


def check(contestants: list[Contestant], line: str, expected: str) -> None:
    for contestant in contestants:
        found = contestant.shown()
        if found != expected:
            raise SystemExit(f"After {line}, {contestant.name} shows {found[:500]}, not {expected[:500]}.")


def first_use(browser: Browser, site: str, times: int) -> float:
    """The first click on 1,000 rows that the server rendered, on pages that were just loaded."""
    found = []
    for _ in range(times):
        ours = Ours(browser, site, "djust/?rows=1000")
        found.append(ours.perform("select", 500, {}, ""))
        ours.page.context.close()
    return statistics.median(found)


def growth(browser: Browser, site: str, cycles: int) -> tuple[int, float]:
    """Nodes and megabytes that are there after many times 100 rows came and went."""
    ours = Ours(browser, site)
    frames = []
    for _ in range(2):  # the second frame carries no plans
        frames = [(ours.click(*step), ours.frame)[1] for step in (("create", 100), ("clear", 0))]
    session = ours.page.context.new_cdp_session(ours.page)
    session.send("Performance.enable")

    def used(name: str) -> float:
        session.send("HeapProfiler.collectGarbage")
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == name))

    def repeat(count: int) -> None:
        ours.page.evaluate("([frames, cycles]) => repeat(frames, cycles)", [frames, count])

    repeat(100)
    nodes, heap = used("Nodes"), used("JSHeapUsedSize")
    repeat(cycles)
    grown = int(used("Nodes") - nodes), (used("JSHeapUsedSize") - heap) / 1e6
    ours.page.context.close()
    return grown


def report(times: Times) -> bool:
    names = ["djust", *(name for name in [*PEERS, BEFORE] if name in times[NUMBER])]
    print(
        f"{'':30}"
        + "".join(f"{name:>11}" for name in names)
        + "   ratio: djust"
        + "".join(f"{n:>11}" for n in names[2:])
    )
    missed = False
    for line, found in times.items():
        medians = [median(found[name]) for name in names]
        ours, vanilla, *others = medians
        miss = ours > RATIO_TARGET * vanilla
        missed |= miss
        print(
            f"{line:30}"
            + "".join(f"{median:11.3f}" for median in medians)
            + f"{ours / vanilla:15.2f}"
            + "".join(f"{other / vanilla:11.2f}" for other in others)
            + "  MISSED" * miss,
            flush=True,
        )
    return missed


def judge(text: str, found: float, target: float, unit: str) -> bool:
    missed = found > target
    print(f"{text:60}{found:8.3f} {unit} (at most {target})" + "  MISSED" * missed, flush=True)
    return missed


def bundle(client: Path, before: Path) -> dict[str, str]:
    """The scripts of all pages by name; `client` is what we ship, `before` another build of it."""
    with tempfile.TemporaryDirectory() as folder:
        sources = [str(HERE / "pages" / f"{name}.js") for name in ("djust", *PEERS) if name != "twin"]
        subprocess.run([ESBUILD, *sources, "--bundle", "--log-level=warning", f"--outdir={folder}"], check=True)
        built = {path.stem: path.read_text() for path in Path(folder).glob("*.js")}
    return {**built, "twin": built["vanilla"], "client": client.read_text(), BEFORE: before.read_text()}


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), headless=True, args=FLAGS)
        yield browser
        browser.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Script time of table operations in Chromium")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--client", type=Path, default=BUILT, help="the script to measure as ours")
    parser.add_argument("--only", nargs="*", choices=PEERS[2:], default=PEERS[2:], help="peers beside those by hand")
    parser.add_argument("--before", type=Path, help="another build of it, to compare")
    options = parser.parse_args()
    peers = ["vanilla", "twin", *options.only]
    cycles, warm, repeats = (3, 1, 1000) if options.quick else (11, 4, 10_000)
    scripts = bundle(options.client, options.before or options.client)
    with contest(scripts) as site, chromium() as browser:
        contestants = [Ours(browser, site), *(Contestant(browser, site, f"{name}/") for name in peers)]
        if options.before:
            contestants.append(Ours(browser, site, f"{BEFORE}/"))
        times = measure(contestants, cycles, warm)
        missed = report(times)
        for contestant in contestants:
            contestant.page.context.close()
        number = median(times[NUMBER]["djust"])
        missed |= judge("One number beside 1,000 rows", number, NUMBER_TARGET, "ms")
        missed |= judge(
            "First click on 1,000 rows after loading", first_use(browser, site, cycles), FIRST_USE_TARGET, "ms"
        )
        nodes, heap = growth(browser, site, repeats)
        missed |= judge(f"Nodes after {repeats:,} times 100 rows created and cleared", nodes, 0, "more")
        missed |= judge("The same: memory", heap, GROWTH_TARGET, "MB more")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
