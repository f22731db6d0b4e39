#!/bin/sh
# Trains S4D, Mamba, Transformer, Jamba and Granite (Mamba-2) on recall tasks, each from nothing with the same seed:
#
#   host-tools/train/family/run.sh WORK [--steps N]
#
# makes WORK/s4d, WORK/mamba, WORK/transformer, WORK/jamba, WORK/granite and WORK/texts.jsonl, for `cargo xtask family WORK`.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=${1:?usage: run.sh WORK [--steps N]}
shift
mkdir -p "$work"
work=$(cd "$work" && pwd)
python=$("$here/venv.sh" "$work")
cd "$here"
exec "$python" -m family.train "$work" "$@"
