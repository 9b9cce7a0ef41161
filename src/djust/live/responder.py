"""The responder answers all requests of all live views, each by its purpose.

A POST takes two steps. First the view's `get` sees the GET that the POST would have been, so that
guards of `get` protect POSTs as well. Then the POST is answered, in the thread of its request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.utils.datastructures import MultiValueDict

from djust.live.guards import MOUNT, OF_BODY, keep_out_of_caches
from djust.live.mount import Mount, Purpose, mount_of, render
from djust.live.transports.nojs import answer_form
from djust.live.transports.post import answer_post, answer_stream
from djust.live.visitor import look_up_lazily
from djust.views import Answer, LiveView, answer_of


def respond(view: LiveView, request: HttpRequest) -> Answer:
    """The answer to a request that has come to `view`."""
    mount = mount_of(request)
    if request.method == "POST":
        view.request = _as_get(request, mount)
        return view.get(view.request, *view.args, **view.kwargs)
    if mount.purpose is not Purpose.RENDER:
        # Not in a header: a decorator may answer with a copy without headers.
        keep_out_of_caches(request)
    match mount.purpose:
        case Purpose.RENDER | Purpose.RESTORE | Purpose.NAVIGATE:
            return render(view, request, mount)
        case Purpose.AUTHORIZE:
            assert mount.passage is not None, "a mount for this purpose has one"
            return answer_of(view, mount.passage.authorize(view))
        case Purpose.FRAMES:
            return _in_thread_of_request(answer_post, view, mount.posted or request, mount)
        case Purpose.FORM:
            return _in_thread_of_request(answer_form, view, mount.posted or request, mount)
        case Purpose.STREAM:
            return _in_thread_of_request(answer_stream, view, request, mount)
        case Purpose.CSRF_TOKEN:
            return answer_of(view, _csrf_token(request))


def _in_thread_of_request(
    answer: Callable[[LiveView, HttpRequest, Mount], HttpResponseBase],
    view: LiveView,
    request: HttpRequest,
    mount: Mount,
) -> Answer:
    """The result of `answer`, which reads sessions and may wait for the event loop."""
    if asyncio._get_running_loop() is None:
        return answer(view, request, mount)
    # As in a synchronous view.
    return sync_to_async(answer, thread_sensitive=True)(view, request, mount)


def _csrf_token(request: HttpRequest) -> HttpResponseBase:
    headers = {"Cache-Control": "private, no-store"}
    return HttpResponse(get_token(request), content_type="text/plain", headers=headers)


def _as_get(request: HttpRequest, mount: Mount) -> HttpRequest:
    """A GET with the address, headers and visitor of a POST.

    Both share META, in which Django keeps the CSRF token.
    """
    copied = request.__class__.__new__(request.__class__)
    known = vars(copied)
    known.update(item for item in vars(request).items() if item[0] not in OF_BODY)
    known.update(method="GET", _stream=BytesIO(), _read_started=False, _post=QueryDict(), _files=MultiValueDict())
    known[MOUNT] = mount
    look_up_lazily(copied)
    return copied
