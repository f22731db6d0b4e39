#!/bin/sh
# From nothing to trained models, on any Debian machine:
#
#   host-tools/train/run.sh WORK [MINUTES]
#
# WORK holds everything that is made: a virtual environment, apt's lists, the pairs, the models. MINUTES is the training
# time of each model (default 120), to which half of it is added for refining; both models train at the same time. What is
# there already is not made again, so an interrupted run goes on.
# Needs python3 with venv, a C++ compiler, apt-get, 8 GB of disk and 8 GB of memory (16 without libtcmalloc).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:?usage: run.sh WORK [MINUTES]}
minutes=${2:-120}
mkdir -p "$work"
work=$(cd "$work" && pwd)
python=$("$here/venv.sh" "$work")
[ -e "$work/raw/sid.jsonl" ] || "$python" "$here/collect.py" "$work/raw"
[ -e "$work/data/train.jsonl" ] || "$python" "$here/split.py" "$work/raw" "$here/pairs" "$work/data"
"$python" "$here/check_ops.py"

# Batches differ in size, and glibc's malloc keeps ever more pieces of them.
tcmalloc=$(/sbin/ldconfig -p | awk '/libtcmalloc(_minimal)?\.so\.4/ { print $NF; exit }')
threads=$(($(nproc) / 2))
[ "$threads" -gt 0 ] || threads=1

train() { # MODEL VOCABULARY LEARNING_RATE LEARNING_RATE_OF_REFINING
    export LD_PRELOAD="$tcmalloc"
    tokenizer="$work/$1-tokenizer.json"
    [ -e "$tokenizer" ] || "$python" "$here/tokenizer.py" "$work/data/train.jsonl" "$2" "$tokenizer"
    "$python" -u "$here/train.py" "$1" "$work/$1" --data "$work/data" --tokenizer "$tokenizer" \
        --minutes "$minutes" --lr "$3" --dropout 0 --threads "$threads"
    [ -e "$work/models/$1/done" ] ||
        "$python" -u "$here/refine.py" "$work/$1/hf" "$work/models/$1" --data "$work/data" \
            --minutes $((minutes / 2)) --lr "$4" --threads "$threads"
    touch "$work/models/$1/done"
    "$python" "$here/check.py" "$work/models/$1" --pairs "$work/data/debian-val.jsonl"
    for pairs in debian-val debian-newer scitldr-val; do
        "$python" "$here/evaluate.py" "$work/data/$pairs.jsonl" --train "$work/data/train.jsonl" \
            --model "$work/models/$1" --count 0 --threads "$threads"
    done
}

train pico 4096 2.4e-3 2e-4 > "$work/pico.log" 2>&1 &
pico=$!
train nano 2048 4e-3 4e-4 > "$work/nano.log" 2>&1 &
nano=$!
echo "training pico and nano: $work/pico.log, $work/nano.log"
wait "$pico" && wait "$nano" || { echo "failed: see the end of these files" >&2; exit 1; }
tail -n 3 "$work/pico.log" "$work/nano.log"
for pairs in debian-val debian-newer scitldr-val; do
    "$python" "$here/evaluate.py" "$work/data/$pairs.jsonl" --train "$work/data/train.jsonl" --count 0
done
