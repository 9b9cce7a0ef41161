#!/usr/bin/env bash
# Run the side-by-side benchmark with our own pages in benchmarks/.
# Usage: bench.sh VENV HARNESS [OPTIONS OF run.py]
# Virtual environments and results stay in .bench/. Peers take part when their environment is there:
# BENCH_PEERS="pyview unicorn" installs them.
set -euo pipefail
harness=$2
shift 2

if [ ! -f "$harness/run.py" ]; then
    echo "The benchmark harness is not at '$harness'. Name its folder: make bench BENCH=path/to/bench" >&2
    exit 1
fi
harness=$(cd "$harness" && pwd)
export BENCH_VENVS="${BENCH_VENVS:-$PWD/.bench/venvs}" BENCH_RESULTS="${BENCH_RESULTS:-$PWD/.bench/results}"
mkdir -p "$BENCH_VENVS" "$BENCH_RESULTS"

environment() { # name, requirements file, folder that its relative paths start from
    local venv="$BENCH_VENVS/$1"
    [ -f "$venv/.installed" ] && [ "$venv/.installed" -nt "$2" ] && return
    echo "installing $1"
    "${PYTHON:-python3}" -m venv --clear "$venv"
    (cd "$3" && "$venv/bin/pip" install --quiet -r "$2")
    touch "$venv/.installed"
}

environment driver "$harness/requirements.txt" .
environment vanilla "$harness/apps/vanilla/requirements.txt" .
environment djust_parts "$PWD/benchmarks/apps/djust_parts/requirements.txt" .
for peer in ${BENCH_PEERS:-}; do
    environment "$peer" "$harness/apps/$peer/requirements.txt" .
done

"$BENCH_VENVS/driver/bin/python" -B "$harness/run.py" --extra benchmarks "$@"
echo "results: $BENCH_RESULTS/results.md"
