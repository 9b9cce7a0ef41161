"""The wheel holds everything that the checkout has, and works on its own."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SITE = """
import django
from django.conf import settings
from django.contrib.staticfiles import finders
settings.configure(SECRET_KEY="x", INSTALLED_APPS=["django.contrib.staticfiles", "djust"], STATIC_URL="/static/")
django.setup()
import djust
from djust.asgi import get_asgi_application
get_asgi_application()
print(djust.__file__)
print(finders.find("djust/djust.js"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


def test_it_holds_every_file_of_the_package(wheel: Path) -> None:
    source = ROOT / "src"
    kept = {
        str(path.relative_to(source))
        for path in (source / "djust").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == kept
    assert {"djust/py.typed", "djust/static/djust/djust.js"} <= packed


def test_it_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", SITE],
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout.split() == [
        str(tmp_path / "djust" / "__init__.py"),
        str(tmp_path / "djust" / "static" / "djust" / "djust.js"),
    ], ran.stderr
