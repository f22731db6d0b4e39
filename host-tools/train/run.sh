#!/bin/sh
# From nothing to trained models, on any Debian machine:
#
#   host-tools/train/run.sh WORK [MINUTES]
#
# WORK holds everything that is made: a virtual environment, apt's lists, the pairs, the models. MINUTES is the training
# time of the models, at the same time (default 120); then each is refined for half as long with two seeds, at the same
# time; pico learns advisories and proposals for half as long again, and to do these and all else for as long once more; then
# both learn general English and to mark sentences for three quarters of it. At last it fits what their summaries are chosen by,
# packs WORK/models/pico.jamlet and nano.jamlet, and trains both for weights of 4 bits for a quarter of it. What is there already is not made again, so an interrupted run goes on.
# Needs python3 with venv, Rust, a C++ compiler, apt-get, git, 8 GB of memory (24 without libtcmalloc), and disk: 8 GB, and what the clones
# take whose pairs are general English (collect_clones.py --list names them).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:?usage: run.sh WORK [MINUTES]}
minutes=${2:-120}
mkdir -p "$work"
work=$(cd "$work" && pwd)
python=$("$here/venv.sh" "$work")
[ -e "$work/raw/bionic.jsonl" ] || "$python" "$here/collect.py" "$work/raw"
[ -e "$work/data/train.jsonl" ] || "$python" "$here/split.py" "$work/raw" "$here/pairs" "$work/data"
if ! [ -e "$work/data/general-train.jsonl" ]; then
    "$python" "$here/collect_clones.py" "$work/clones" "$work/general" --list | sh
    "$python" "$here/collect_clones.py" "$work/clones" "$work/general" --against "$work/data/debian-newer.jsonl"
    "$python" "$here/mix.py" "$work/general" "$work/data"
fi
[ -e "$work/data/readmes.jsonl" ] || "$python" "$here/collect_readmes.py" "$work/data/readmes.jsonl"
"$python" "$here/check_ops.py"

# Batches differ in size, and glibc's malloc keeps ever more pieces of them.
tcmalloc=$(/sbin/ldconfig -p | awk '/libtcmalloc(_minimal)?\.so\.4/ { print $NF; exit }')
threads=$(($(nproc) / 2))
[ "$threads" -gt 0 ] || threads=1

train() { # MODEL VOCABULARY LEARNING_RATE
    tokenizer="$work/$1-tokenizer.json"
    [ -e "$tokenizer" ] || "$python" "$here/tokenizer.py" "$work/data/train.jsonl" "$2" "$tokenizer"
    LD_PRELOAD="$tcmalloc" "$python" -u "$here/train.py" "$1" "$work/$1" --data "$work/data" --tokenizer "$tokenizer" \
        --minutes "$minutes" --lr "$3" --dropout 0 --threads "$threads"
}

refine() { # MODEL SEED LEARNING_RATE
    LD_PRELOAD="$tcmalloc" "$python" -u "$here/refine.py" "$work/$1/hf" "$work/$1-refined-$2" --data "$work/data" \
        --minutes $((minutes / 2)) --lr "$3" --seed "$2" --threads "$threads"
}

widen() { # MODEL SEED: first from references, then from its own summaries
    LD_PRELOAD="$tcmalloc" "$python" -u "$here/widen.py" "$work/$1-refined" "$work/$1-widened-$2" --data "$work/data" \
        --minutes $((minutes / 3)) --seed "$2" --threads "$threads"
    LD_PRELOAD="$tcmalloc" "$python" -u "$here/refine.py" "$work/$1-widened-$2" "$work/$1-both-$2" --data "$work/data" \
        --minutes $((minutes / 5)) --lr 1.5e-4 --seed "$2" --texts 16 --samples 16 --threads "$threads" \
        --only --teacher "$work/$1-refined"
}

join() { # MODEL SEED: what the wide model says of advisories and proposals, and the refined one of all else
    LD_PRELOAD="$tcmalloc" "$python" -u "$here/widen.py" "$work/$1-wide" "$work/$1-joined-$2" --data "$work/data" \
        --minutes $((minutes / 2)) --seed "$2" --threads "$threads" --keep 3 --kept-tokens 6144 --rename 0.7 \
        --teacher "$work/$1-refined" --taught-by "$work/$1-wide"
}

general() { # MODEL: general English, and what each sentence is worth
    LD_PRELOAD="$tcmalloc" "$python" -u "$here/general.py" "$1" "$work/$1-general" --init "$work/$1-special" --data "$work/data" \
        --minutes $((minutes * 3 / 4)) --keep 6 --mark 1.5 --threads "$threads"
    cp -r "$work/$1-general/hf" "$work/models/$1"
}

