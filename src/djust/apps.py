"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class DjustConfig(AppConfig):
    """Put "djust" into INSTALLED_APPS for the template tags, the static files and the checks."""

    name = "djust"
    verbose_name = "djust"
