#!/usr/bin/env bash
# A virtual environment with the reference implementations: tests/reference/install.sh DIR
# Asked again it does nothing, unless a file that it installs from is newer.
# PYTHON names the Python 3.11 to use.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
venv=$1
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3.11}
ready=$venv/.installed-reference

if [ -e "$ready" ] && [ -z "$(find "$here"/requirements*.txt "$0" -newer "$ready")" ]; then
    exit 0
fi
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "error: $python is not Python 3.11; install it or give PYTHON=/path/to/python3.11" >&2
    exit 1
}
"$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" -r "$here/requirements.txt"
"${pip[@]}" --no-deps -r "$here/requirements-no-deps.txt"
PYTHONPATH=$here/site "$venv/bin/python" -c '
import mmseg.models
import mmseg.engine
from ssseg.modules import BuildSegmentor
'
touch "$ready"
