"""The source package of the installed Django, which holds its tests; the wheel does not.

    tests = unpack(source_package(), tmp_path)      ->  tmp_path/django-5.2.19/tests

pip downloads it once, and verifies it with the index's checksum. The file stays in a cache folder
outside the repository, beside its own SHA-256, which is verified before each use.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import django

VERSION = django.get_version()
SECONDS = 300


class NoPackageError(Exception):
    """The source package can neither be found in the cache nor be downloaded."""


def cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "djust" / "django"


def source_package() -> Path:
    """The archive, downloaded if the cache lacks it or holds another file than the one that was
    downloaded.
    """
    folder = cache_folder()
    archive = folder / f"django-{VERSION}.tar.gz"
    recorded = folder / f"{archive.name}.sha256"
    if not (archive.exists() and recorded.exists() and recorded.read_text() == _sha256(archive)):
        folder.mkdir(parents=True, exist_ok=True)
        archive.unlink(missing_ok=True)
        _download(folder)
        if not archive.exists():
            raise NoPackageError(f"pip downloaded {[p.name for p in folder.iterdir()]}, expected {archive.name}.")
        recorded.write_text(_sha256(archive))
    return archive


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _download(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "django"]
    command += [f"django=={VERSION}", "--dest", str(folder)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise NoPackageError(f"{' '.join(command)} did not end within {SECONDS} s.") from error
    if done.returncode:
        raise NoPackageError(
            f"The source package of Django {VERSION} is needed for Django's own tests, and pip cannot download it. "
            f"Allow pip to reach its package index, or put django-{VERSION}.tar.gz and its SHA-256 "
            f"(django-{VERSION}.tar.gz.sha256) into {folder}.\n{' '.join(command)}\n{done.stderr}"
        )


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack Django's tests into `folder`; returns the folder that holds `runtests.py`."""
    top = archive.name.removesuffix(".tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, [m for m in tar if m.name.startswith(f"{top}/tests/")], filter="data")
    return folder / top / "tests"
