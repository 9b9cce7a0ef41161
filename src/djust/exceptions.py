"""Every exception of this package that users may want to catch.

Their messages say which thing, what is wrong, what was expected and what came, and what to do.
"""

from __future__ import annotations

from django.utils.translation import gettext

__all__ = [
    "DjustError",
    "ForbiddenError",
    "HandlerError",
    "HandlerTimeoutError",
    "ParameterError",
    "ProtocolError",
    "ServerBusyError",
    "ServiceError",
    "StateError",
    "TicketError",
]


class DjustError(Exception):
    """The parent of all exceptions of this package."""


class ProtocolError(DjustError):
    """The browser sent something that is not a frame of `docs/protocol.md`."""


class ServiceError(DjustError):
    """A service could not be made, or was used where it cannot be."""


class StateError(DjustError):
    """A saved state cannot be read, or not completely: a row that it refers to is gone."""


class TicketError(DjustError):
    """A join token cannot be used. `expired` is true for an old one, and false for a forged one;
    `url` is set if the token is genuine.
    """

    def __init__(self, message: str, *, expired: bool = False, url: str = "") -> None:
        super().__init__(message)
        self.expired = expired
        self.url = url


class HandlerError(DjustError):
    """An event was refused: nothing was called.

    The message may be shown to any user. `detail` may hold what only a developer should see: values
    that the browser sent, names of handlers.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class ForbiddenError(HandlerError):
    """The view's `authorize` does not let this turn run."""


class ParameterError(HandlerError):
    """What the browser sent does not fit the parameters of a handler."""


class ServerBusyError(HandlerError):
    """Too much waits for a thread already (`max_queue`): this was refused, and may be tried again.

    The message is one sentence for users, in their language; `detail` says which pool is full.
    """

    def __init__(self, detail: str = "") -> None:
        super().__init__(gettext("The server is busy. Please try again."), detail)


class HandlerTimeoutError(DjustError, TimeoutError):
    """A handler has taken longer than its `@event_handler(timeout=…)` or the setting
    `handler_timeout` allows.
    """

    def __init__(self, title: str, seconds: float) -> None:
        super().__init__(f"{title} has taken longer than its timeout of {seconds:g} s, and was given up.")
