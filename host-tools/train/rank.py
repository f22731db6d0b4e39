"""Fits how sentences are ranked when one is quoted, for quote_fit.py, without a model.

    jamlet score pico --pairs T/NAME.jsonl --signals T/NAME.signals --cheap     (rank-train, rank-val, everyday-train, everyday-val)
    rank.py T RANKING.json

T is what quote_pairs.py wrote. The score of a sentence is a linear function of its signals, a small network beside it, and a
weight for every word, which words share by a hash as they do in the engine. All are trained at once, listwise, with several seeds, and averaged: the softmax of
the scores of a text's sentences is to be that of their worth, and their expected worth high. The worth is ROUGE-L with the
summary; in everyday texts, whose good sentences are known, mostly whether it is one of these.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from dumps import GOOD, MARK, PARTLY, WORDS, Texts

HIDDEN, SEEDS = 24, 3  # hidden units of one seed's network
STEPS, BATCH, RATE = 900, 256, 0.02
EVERYDAY = 0.2  # share of a batch
REWARD = 0.3  # share of the expected worth in the loss
DECAY = 3e-4  # of signals' weights;
WORD_DECAY = 1e-4  # and of words'
TAU = 8.0  # points of ROUGE-L that make a sentence e times as good
LARGEST = 127


def batch(texts: Texts, chosen):
    """Inputs of Ranking, worth, and which text, of all sentences of these texts."""
    n = texts.n[chosen]
    start = np.cumsum(n) - n
    rows = np.repeat(texts.start[chosen] - start, n) + np.arange(n.sum())
    count = texts.count[rows]
    offsets = np.cumsum(count) - count
    at = np.repeat(texts.first_word[rows] - offsets, count) + np.arange(count.sum())
    inputs = [torch.tensor(a) for a in (texts.x[rows], texts.words[at], offsets, count)]
    return inputs, torch.tensor(texts.y[rows]), torch.tensor(np.repeat(np.arange(len(n)), n))


class Ranking(torch.nn.Module):
    def __init__(self, texts: Texts, hidden: int):
        super().__init__()
        mean, deviation = texts.x.mean(0), texts.x.std(0)
        mean[MARK], size = 0, len(mean)
        inverse = np.where(deviation > 1e-6, 1 / (deviation + 1e-3), 1).astype(np.float32)
        self.mean, self.inverse = torch.tensor(mean), torch.tensor(inverse)
        self.linear = torch.nn.Parameter(torch.zeros(size))
        self.weights = torch.nn.Parameter(torch.randn(hidden, size) / size**0.5)
        self.weights.data[:, MARK] = 0
        self.bias = torch.nn.Parameter(torch.zeros(hidden))
        self.out = torch.nn.Parameter(torch.randn(hidden) * 0.1)
        self.words = torch.nn.EmbeddingBag(WORDS, 1, mode="sum")
        torch.nn.init.zeros_(self.words.weight)

    def forward(self, x, words, offsets, count):
        z = ((x - self.mean) * self.inverse).clamp(-5, 5)
        told = self.words(words, offsets)[:, 0] / (count + 2).float().sqrt()
        return z @ self.linear + F.relu(z @ self.weights.T + self.bias) @ self.out + told


def loss(scores, worth, text):
    size = int(text[-1]) + 1
    top = lambda v: torch.full((size,), -1e9).scatter_reduce(0, text, v, "amax")[text]  # noqa: E731
    total = lambda v: torch.zeros(size).index_add(0, text, v)[text]  # noqa: E731
    log_share = scores - top(scores.detach())
    log_share = log_share - total(log_share.exp()).log()
    wanted = ((worth - top(worth)) / TAU).exp()
    wanted = wanted / total(wanted)
    return -((1 - REWARD) * wanted * log_share + REWARD * log_share.exp() * worth / TAU).sum() / size


@torch.no_grad()
def report(title: str, ranking, general: Texts, everyday: Texts) -> None:
    out = []
    for texts in (general, everyday):
        inputs, _, _ = batch(texts, np.arange(len(texts)))
        out.append(texts.best(ranking(*inputs).numpy()))
    kinds = np.array([meta["kind"] for meta in general.meta])
    large = [kinds == kind for kind in sorted(set(kinds)) if (kinds == kind).sum() >= 30]
    found, first = (np.mean([values[of].mean() for of in large]) for values in (general.y[out[0]], general.first))
    good = everyday.good[out[1]]
    print(f"{title}: ROUGE-L {found:.2f}, first sentence {first:.2f}; of everyday texts {np.mean(good == GOOD):.1%} good, "
          f"{np.mean(good == PARTLY):.1%} in part", flush=True)  # fmt: skip


def fit(seed: int, general: Texts, everyday: Texts) -> Ranking:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    ranking = Ranking(general, HIDDEN)
    signals = [ranking.linear, ranking.weights, ranking.bias, ranking.out]
    optimizer = torch.optim.Adam(ranking.parameters(), RATE, betas=(0.9, 0.99))
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 50) * (1 - step / STEPS))
    weights = general.weights()
    few = round(BATCH * EVERYDAY)
    for step in range(STEPS):
        value = DECAY * sum(p.square().sum() for p in signals) + WORD_DECAY * ranking.words.weight.square().sum()
        for texts, chosen in (
            (general, rng.choice(len(general), BATCH - few, p=weights)),
            (everyday, rng.choice(len(everyday), few)),
        ):
            inputs, worth, text = batch(texts, chosen)
            value = value + loss(ranking(*inputs), worth, text) * len(chosen) / BATCH
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        rate.step()
        if (step + 1) % 100 == 0:
            print(f"seed {seed}, step {step + 1}: loss {value.item():.4f}", flush=True)
    return ranking


@torch.no_grad()
def average(rankings: list[Ranking], texts: Texts) -> Ranking:
    """One whose scores are the mean of theirs: their hidden units side by side."""
    mean = Ranking(texts, HIDDEN * len(rankings))
    for name in ("weights", "bias", "out"):
        getattr(mean, name).copy_(torch.cat([getattr(one, name) for one in rankings]))
    mean.out.div_(len(rankings))
    mean.linear.copy_(torch.stack([one.linear for one in rankings]).mean(0))
    mean.words.weight.copy_(torch.stack([one.words.weight for one in rankings]).mean(0))
    return mean


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("texts", type=Path, help="folder of quote_pairs.py, with the dumps")
    args.add_argument("out", type=Path, help="for quote_fit.py --ranking")
    args = args.parse_args()
    read = lambda name: Texts(args.texts / f"{name}.jsonl", args.texts / f"{name}.signals")  # noqa: E731
    general, everyday, *validation = map(read, ("rank-train", "everyday-train", "rank-val", "everyday-val"))
    ranking = average([fit(seed, general, everyday) for seed in range(SEEDS)], general)
    report("average", ranking, *validation)
    words = ranking.words.weight.detach()[:, 0]
    scale = float(words.abs().max()) / LARGEST
    numbers = {name: getattr(ranking, name).detach().tolist() for name in ("mean", "inverse", "linear", "weights", "bias", "out")}
    whole = {"words": (words / scale).round().int().tolist(), "word_scale": scale}
    args.out.write_text(json.dumps(numbers | whole) + "\n")


if __name__ == "__main__":
    main()
