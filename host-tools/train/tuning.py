"""What widen.py and refine.py have in common: a trained model that is tuned for some minutes, its moving average, what is saved of it."""

import argparse
import copy
import time
from pathlib import Path

import torch

import decode
import export
import scores
from augment import RARE, Names
from batches import Encoder, load

VALIDATION_PAIRS = 300


def options(description: str, lr: float, rename: float, keep: float) -> argparse.ArgumentParser:
    """The options that both have, with their defaults."""
    args = argparse.ArgumentParser(description=description)
    args.add_argument("init", type=Path, help="Hugging Face folder, as train.py and these scripts write")
    args.add_argument("out", type=Path, help="Hugging Face folder to write")
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--minutes", type=float, required=True)
    args.add_argument("--lr", type=float, default=lr)
    args.add_argument("--rename", type=float, default=rename, help="share of pairs with made-up names")
    args.add_argument("--keep", type=float, default=keep, help="weight of what is kept")
    args.add_argument("--seed", type=int, default=0)
    args.add_argument("--threads", type=int, default=1)
    return args


class Tuning:
    """A model that is tuned by AdamW: linear warm-up, then linear decay over `--minutes`, and a moving average that is saved."""

    def __init__(self, args: argparse.Namespace, kinds, *, bpe_dropout: float, warmup: int, ema: int, save_seconds: float,
                 no_repeat_ngram: int):
        self.args, self.warmup, self.ema, self.save_seconds = args, warmup, ema, save_seconds
        self.no_repeat_ngram = no_repeat_ngram
        torch.set_num_threads(args.threads)
        torch.manual_seed(args.seed)
        self.model = export.load(args.init)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.tokenizer = args.init / "tokenizer.json"
        self.encoder = Encoder(self.tokenizer, bpe_dropout=bpe_dropout)
        self.rows = load(args.data / "train.jsonl")
        self.names = Names(self.rows)
        self.held = {kind: load(args.data / f"{kind}-val.jsonl")[:VALIDATION_PAIRS] for kind in kinds}
        # Muon makes all directions of a step equally long, and most of these are noise here.
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0)
        self.steps = 0

    def start(self) -> None:
        """Starts the clock."""
        self.started = self.saved = time.monotonic()

    @property
    def progress(self) -> float:
        return (time.monotonic() - self.started) / (60 * self.args.minutes)

    @property
    def seconds_a_step(self) -> float:
        return (time.monotonic() - self.started) / self.steps

    def update(self) -> None:
        """One step along the gradients, then of the moving average."""
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.args.lr * min(1, (self.steps + 1) / self.warmup) * max(0, 1 - self.progress)
        self.optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self.steps += 1
        weight = max(1 / self.ema, 9 / (self.steps + 9))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), weight)

    def mean(self, before: float, value: float) -> float:
        """The mean of a value over about the last 50 steps."""
        return before + (value - before) / min(self.steps, 50)

    def validate(self) -> None:
        common = lambda word: self.names.uses[word] >= RARE  # noqa: E731
        for kind, pairs in self.held.items():
            texts = [row["text"] for row in pairs]
            summaries = decode.summarize(self.average, self.encoder, texts, no_repeat_ngram=self.no_repeat_ngram)
            found = scores.table(pairs, summaries, common)
            print("validation", kind, {key: round(value, 2) for key, value in found.items()}, flush=True)

    def save(self) -> None:
        export.save(self.average, self.tokenizer, self.args.out)
        self.validate()
        self.saved = time.monotonic()

    def save_if_due(self) -> None:
        if time.monotonic() - self.saved > self.save_seconds:
            self.save()
