#!/bin/sh
# Makes a virtual environment with what the scripts here need, once:
#
#   host-tools/train/venv.sh WORK
#
# and prints the path of its Python. Needs python3 with venv; operations are compiled by a C++ compiler at their first use.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:?usage: venv.sh WORK}
python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "python3 has no venv: apt-get install python3-venv" >&2; exit 1; }
command -v c++ >/dev/null || { echo "there is no C++ compiler: apt-get install g++" >&2; exit 1; }
if ! [ -e "$work/venv/ready" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install -r "$here/requirements.txt" >&2
    touch "$work/venv/ready"
fi
echo "$work/venv/bin/python"
