"""Batches that also say what each sentence of a text is worth as its summary.

The hidden state at a sentence's last token is asked for that: its product with the embedding of MARKER, a token that no text
has, is the sentence's logit among those of its text.
"""

import random
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch
import torch.nn.functional as F

from augment import lay_out
from batches import END, MAX_TEXT_TOKENS, PAD, START, SUMMARY, Batch, Encoder, Epoch, collate
from model import Jamba
from precision import fast
from sentences import quotable, spans, unsupported, worth

MARKER = PAD
TAU = 0.08  # a sentence that is worth so much ROUGE-L less is wanted e times less often
# Short references: a sentence that holds all of one is good, if it says more, too.
RECALL = 2.0
LEVEL = 0.25  # the worth at which a logit is zero
LEVEL_WEIGHT = 0.1
HIDDEN = -1e4


class Example(NamedTuple):
    head: list[int]
    tail: list[int]
    learnt: list[bool]  # tokens of the tail that the text supports
    marks: list[tuple[int, float]]  # last token of a sentence and its worth


@dataclass
class MarkedBatch(Batch):
    rows: torch.Tensor  # of each sentence, in order: its row,
    ends: torch.Tensor  # its last token
    worth: torch.Tensor  # and its worth
    counts: list[int]  # sentences of each text that has several


def solid(text: str) -> list[int]:
    """How many characters that are no white space stand before each place. Laying out a text doesn't change these."""
    return list(accumulate((not c.isspace() for c in text), initial=0))


def tokenize(encoder: Encoder, text: str, ends: list[int], drop: bool) -> tuple[list[int], list[int | None]]:
    """The text's tokens, and of each end, in characters that are no white space, the token (`None` if it was cut off)."""
    found = (encoder.dropped if drop else encoder.plain).encode(text, add_special_tokens=False)
    before = solid(text)
    reached = [before[end] for _, end in found.offsets[:MAX_TEXT_TOKENS]]
    out, token = [], 0
    for end in ends:
        while token < len(reached) and reached[token] < end:
            token += 1
        out.append(token if token < len(reached) else None)
    return found.ids[:MAX_TEXT_TOKENS], out


class Marked(Epoch):
    """Pairs with their sentences' worth. `caps` says how many rows of each kind one pass has at most (None: as Epoch does)."""

    window = 384  # the first batch waits for so many

    def __init__(self, *args, caps=None, write=lambda row: row.get("write", True), **options):
        super().__init__(*args, **options)
        self.caps, self.write = caps, write

    def drawn(self) -> list[dict]:
        if self.caps is None:
            return super().drawn()
        rows = list(self.rows)
        self.rng.shuffle(rows)
        seen, out = {}, []
        for row in rows:
            kind = row["kind"]
            seen[kind] = seen.get(kind, 0) + 1
            if seen[kind] <= self.caps(row):
                out.append(row)
        return out

    def encode(self, row: dict) -> Example:
        rng: random.Random = self.rng
        text, summaries, write = row["text"], row["summaries"], self.write(row)
        summary = rng.choice(summaries)
        if self.names and rng.random() < self.rename:
            text, summary = self.names.replace(text, summary, rng, share=0.5)
            summaries = [summary]
        recall = 1.0 if row.get("style") == "sentence" or row["kind"] == "scitldr" else RECALL
        before = solid(text)
        found = [(before[end], text[start:end]) for start, end in spans(text)]
        laid_out = lay_out(text, rng)
        ids, tokens = tokenize(self.encoder, laid_out, [end for end, _ in found], rng.random() < self.bpe_dropout)
        marks = [
            (token + 1, worth(sentence, summaries, recall))
            for token, (_, sentence) in zip(tokens, found)
            if token is not None and quotable(sentence)
        ]
        head = [START, *ids, SUMMARY]
        if not write:
            return Example(head, [], [], marks)
        written = self.encoder.plain.encode(" " + summary.strip(), add_special_tokens=False)
        learnt = [True] * (len(written.ids) + 1)
        shift = 1 - (len(summary) - len(summary.lstrip()))
        for start, end in unsupported(summary, text) if row.get("style") else ():
            for i, (a, b) in enumerate(written.offsets):
                if a < end + shift and b > start + shift:
                    learnt[i] = False
        return Example(head, [*written.ids, END], learnt, marks)

    def collate(self, pairs: list[Example]) -> MarkedBatch:
        base = collate([(pair.head, pair.tail) for pair in pairs])
        rows, ends, values, counts = [], [], [], []
        for i, pair in enumerate(pairs):
            base.summary[i, len(pair.head) : len(pair.head) + len(pair.tail)] = torch.tensor(pair.learnt, dtype=torch.bool)
            base.text[i, len(pair.head) - 1] = bool(pair.tail)  # where nothing is written, no mark says so
            if len(pair.marks) > 1:
                counts.append(len(pair.marks))
                for end, value in pair.marks:
                    rows.append(i), ends.append(end), values.append(value)
        return MarkedBatch(base.tokens, base.text, base.summary, torch.tensor(rows, dtype=torch.long),
                           torch.tensor(ends, dtype=torch.long), torch.tensor(values), counts)


def predictions(model: Jamba, batch: MarkedBatch, chosen) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits for each chosen (bool, (B, T)) token, in order, and of each marked sentence. Among a text's own tokens the marker
    is none: its logit is free there."""
    with fast():
        states = model.hidden_states(batch.tokens[:, :-1])
        logits = model.head(states[chosen[:, 1:]]).float()
    free = batch.text[:, 1:][chosen[:, 1:]]
    hidden = torch.zeros_like(logits)
    hidden[free, MARKER] = HIDDEN
    return logits + hidden, states[batch.rows, batch.ends].float() @ model.embed_tokens.weight[MARKER]


def loss(found: torch.Tensor, batch: MarkedBatch) -> torch.Tensor:
    """How far a text's sentences are from being wanted by their worth (nats, the mean of the texts'), and their level."""
    if not batch.counts:
        return found.sum() * 0
    total = 0.0
    for logits, values in zip(found.split(batch.counts), batch.worth.split(batch.counts)):
        total = total + F.kl_div(logits.log_softmax(-1), (values / TAU).log_softmax(-1), reduction="sum", log_target=True)
    level = F.smooth_l1_loss(found, (batch.worth - LEVEL) / TAU)
    return total / len(batch.counts) + LEVEL_WEIGHT * level
