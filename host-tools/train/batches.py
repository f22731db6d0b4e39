"""Training batches: pairs of similar length together, names replaced and tokens dropped afresh each epoch."""

import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.utils.data import IterableDataset

from augment import Names, lay_out

PAD, START, END, SUMMARY = 0, 1, 2, 3
MAX_TEXT_TOKENS = 400
SORT_WINDOW = 2048  # pairs that are sorted by length together

# How often a pair of each kind is seen in one epoch: kinds with few pairs would else go unlearnt.
REPEATS = {"debian": 1, "scitldr": 5, "advisories": 2, "proposals": 2}
# Packages of one source say nearly the same, and releases repeat them: so many of them in one epoch, others in the next.
PER_SOURCE = 3


def load(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@dataclass
class Batch:
    tokens: torch.Tensor  # (rows, time) int64, padded with PAD
    text: torch.Tensor  # (rows, time) bool: this token belongs to the text
    summary: torch.Tensor  # (rows, time) bool: this token belongs to the summary, END included


class Encoder:
    """Pairs -> `START text SUMMARY summary END`, the text cut at MAX_TEXT_TOKENS."""

    def __init__(self, path: Path, bpe_dropout: float = 0.0):
        self.plain = Tokenizer.from_file(str(path))
        self.dropped = Tokenizer.from_file(str(path))
        self.dropped.model.dropout = bpe_dropout or None

    def __call__(self, text: str, summary: str, drop: bool = False) -> tuple[list[int], list[int]]:
        # Only the text is spelled in unusual ways: the model should read them all, and write one.
        head = (self.dropped if drop else self.plain).encode(text, add_special_tokens=False).ids[:MAX_TEXT_TOKENS]
        tail = self.plain.encode(" " + summary.strip(), add_special_tokens=False).ids
        return [START, *head, SUMMARY], [*tail, END]


def collate(pairs: list[tuple[list[int], list[int]]]) -> Batch:
    width = max(len(head) + len(tail) for head, tail in pairs)
    tokens = torch.zeros(len(pairs), width, dtype=torch.long)
    text, summary = (torch.zeros(len(pairs), width, dtype=torch.bool) for _ in range(2))
    for i, (head, tail) in enumerate(pairs):
        end = len(head) + len(tail)
        tokens[i, :end] = torch.tensor(head + tail)
        text[i, 1 : len(head)] = True
        summary[i, len(head) : end] = True
    return Batch(tokens, text, summary)


def grouped(pairs: list, tokens_per_batch: int):
    """Splits pairs that are sorted by length into batches of at most `tokens_per_batch`, padding included."""
    batch, width = [], 0
    for pair in pairs:
        length = len(pair[0]) + len(pair[1])
        if batch and max(width, length) * (len(batch) + 1) > tokens_per_batch:
            yield batch
            batch, width = [], 0
        batch.append(pair)
        width = max(width, length)
    if batch:
        yield batch


def capped(rows: list[dict], most: int) -> list[dict]:
    """The first `most` rows of each source; rows of no source stay."""
    seen: Counter[str] = Counter()
    out = []
    for row in rows:
        source = row.get("source")
        seen[source] += 1
        if source is None or seen[source] <= most:
            out.append(row)
    return out


def length(pair) -> int:
    return len(pair[0]) + len(pair[1])


def fixed(rows: list[dict], encoder: Encoder, tokens_per_batch: int) -> list[Batch]:
    """Batches as they are, for validation."""
    pairs = sorted((encoder(row["text"], row["summaries"][0]) for row in rows), key=length)
    return [collate(batch) for batch in grouped(pairs, tokens_per_batch)]


class Epoch(IterableDataset):
    """One pass over the training pairs in random order, one pair for each text and summary drawn."""

    window = SORT_WINDOW

    def __init__(self, rows: list[dict], encoder: Encoder, names: Names | None, *, tokens_per_batch: int,
                 rename: float, bpe_dropout: float, seed: int):
        self.rows, self.encoder, self.names = rows, encoder, names
        self.tokens_per_batch, self.rename, self.bpe_dropout = tokens_per_batch, rename, bpe_dropout
        self.rng = random.Random(seed)

    def encode(self, row: dict):
        text, summary = row["text"], self.rng.choice(row["summaries"])
        if self.names and self.rng.random() < self.rename:
            text, summary = self.names.replace(text, summary, self.rng, share=0.5)
        text = lay_out(text, self.rng)
        return self.encoder(text, summary, drop=self.rng.random() < self.bpe_dropout)

    def drawn(self) -> list[dict]:
        """The rows of this pass, in random order."""
        rows = [row for row in self.rows for _ in range(REPEATS[row["kind"]])]
        self.rng.shuffle(rows)
        return capped(rows, PER_SOURCE)

    def collate(self, pairs: list) -> Batch:
        return collate(pairs)

    def __iter__(self):
        rows = self.drawn()
        for start in range(0, len(rows), self.window):
            pairs = sorted((self.encode(row) for row in rows[start : start + self.window]), key=length)
            batches = list(grouped(pairs, self.tokens_per_batch))
            self.rng.shuffle(batches)
            yield from map(self.collate, batches)
