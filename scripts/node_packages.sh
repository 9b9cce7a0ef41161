#!/usr/bin/env bash
# Install the client's Node packages, or those of another folder, at the locked versions.
# Usage: node_packages.sh VENV [FOLDER]
# Not `npm ci`: it refuses a lock file that was written where the package index had no builds for
# foreign platforms.
set -euo pipefail
venv=$(cd "$1" && pwd)
with_node=$(cd "$(dirname "$0")" && pwd)/with_node.sh
cd "${2:-client}"
"$with_node" "$venv" npm install --no-save --no-audit --no-fund --loglevel=error </dev/null
