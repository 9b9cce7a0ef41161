#!/usr/bin/env bash
# Print the path of a Python that can create virtual environments: of 3.11 and later, the oldest or
# the newest one that the machine has, on the PATH or from pyenv. Only released versions count, and
# only with the GIL, for which most packages are built. Usage: find_python.sh oldest|newest
set -uo pipefail
shopt -s nullglob

usable='
import sys, sysconfig
import ensurepip, sqlite3, ssl, venv
info = sys.version_info
if info >= (3, 11) and info.releaselevel == "final" and not sysconfig.get_config_var("Py_GIL_DISABLED"):
    print(info.major, info.minor, info.micro, sys.executable)
'

candidates() {
    local minor folder
    for minor in 11 12 13 14 15 16; do type -ap "python3.$minor"; done
    type -ap python3
    for folder in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin; do echo "$folder/python3"; done
}

found=$(candidates | while read -r python; do "$python" -c "$usable" 2>/dev/null; done | sort -k1,1n -k2,2n -k3,3n)
[ "$1" = newest ] || found=$(sort -k1,1n -k2,2n -k3,3nr <<<"$found" | head -1)
# Without any, create_venv.sh says what is missing.
tail -1 <<<"${found:-0 0 0 python3}" | cut -d' ' -f4-
