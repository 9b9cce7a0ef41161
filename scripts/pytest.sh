#!/usr/bin/env bash
# Run pytest in two processes, and say on which Python and Django.
# Usage: pytest.sh VENV [OPTIONS OF PYTEST]
# Each file of tests stays in one process, and all browser tests in one, at the end
# (tests/conftest.py). So the order has to stay as it is.
set -euo pipefail
venv=$1
shift
"$venv/bin/python" -c 'import django, sys
print(f"== tests on Python {sys.version.split()[0]} with Django {django.__version__}", flush=True)'
exec "$(dirname "$0")/with_node.sh" "$venv" "$venv/bin/python" -m pytest \
    --numprocesses 2 --no-loadscope-reorder "$@"
