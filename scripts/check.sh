#!/usr/bin/env bash
# The gates: format, lint and types of Python and TypeScript. All of them run, even when one fails.
# Usage: check.sh VENV
set -uo pipefail
bin=$1/bin
failed=()

gate() {
    local name=$1
    shift
    echo "== $name"
    "$@" || failed+=("$name")
}

client() { (cd client && ../scripts/with_node.sh "../${bin%/bin}" npm run --silent "$@"); }

gate "ruff format" "$bin/ruff" format --check --quiet .
gate "ruff check" "$bin/ruff" check --quiet .
gate "mypy" "$bin/python" -m mypy --no-error-summary
gate "client: types and lint" client check

if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}" >&2
    exit 1
fi
