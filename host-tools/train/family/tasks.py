"""Synthetic recall tasks: a text of noise with something to remember in it, then questions about it.

Every text is `BOS body questions`; only answers count. The three tasks differ in what the body holds and what is asked:

passkey   Four facts side by side, somewhere in the noise; all four are asked for, in any order.
recall    Associative recall: facts with different keys, up to 32, scattered over the body; four keys are asked for.
copy      Selective copying (Gu and Dao 2023, section 4.1.1): six symbols scattered over the noise are repeated in order.

A fact is one token that binds a key to a value, so that looking it up needs no positions: attention has no positional
encoding here (as in Jamba), and only `copy` is about order. A question is the token of a key, followed by that of its
value; guessing finds one of eight.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

KEYS, VALUES, NOISES = 32, 8, 16
BOS, COPY = 1, 3
NOISE = 4
VALUE = NOISE + NOISES
QUERY = VALUE + VALUES
FACT = QUERY + KEYS
VOCAB = FACT + KEYS * VALUES

TASKS = ("passkey", "recall", "copy")
QUESTIONS, SYMBOLS = 4, 6
#: Lengths of the bodies of texts on which models are compared.
LENGTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096)


@dataclass(frozen=True)
class Texts:
    """`tokens` (rows, T) and the columns of `tokens` that are answers: each is to be predicted from all before it."""

    tokens: np.ndarray
    answers: np.ndarray


def make(task: str, random: np.random.Generator, rows: int, length: int) -> Texts:
    """`rows` texts of a task with bodies of `length` tokens."""
    body = random.integers(NOISE, NOISE + NOISES, (rows, length))
    if task == "copy":
        symbols = random.integers(VALUE, VALUE + VALUES, (rows, SYMBOLS))
        np.put_along_axis(body, places(random, rows, length, SYMBOLS), symbols, 1)
        questions = np.concatenate([np.full((rows, 1), COPY), symbols], 1)
        step = 1
    else:
        count = QUESTIONS if task == "passkey" else min(KEYS, length // 2)
        keys = random.permuted(np.tile(np.arange(KEYS), (rows, 1)), axis=1)[:, :count]
        values = random.integers(0, VALUES, (rows, count))
        if task == "passkey":
            at = random.integers(0, length - count + 1, (rows, 1)) + np.arange(count)
        else:
            at = places(random, rows, length, count)
        np.put_along_axis(body, at, FACT + keys * VALUES + values, 1)
        asked = random.permuted(np.tile(np.arange(count), (rows, 1)), axis=1)[:, :QUESTIONS]
        pairs = [QUERY + np.take_along_axis(keys, asked, 1), VALUE + np.take_along_axis(values, asked, 1)]
        questions = np.stack(pairs, 2).reshape(rows, -1)
        step = 2
    tokens = np.concatenate([np.full((rows, 1), BOS), body, questions], 1)
    return Texts(tokens, np.arange(length + 2, tokens.shape[1], step))


def places(random: np.random.Generator, rows: int, length: int, count: int) -> np.ndarray:
    """(rows, count): different places in a body, in order."""
    return np.sort(random.random((rows, length)).argsort(axis=1)[:, :count], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes texts of all tasks and lengths, a line of JSON each.")
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--rows", type=int, default=50, help="texts of a task and length")
    parser.add_argument("--longest", type=int, default=LENGTHS[-1])
    args = parser.parse_args()
    write(args.out, args.rows, args.longest)


def write(out: Path, rows: int, longest: int = LENGTHS[-1]) -> None:
    """The texts that models are compared on; the same on every machine, and none that was trained on."""
    random = np.random.default_rng(11)
    with open(out, "w") as file:
        for task in TASKS:
            for length in LENGTHS:
                if length > longest:
                    continue
                texts = make(task, random, rows, length)
                for row in texts.tokens.tolist():
                    line = {"task": task, "length": length, "tokens": row, "answers": texts.answers.tolist()}
                    file.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
