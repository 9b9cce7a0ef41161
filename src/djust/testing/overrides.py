"""Fakes that replace services."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import ContextDecorator
from functools import wraps
from typing import Any, TypeVar, cast

from djust.services import overrides

F = TypeVar("F", bound=Callable[..., Any])


class override_service(ContextDecorator):  # noqa: N801 — used as a word: `with override_service(get_s3, fake):`
    """While its block or its decorated function runs, `fake` replaces the services and providers of
    `factory`. It is neither called nor closed.
    """

    def __init__(self, factory: Callable[[], Any], fake: Any) -> None:
        self._factory = factory
        self._fake = fake

    def __enter__(self) -> Any:
        overrides.setdefault(self._factory, []).append(self._fake)
        return self._fake

    def __exit__(self, *_: object) -> None:
        fakes = overrides[self._factory]
        fakes.pop()
        if not fakes:
            del overrides[self._factory]

    def __call__(self, function: F) -> F:
        """Decorate a function or a coroutine function."""
        if isinstance(function, type) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"override_service decorates functions; {function!r} is a class or a generator function. Decorate each "
                "test, or write `with override_service(…):` where it is set up."
            )
        if not inspect.iscoroutinefunction(function):
            return super().__call__(function)

        async def with_fake(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return cast("F", wraps(function)(with_fake))
