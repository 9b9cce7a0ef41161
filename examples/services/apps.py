"""Django's entry for the demo."""

from django.apps import AppConfig

from examples.services import hosts


class ServicesConfig(AppConfig):
    """Connects the guide's example hosts when Django starts."""

    name = "examples.services"
    label = "services"

    def ready(self) -> None:
        hosts.install()
