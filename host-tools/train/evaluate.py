"""Scores a model folder, or the baselines, over evaluation pairs, in floats.

    evaluate.py PAIRS.jsonl --train TRAIN.jsonl [--model FOLDER] [--count N] [--int8] [--no-repeat-ngram N] ..
"""

import argparse
import json
import random
from pathlib import Path

import torch

import export
import quantize
import scores
from augment import RARE, Names
from batches import Encoder, load
from decode import summarize


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("pairs", type=Path)
    args.add_argument("--train", type=Path, required=True, help="training pairs: they say which words are common")
    args.add_argument("--model", type=Path, help="Hugging Face folder; without it the baselines are scored")
    args.add_argument("--count", type=int, default=250, help="pairs, drawn with a fixed seed; 0 takes all")
    args.add_argument("--show", type=int, default=0, help="print so many summaries")
    args.add_argument("--int8", action="store_true", help="simulate int8 in groups of 32")
    args.add_argument("--no-repeat-ngram", type=int, default=0)
    args.add_argument("--repetition-penalty", type=float, default=1.0)
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    torch.set_num_threads(args.threads)

    rows = load(args.pairs)
    random.Random(1).shuffle(rows)
    rows = rows[: args.count or None]
    names = Names(load(args.train))
    common = lambda word: names.uses[word] >= RARE  # noqa: E731

    def report(label: str, summaries: list[str]) -> None:
        found = scores.table(rows, summaries, common)
        print(label, json.dumps({key: round(value, 2) for key, value in found.items()}), flush=True)

    texts = [row["text"] for row in rows]
    if args.model is None:
        report("first sentence", list(map(scores.first_sentence, texts)))
        report("first 12 words", list(map(scores.first_words, texts)))
        report("heuristic", list(map(scores.heuristic, texts)))
        report("best sentence", [scores.oracle(row["text"], row["summaries"]) for row in rows])
        return
    quantize.group_size = 32 if args.int8 else None
    summaries = summarize(
        export.load(args.model),
        Encoder(args.model / "tokenizer.json"),
        texts,
        no_repeat_ngram=args.no_repeat_ngram,
        repetition_penalty=args.repetition_penalty,
    )
    for row, summary in list(zip(rows, summaries))[: args.show]:
        print(f"{row['text'][:160]!r}\n  -> {summary}\n  == {row['summaries'][0]}")
    report(f"{args.model} on {args.pairs.name}, {len(rows)} pairs:", summaries)


if __name__ == "__main__":
    main()
