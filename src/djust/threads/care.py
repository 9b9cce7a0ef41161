"""What a thread of a pool keeps between jobs: its cache clients and database connections.

A thread of a WSGI server keeps them in the same way, and they get the care that Django gives them
around a request.
"""

from __future__ import annotations

import contextvars
import logging
from contextlib import suppress

from django.conf import settings
from django.core.cache import caches
from django.db import connections

logger = logging.getLogger("djust")


def job_context() -> contextvars.Context:
    """The context that each job of this thread gets a copy of.

    So no job sees what an earlier one has activated, such as a language. Django keeps its cache
    clients in the context as well; they are made here, or each job would open a connection.
    """
    for alias in settings.CACHES:
        # Code that uses a cache that cannot be made gets the error.
        with suppress(BaseException):
            caches[alias]
    return contextvars.copy_context()


def tidy_connections() -> bool:
    """Do what Django does with a thread's connections around a request; whether there are any.

    Where that fails the connections are dropped, and the thread gets new ones.
    """
    # A back end may raise whatever it likes, and the thread has to go on.
    try:
        known = connections.all(initialized_only=True)
        for connection in known:
            connection.queries_log.clear()
            connection.close_if_unusable_or_obsolete()
        return bool(known)
    except BaseException:
        with suppress(BaseException):
            logger.exception("The database connections of a thread cannot be tidied, and are dropped")
    with suppress(BaseException):
        for connection in connections.all(initialized_only=True):
            with suppress(BaseException):
                connection.close()
            del connections[connection.alias]
    return False
