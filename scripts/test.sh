#!/usr/bin/env bash
# Every gate and every test; pytest comes last, so that its summary ends the output. Usage: test.sh VENV
set -uo pipefail
venv=$1
status=0

scripts/check.sh "$venv" || status=1

echo "== client: tests"
(cd client && ../scripts/with_node.sh "../$venv" npm run --silent test) || status=1

[ $status -eq 0 ] || echo "A gate or a client test failed (see above); the Python tests run all the same." >&2

echo "== tests"
scripts/with_node.sh "$venv" "$venv/bin/python" -m pytest --cov --cov-report=term:skip-covered || status=1
exit $status
