#!/usr/bin/env bash
# An environment on top of the main one, for tests that need servers or a browser:
#   tests/servers/install.sh MAIN DIR servers|browser
# Installs Debian's packages where they are missing, as root. Asked again it does nothing.
set -euo pipefail
[ $# -eq 3 ] || { echo "usage: $0 MAIN DIR servers|browser" >&2; exit 2; }
main=$1 venv=$2 kind=$3
here=$(cd "$(dirname "$0")" && pwd)
case $kind in
    servers)
        packages=(postgresql openssh-server)
        found() { compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null && [ -x /usr/sbin/sshd ]; }
        ;;
    browser)
        packages=(chromium chromium-driver)
        found() { command -v chromium >/dev/null && command -v chromedriver >/dev/null; }
        ;;
    *)
        echo "error: $kind: expected servers or browser" >&2
        exit 2
        ;;
esac
if ! found; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "error: these tests need ${packages[*]}; install them (as root on Debian this is done for you)" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # no package starts its server
    apt-get install -y -q "${packages[@]}" >/dev/null ||
        { apt-get update -q >/dev/null && apt-get install -y -q "${packages[@]}" >/dev/null; }
fi

ready=$venv/.installed-servers
if [ -e "$ready" ] && [ -z "$(find "$here"/requirements.txt "$here"/../../requirements-team.txt "$0" -newer "$ready")" ]; then
    exit 0
fi
"$main/bin/python" -m venv "$venv"
site='import sysconfig; print(sysconfig.get_paths()["purelib"])'
"$main/bin/python" -c "$site" >"$("$venv/bin/python" -c "$site")/main.pth"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
touch "$ready"
