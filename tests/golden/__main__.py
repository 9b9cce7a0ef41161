"""Write the expected sources again."""

import os

import django

from tests.golden import FOLDER, NAMES, expected, generated

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()
for path in FOLDER.glob("*.py.txt"):
    path.unlink()
for name in NAMES:
    expected(name).write_text(generated(name))
print(f"{len(NAMES)} sources written; read the diff.")
