"""Generated source is a product: it is compared with files that people read."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import FOLDER, NAMES, expected, generated

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", NAMES)
def test_generated_source_is_the_expected_one(name: str) -> None:
    assert generated(name) == expected(name).read_text(), "python -m tests.golden writes the files again"


def test_there_is_one_expected_source_for_each_template() -> None:
    assert len(NAMES) >= 12
    assert {path.name for path in FOLDER.glob("*.py.txt")} == {expected(name).name for name in NAMES}


@pytest.mark.slow
def test_the_source_does_not_depend_on_the_process() -> None:
    """Another process has other addresses and another order of sets and hashes."""
    code = (
        "import django; django.setup(); from tests.golden import NAMES, generated; "
        "print(''.join(map(generated, NAMES)), end='')"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1] == "".join(map(generated, NAMES))
