"""Trains a byte-level BPE tokenizer on the training pairs.

    tokenizer.py TRAIN.jsonl VOCABULARY OUT.json
"""

import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

# Their ids are 0, 1, 2 and 3, as batches.py expects.
SPECIAL = ["<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|summary|>"]


def texts(path: Path):
    """Each text, and each summary twice: what the model must write deserves the shorter spelling."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield row["text"]
            for summary in row["summaries"]:
                yield from (" " + summary,) * 2


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("train", type=Path)
    args.add_argument("vocabulary", type=int)
    args.add_argument("out", type=Path)
    args = args.parse_args()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=args.vocabulary,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
    )
    tokenizer.train_from_iterator(texts(args.train), trainer)
    tokenizer.save(str(args.out))


if __name__ == "__main__":
    main()
