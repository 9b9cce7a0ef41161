"""Run Django's tests with every template rendered by compiled code, or without us. A program of its
own.

    python compiled.py TESTS RESULT LABEL …             compiled
    python compiled.py --plain TESTS RESULT LABEL …     Django's own rendering

TESTS is the folder of Django's `runtests.py`. RESULT is written as JSON: `{"ran": 4090, "skipped":
243, "failed": {label: traceback}, "seconds": {class: s}, "items": {"native": {"django": 17,
"other": 3}, "opaque": {…}}}`. A label is what `runtests.py` takes: of a test, or of the class or
module whose preparation failed.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
import unittest
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import django.template.base
import django.test.utils
from django.template import Context
from django.test.runner import DiscoverRunner
from django.utils.safestring import SafeString

from djust.template import compile_template, lower
from djust.template.nodes import Inclusion, Node, Static

CONTRIB = "django.contrib."  # its tags are not among Django's built-in ones

items: dict[str, Counter[str]] = {"native": Counter(), "opaque": Counter()}
opaque: Counter[str] = Counter()


def render_compiled() -> None:
    """Replace the two functions through which Django's templates are rendered, and count what is
    compiled.
    """

    def render(self: Any, context: Context) -> SafeString:
        return compile_template(self).render(context)

    def instrumented(self: Any, context: Context) -> SafeString:
        django.test.utils.template_rendered.send(sender=self, template=self, context=context)
        return render(self, context)

    def counted(self: lower.Lowering) -> list[Node]:
        found = lowered(self)
        count(found)
        return found

    django.template.base.Template._render = render  # type: ignore[attr-defined]
    if partial := getattr(django.template.base, "PartialTemplate", None):
        partial._render = render
    django.test.utils.instrumented_test_render = instrumented  # type: ignore[assignment]
    lowered = lower.Lowering.template
    lower.Lowering.template = counted  # type: ignore[method-assign]


def count(found: Iterable[Node]) -> None:
    for node in own_nodes(found):
        if isinstance(node, Static):
            continue
        kind = "native" if node.is_native else "opaque"
        name = author_of(node)
        own = name.startswith("django.") and not name.startswith(CONTRIB)
        items[kind]["django" if own else "other"] += 1
        if kind == "opaque":
            opaque[name] += 1


def own_nodes(found: Iterable[Node]) -> Iterator[Node]:
    """As `all_nodes`, without those of included templates: each of these is lowered, and counted,
    for itself.
    """
    for node in found:
        yield node
        if not isinstance(node, Inclusion):
            for body in node.bodies:
                yield from own_nodes(body)


def author_of(node: Node) -> str:
    """The function of a `simple_tag` and its like, the class of any other node, with the module."""
    author = getattr(node.tag, "func", type(node.tag))
    return f"{author.__module__}.{author.__qualname__}"


def label_of(test: Any) -> str:
    """The label of a failed test, or of the class or module whose preparation failed."""
    test = getattr(test, "test_case", test)  # of a subtest
    name: str = test.id()
    if name.startswith("unittest.loader._FailedTest."):
        return name.removeprefix("unittest.loader._FailedTest.")
    return name.partition("(")[2].rstrip(")") if "(" in name else name


def record(path: Path) -> None:
    """Write the result of the run to `path` when it ends."""
    plain_result, plain_start = DiscoverRunner.suite_result, unittest.TestResult.startTest
    plain_stop = unittest.TestResult.stopTest
    seconds: Counter[str] = Counter()
    started = [0.0]

    def start(self: Any, test: Any) -> None:
        started[0] = time.perf_counter()
        plain_start(self, test)

    def stop(self: Any, test: Any) -> None:
        seconds[test.id().rpartition(".")[0]] += time.perf_counter() - started[0]
        plain_stop(self, test)

    def suite_result(self: DiscoverRunner, suite: Any, result: Any, **options: Any) -> Any:
        failed = {label_of(test): text for test, text in [*result.failures, *result.errors]}
        failed |= {label_of(test): "unexpected success" for test in result.unexpectedSuccesses}
        counts = {kind: dict(counter) for kind, counter in items.items()}
        ran = {"ran": result.testsRun, "skipped": len(result.skipped), "failed": failed, "seconds": dict(seconds)}
        path.write_text(json.dumps({**ran, "items": counts, "opaque": dict(opaque)}))
        return plain_result(self, suite, result, **options)

    unittest.TestResult.startTest = start  # type: ignore[method-assign]
    unittest.TestResult.stopTest = stop  # type: ignore[method-assign]
    DiscoverRunner.suite_result = suite_result  # type: ignore[method-assign]


def main(arguments: list[str]) -> None:
    plain = arguments[0] == "--plain"
    folder, result, *labels = arguments[plain:]
    if not plain:
        render_compiled()
    record(Path(result))
    os.chdir(folder)
    # One process: what is counted and patched here would not be in others.
    sys.argv = [
        f"{folder}/runtests.py",
        "--settings=test_sqlite",
        "--parallel=1",
        "--noinput",
        "--verbosity=0",
        *labels,
    ]
    sys.path[0] = folder
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
