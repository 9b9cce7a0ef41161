#!/usr/bin/env bash
# Rewrite Python and TypeScript in the project's format. Usage: format.sh VENV
set -euo pipefail
"$1/bin/ruff" check --fix --quiet . || true # What it cannot fix is the business of `make check`.
"$1/bin/ruff" format .
cd client && ../scripts/with_node.sh "../$1" npm run --silent format
