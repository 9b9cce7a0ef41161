#!/usr/bin/env bash
# Every gate and every test, on the oldest and on the newest Django. The run on the oldest comes
# last, so that its summary ends the output. Usage: test.sh VENV NEWEST_VENV
set -uo pipefail
venv=$1 newest=$2
failed=()

run() { # what it is, command
    local name=$1
    shift
    "$@" || failed+=("$name")
}

client_tests() { (cd client && ../scripts/with_node.sh "../$venv" npm run --silent test); }

run "the gates" scripts/check.sh "$venv"
echo "== client: tests"
run "the client's tests" client_tests
run "the tests on the newest Django" scripts/pytest.sh "$newest" -m 'not browser'
[ ${#failed[@]} -eq 0 ] || printf 'FAILED (see above): %s. The tests on the oldest Django run all the same.\n' "${failed[@]}" >&2
run "the tests on the oldest Django" scripts/pytest.sh "$venv"
exit $((${#failed[@]} > 0))
