#!/usr/bin/env bash
# Create the virtual environment. Usage: create_venv.sh PYTHON VENV
set -euo pipefail
python=$1 venv=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Python 3.11 or later is needed, and '$python' is not one. Name another with: make PYTHON=python3.12 ..." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "'$python' cannot create virtual environments. On Debian: apt-get install python3-venv" >&2
    exit 1
fi
"$python" -m venv --clear "$venv"