both() { # COMMAND COMMAND: at the same time, each with a log
    echo "$1; $2 (logs: $work/first.log, $work/second.log)"
    $1 > "$work/first.log" 2>&1 &
    first=$!
    $2 > "$work/second.log" 2>&1 &
    second=$!
    wait "$first" && wait "$second" || { echo "failed: the end of these files says why" >&2; exit 1; }
}

both "train pico 4096 2.4e-3" "train nano 2048 4e-3"
while read -r model rate wide; do
    if ! [ -e "$work/$model-special/model.safetensors" ]; then
        both "refine $model 0 $rate" "refine $model 1 $rate"
        refined="$work/$model-refined"
        [ "$wide" != 0 ] || refined="$work/$model-special"
        "$python" "$here/average.py" "$work/$model-refined-0" "$work/$model-refined-1" --out "$refined"
        if [ "$wide" != 0 ]; then
            both "widen $model 0" "widen $model 1"
            "$python" "$here/average.py" "$work/$model-both-0" "$work/$model-both-1" --origin "$refined" \
                --weights "$wide" "$wide" --out "$work/$model-wide"
            both "join $model 0" "join $model 1"
            "$python" "$here/average.py" "$work/$model-joined-0" "$work/$model-joined-1" --out "$work/$model-special"
        fi
    fi
done <<RATES
pico 3e-4 0.5
nano 4e-4 0
RATES
mkdir -p "$work/models"
[ -e "$work/models/nano/model.safetensors" ] || both "general pico" "general nano"
for model in pico nano; do
    "$python" "$here/check.py" "$work/models/$model" --pairs "$work/data/debian-val.jsonl"
    for pairs in debian-val debian-newer scitldr-val advisories-val; do
        "$python" "$here/evaluate.py" "$work/data/$pairs.jsonl" --train "$work/data/train.jsonl" \
            --model "$work/models/$model" --count 0 --threads "$threads"
    done
    "$python" "$here/evaluate_marks.py" "$work/models/$model" "$work/data/general-val.jsonl" --threads "$threads"
done
for pairs in debian-val debian-newer scitldr-val advisories-val; do
    "$python" "$here/evaluate.py" "$work/data/$pairs.jsonl" --train "$work/data/train.jsonl" --count 0
done

# ---- what summaries are chosen by
jamlet() { cargo run --quiet --release --manifest-path "$here/../Cargo.toml" -- "$@"; }
texts="$work/quotes"
if ! [ -e "$work/ranking.json" ]; then
    "$python" "$here/quote_pairs.py" "$work/data" "$texts"
    for name in rank-train rank-val everyday-train everyday-val; do
        jamlet score pico --pairs "$texts/$name.jsonl" --signals "$texts/$name.signals" --cheap
    done
    "$python" "$here/rank.py" "$texts" "$work/ranking.json"
fi

tuned() { # NAME FOLDER BITS: packs a model, and fits to it when it rewrites
    [ -e "$work/models/$1.jamlet" ] && return
    jamlet pack "$2" --bits "$3" -o "$work/$1-plain.jamlet"
    for name in gate-train gate-val; do
        jamlet score "$work/$1-plain.jamlet" --pairs "$texts/$name.jsonl" --signals "$texts/$name.signals"
    done
    "$python" "$here/quote_fit.py" "$texts" "$work/$1.json" --ranking "$work/ranking.json"
    jamlet tune "$work/$1-plain.jamlet" -p "$work/$1.json" -o "$work/models/$1.jamlet"
}

for model in pico nano; do
    tuned "$model" "$work/models/$model" 8
done

# ---- weights of 4 bits
four_bits() { # MODEL START: the folder that is trained to say what the model says
    LD_PRELOAD="$tcmalloc" "$python" -u "$here/four_bits.py" "$work/models/$1" "$work/$1-4bit" --start "$2" --data "$work/data" \
        --minutes $((minutes / 4)) --text-weight 0.03 --threads "$threads"
}

if ! [ -e "$work/models/nano-4bit.jamlet" ]; then
    # Two thirds of the MLPs' units: with 4 bits that fits into 2 MiB of flash.
    "$python" "$here/prune.py" "$work/models/pico" "$work/pico-narrow" --data "$work/data" --ffn 256
    both "four_bits pico $work/pico-narrow" "four_bits nano $work/models/nano"
fi
for model in pico nano; do
    tuned "$model-4bit" "$work/$model-4bit" 4
done
