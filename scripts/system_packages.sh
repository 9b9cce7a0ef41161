#!/usr/bin/env bash
# Install the programs that the tests drive and pip cannot provide: Chromium, Redis and PostgreSQL.
set -euo pipefail

packages=()
command -v chromium >/dev/null || packages+=(chromium)
command -v redis-server >/dev/null || packages+=(redis-server)
# Debian keeps the server's programs out of the path.
command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)
[ ${#packages[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo -n)
    if ! sudo -n true 2>/dev/null; then
        echo "The tests need: ${packages[*]}. Installing them needs root rights; please run" >&2
        echo "    apt-get install ${packages[*]}" >&2
        exit 1
    fi
fi
if ! command -v apt-get >/dev/null; then
    echo "The tests need the programs of these Debian packages: ${packages[*]}. Please install them." >&2
    exit 1
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null
