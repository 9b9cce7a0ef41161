#!/usr/bin/env bash
# Create the virtual environment for the second run of the tests: the newest Python of the machine,
# and the newest Django that supports it. Usage: newest_venv.sh VENV
set -euo pipefail
venv=$1
here=$(dirname "$0")

install() { # python
    echo "installing $venv with $("$1" --version)"
    "$here/create_venv.sh" "$1" "$venv"
    "$venv/bin/python" -m pip install --quiet --upgrade --editable '.[dev]' django
}

newest=$("$here/find_python.sh" newest)
install "$newest" && exit 0
# Packages of a Python that is very new may not be built yet.
oldest=$("$here/find_python.sh" oldest)
echo "Not all packages can be installed with $newest (see above)." >&2
[ "$oldest" != "$newest" ] || exit 1
echo "Instead of it, $oldest is used." >&2
install "$oldest"
