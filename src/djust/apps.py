"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig

from djust.checks import register_checks


class DjustConfig(AppConfig):
    """Put "djust" into INSTALLED_APPS for the template tags, the static files and the checks."""

    name = "djust"
    verbose_name = "djust"

    def ready(self) -> None:
        register_checks()
