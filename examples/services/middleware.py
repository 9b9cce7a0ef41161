"""A strict content security policy, to show that live pages need no exception from it."""

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"


class ContentSecurityPolicy(MiddlewareMixin):
    """Sends POLICY with every answer: no inline script, no inline style, no foreign host."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response["Content-Security-Policy"] = POLICY
        return response
