"""The built client that is committed is what its sources build to."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CLIENT = ROOT / "client"
BUILT = ROOT / "src" / "djust" / "static" / "djust"

pytestmark = pytest.mark.slow


def builds() -> bool:
    return "build" in json.loads((CLIENT / "package.json").read_text()).get("scripts", {}) and BUILT.exists()


@pytest.mark.skipif(not builds(), reason="the client has no build yet")
def test_rebuilding_the_client_gives_the_committed_files(tmp_path: Path) -> None:
    if not (CLIENT / "node_modules").exists():
        pytest.skip("Node packages are not installed (make test installs them)")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed (make test brings it)")

    # A copy is built, so that a stale file of the checkout is found and not overwritten.
    client = tmp_path / "client"
    shutil.copytree(CLIENT, client, ignore=shutil.ignore_patterns("node_modules", "coverage"))
    (client / "node_modules").symlink_to(CLIENT / "node_modules")
    (tmp_path / "src" / "djust" / "static" / "djust").mkdir(parents=True)
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    built = subprocess.run(
        [npm, "run", "--silent", "build"], cwd=client, check=False, capture_output=True, text=True, timeout=120
    )
    assert built.returncode == 0, built.stdout + built.stderr

    fresh = {path.name: path.read_bytes() for path in (tmp_path / "src" / "djust" / "static" / "djust").iterdir()}
    assert fresh
    assert {name: (BUILT / name).read_bytes() for name in fresh} == fresh, "run `make client` and commit the result"
