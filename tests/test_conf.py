"""`LIVEVIEW_CONFIG`."""

from dataclasses import asdict
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from djust.conf import Config, config

DEFAULTS = asdict(Config())


def current() -> dict[str, Any]:
    return {name: getattr(config, name) for name in DEFAULTS}


def test_every_key_has_a_default() -> None:
    assert current() == DEFAULTS


def test_given_keys_count_and_unknown_ones_do_not_disturb(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 4, "park_seconds": 1, "unknown": True}
    assert current() == DEFAULTS | {"threads": 4, "park_seconds": 1}


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("threads", "4", "int"),
        ("threads", True, "int"),
        ("threads", 1.5, "int"),
        ("strict_serialization", 1, "bool"),
        ("park_seconds", None, "float"),
        ("socket_path", 5, "str"),
    ],
)
def test_a_value_of_the_wrong_type_is_reported(key: str, value: Any, kind: str, settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {key: value}
    with pytest.raises(ImproperlyConfigured, match=rf'LIVEVIEW_CONFIG\["{key}"\] must be {kind}; got'):
        current()
