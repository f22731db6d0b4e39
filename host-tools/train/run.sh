#!/bin/sh
# From nothing to trained models, on any Debian machine:
#
#   host-tools/train/run.sh WORK [MINUTES]
#
# WORK holds everything that is made: a virtual environment, apt's lists, the pairs, the models. MINUTES is the training
# time of each model (default 240). What is there already is not made again, so an interrupted run goes on.
# Needs python3 with venv, a C++ compiler, apt-get and 6 GB of disk.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:?usage: run.sh WORK [MINUTES]}
minutes=${2:-240}
mkdir -p "$work"
work=$(cd "$work" && pwd)
python=$("$here/venv.sh" "$work")
[ -e "$work/raw/sid.jsonl" ] || "$python" "$here/collect.py" "$work/raw"
[ -e "$work/data/train.jsonl" ] || "$python" "$here/split.py" "$work/raw" "$here/pairs" "$work/data"
"$python" "$here/check_ops.py"

train() { # MODEL VOCABULARY LEARNING_RATE DROPOUT
    tokenizer="$work/$1-tokenizer.json"
    [ -e "$tokenizer" ] || "$python" "$here/tokenizer.py" "$work/data/train.jsonl" "$2" "$tokenizer"
    "$python" -u "$here/train.py" "$1" "$work/$1" --data "$work/data" --tokenizer "$tokenizer" \
        --minutes "$minutes" --lr "$3" --dropout "$4" --threads "$(nproc)"
    [ -e "$work/models/$1/model.safetensors" ] ||
        "$python" -u "$here/refine.py" "$work/$1/hf" "$work/models/$1" --data "$work/data" \
            --minutes $((minutes / 4)) --threads "$(nproc)"
    "$python" "$here/check.py" "$work/models/$1" --pairs "$work/data/debian-val.jsonl"
    for pairs in debian-val debian-newer scitldr-val; do
        "$python" "$here/evaluate.py" "$work/data/$pairs.jsonl" --train "$work/data/train.jsonl" \
            --model "$work/models/$1" --count 0 --threads "$(nproc)"
    done
}

train pico 4096 2.4e-3 0.1
train nano 2048 4e-3 0
for pairs in debian-val debian-newer scitldr-val; do
    "$python" "$here/evaluate.py" "$work/data/$pairs.jsonl" --train "$work/data/train.jsonl" --count 0
done
