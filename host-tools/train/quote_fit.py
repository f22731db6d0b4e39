"""Fits what a summary is chosen by, for `jamlet tune`: which sentence is quoted, and when the model rewrites instead.

    jamlet score IMAGE --pairs T/rank-train.jsonl --signals T/rank-train.signals --cheap     (and rank-val)
    jamlet score IMAGE --pairs T/gate-train.jsonl --signals T/gate-train.signals             (and gate-val)
    quote_fit.py T PARAMETERS.json [--mark TOKEN] [--likelihoods K] [--ranking PARAMETERS.json]
    jamlet tune IMAGE PARAMETERS.json -o OUT

T is what quote_pairs.py wrote. Without gate-train.signals only the ranking is fitted, and nothing is rewritten. --ranking takes
that from an earlier run: it doesn't depend on the model.

1. *Ranking*: some small networks beside linear functions, trained listwise: the softmax of the scores of a text's sentences is to be
   that of their ROUGE-L, and its expected ROUGE-L high. Their mean is one wide network. Kinds count alike.
2. *Mark and likelihood* are added to that, three weights found in the same way.
3. *Probe and gate*: whether a text is of the kind that the model rewrites well, from the hidden state alone (ridge regression); then
   whether the rewrite is better than the quote, from that and what else the gate looks at (logistic regression, each text as heavy as
   the difference).
4. *Confidence*: logistic regression of whether the quote has at least GOOD.

All is fitted on training splits but the gate's bias: on validation, what the model rewrites well may lose LOST by the gate.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

MARK = 67  # which signal that is
TAU = 8.0  # points of ROUGE-L that make a sentence e times as good
REWARD = 0.3  # share of the expected ROUGE-L in the loss
HIDDEN, NETS, STEPS, BATCH, RATE, DECAY = 16, 3, 800, 512, 0.02, 3e-4
# How much of a text's weight is that of its kind's file, and how much that of its topic.
TOPICS, FILES = 0.35, 0.7
STYLES = {"sentence": 1.0, "title": 0.4}
FORMED = 0.5  # weight of a text in another form
GOOD = 30.0  # points of ROUGE-L that make a good quote
# What the model rewrites well: half of the gate's weight. Of the rest, a rewrite that is worse than the quote weighs WORSE times as much.
REWRITTEN = ("package", "advisory", "advisories")
WORSE = 2.0
RIDGE = 1000.0
LOST = 1.5  # points of ROUGE-L that the gate may cost what is rewritten well
COST = 2  # of what the gate looks at
# Set by hand: what the training texts have too little of to tell. Scores for the whole way from 0 to 1 of a signal.
PRIORS = {
    0: 0.6,  # eight words or more
    27: -0.6,  # thanks, greetings
    34: 0.35,  # decided, moved, announced
    68: -1.0,  # small talk
    70: 1.0,  # "Decision:"
    71: 0.3,  # a weekday or month
    72: 0.4,  # error, failed, broken
    73: 0.3,  # results
}


class Texts:
    """Texts with their sentences, one behind the other: `n` sentences each, `x` signals, `y` ROUGE-L in percent."""

    def __init__(self, pairs: Path, dump: Path):
        self.meta, found = [], []
        with open(pairs, encoding="utf-8") as rows, open(dump, encoding="utf-8") as lines:
            for row, line in zip(map(json.loads, rows), map(json.loads, lines), strict=True):
                if line["quotes"]:
                    self.meta.append({key: row.get(key) for key in ("kind", "topic", "style", "form")})
                    found.append(line)
        quotes = [quote for line in found for quote in line["quotes"]]
        percent = 100 if max(quote["rouge_l"] for quote in quotes) <= 1 else 1
        self.n = np.array([len(line["quotes"]) for line in found])
        self.start = np.concatenate([[0], np.cumsum(self.n)[:-1]])
        self.x = np.array([quote["signals"] for quote in quotes], np.float32)
        self.y = np.array([quote["rouge_l"] for quote in quotes], np.float32) * percent
        self.first = np.array([line["first"] for line in found]) * percent
        self.words = np.array([len(quote["text"].split()) for quote in quotes])
        likely = [quote.get("likelihood") or (np.nan, np.nan) for quote in quotes]
        self.likelihood = np.array(likely, np.float32)
        self.full = bool(found[0].get("hidden"))
        if self.full:
            self.hidden = np.array([line["hidden"] for line in found], np.float32)
            self.gate = np.array([line["gate"] for line in found], np.float32)
            self.rewritten = np.array([line["rewrite"]["rouge_l"] for line in found]) * percent

    def __len__(self) -> int:
        return len(self.n)

    def spread(self, values):
        """A value for each text, for its sentences."""
        return np.repeat(values, self.n)

    def most(self, values):
        return np.maximum.reduceat(values, self.start)

    def total(self, values):
        return np.add.reduceat(values, self.start)

    def best(self, scores):
        """Which sentence of each text has the highest score, the first of these."""
        place = np.arange(len(scores))
        return np.minimum.reduceat(np.where(scores == self.spread(self.most(scores)), place, len(scores)), self.start)

    def weights(self):
        """Of texts: kinds and topics alike, and a sum of 1."""
        files = defaultdict(int)
        for meta in self.meta:
            files[meta["kind"]] += 1
        plain = np.array([
            files[m["kind"]] ** -FILES * STYLES[m["style"]] * (FORMED if m["form"] else 1.0) for m in self.meta
        ])  # fmt: skip
        topics = defaultdict(float)
        for meta, weight in zip(self.meta, plain):
            topics[meta["topic"]] += weight
        even = plain / np.array([topics[meta["topic"]] for meta in self.meta])
        return (1 - TOPICS) * plain / plain.sum() + TOPICS * even / even.sum()


def pull(scores, y, spread, start):
    """The loss's gradient by the scores of some texts' sentences."""
    top = lambda v: spread(np.maximum.reduceat(v, start))  # noqa: E731
    total = lambda v: spread(np.add.reduceat(v, start))  # noqa: E731
    share = np.exp(scores - top(scores))
    share /= total(share)
    wanted = np.exp((y - top(y)) / TAU)
    wanted /= total(wanted)
    expected = total(share * y)
    return (1 - REWARD) * (share - wanted) - REWARD * share * (y - expected) / TAU


class Adam:
    def __init__(self, parameters, rate: float, steps: int):
        self.parameters, self.rate, self.steps, self.step = parameters, rate, steps, 0
        self.mean = [np.zeros_like(p) for p in parameters]
        self.square = [np.zeros_like(p) for p in parameters]

    def update(self, gradients) -> None:
        self.step += 1
        rate = self.rate * min(1, self.step / 50) * (1 - (self.step - 1) / self.steps)
        for p, g, mean, square in zip(self.parameters, gradients, self.mean, self.square):
            g = g + DECAY * p
            mean += 0.1 * (g - mean)
            square += 0.01 * (g * g - square)
            p -= rate * (mean / (1 - 0.9**self.step)) / (np.sqrt(square / (1 - 0.99**self.step)) + 1e-8)


def train(z, texts: Texts, weights, seed: int):
    """Linear weights, hidden weights, biases and weights of the hidden units."""
    rng = np.random.default_rng(seed)
    size = z.shape[1]
    net = [
        np.zeros(size, np.float32),
        rng.normal(size=(size, HIDDEN)).astype(np.float32) / np.float32(np.sqrt(size)),
        np.zeros(HIDDEN, np.float32),
        rng.normal(size=HIDDEN).astype(np.float32) * np.float32(0.3),
    ]
    adam = Adam(net, RATE, STEPS)
    for _ in range(STEPS):
        chosen = rng.choice(len(texts), BATCH, p=weights)
        n = texts.n[chosen]
        start = np.concatenate([[0], np.cumsum(n)[:-1]])
        rows = np.repeat(texts.start[chosen] - start, n) + np.arange(n.sum())
        x, y = z[rows], texts.y[rows]
        linear, inner, bias, out = net
        units = x @ inner + bias
        active = np.maximum(units, 0)
        g = pull(x @ linear + active @ out, y, lambda v, n=n: np.repeat(v, n), start).astype(np.float32) / BATCH
        back = (g[:, None] * out) * (units > 0)
        adam.update([x.T @ g, x.T @ back, back.sum(0), active.T @ g])
    return net


class Ranking:
    def __init__(self, mean, inverse, linear, weights, bias, out):
        self.mean, self.inverse, self.linear = mean, inverse, linear
        self.weights, self.bias, self.out = weights, bias, out  # weights: (hidden units, signals)

    @classmethod
    def fit(cls, texts: Texts):
        mean, deviation = texts.x.mean(0), texts.x.std(0)
        inverse = np.where(deviation > 1e-6, 1 / (deviation + 1e-3), 1).astype(np.float32)
        z = np.clip((texts.x - mean) * inverse, -5, 5)
        weights = texts.weights()
        nets = [train(z, texts, weights, seed) for seed in range(NETS)]
        linear = np.mean([net[0] for net in nets], 0)
        for signal, worth in PRIORS.items():
            low, high = np.clip((np.array([0, 1]) - mean[signal]) * inverse[signal], -5, 5)
            linear[signal] += worth / (high - low)
        inner = np.concatenate([net[1].T for net in nets])
        bias = np.concatenate([net[2] for net in nets])
        out = np.concatenate([net[3] / NETS for net in nets])
        inner[:, MARK] = 0
        linear[MARK] = 0
        return cls(mean, inverse, linear, inner, bias, out)

    @classmethod
    def read(cls, path: Path):
        found = json.loads(path.read_text())
        names = ("mean", "inverse", "linear", "weights", "bias", "out")
        ranking = cls(*(np.array(found[name], np.float32) for name in names))
        ranking.linear[MARK] = 0
        return ranking

    def scores(self, x):
        z = np.clip((x - self.mean) * self.inverse, -5, 5)
        return z @ self.linear + np.maximum(z @ self.weights.T + self.bias, 0) @ self.out


def add_model(ranking: Ranking, texts: Texts):
    """Weights of the mark, which becomes a signal of the ranking, and of the likelihood's mean and end."""
    mark = texts.x[:, MARK]
    ranking.mean[MARK], ranking.inverse[MARK] = mark.mean(), 1 / (mark.std() + 1e-3)
    marked = np.clip((mark - ranking.mean[MARK]) * ranking.inverse[MARK], -5, 5)
    base = ranking.scores(texts.x)
    likely = np.nan_to_num(texts.likelihood, nan=-16.0)
    extra = np.column_stack([marked, likely])
    weights = np.zeros(3, np.float32)
    adam = Adam([weights], 0.02, 400)
    heavy = texts.spread(texts.weights())
    for _ in range(400):
        g = pull(base + extra @ weights, texts.y, texts.spread, texts.start) * heavy
        adam.update([extra.T @ g])
    ranking.linear[MARK] = weights[0]
    return weights[1:]


def final_scores(ranking: Ranking, likelihood, most: int, texts: Texts):
    """As the engine has them: the likelihood counts for the best `most` sentences only."""
    scores = ranking.scores(texts.x)
    if not most:
        return scores
    likely = np.full_like(texts.likelihood, -16.0)
    for start, n in zip(texts.start, texts.n):
        top = start + np.argsort(-scores[start : start + n], kind="stable")[:most]
        likely[top] = np.nan_to_num(texts.likelihood[top], nan=-16.0)
    return scores + likely @ likelihood


def ridge(x, y, weights, strength: float):
    mean = np.average(x, 0, weights)
    centred = x - mean
    scaled = centred * weights[:, None]
    y = y - np.average(y, weights=weights)
    return np.linalg.solve(centred.T @ scaled + strength * np.eye(x.shape[1]), scaled.T @ y)


def logistic(x, label, weights, strength: float = 1e-3, steps: int = 30):
    """Newton's method."""
    w = np.zeros(x.shape[1])
    weights = weights / weights.sum()
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        g = x.T @ (weights * (p - label)) + strength * w
        h = (x * (weights * p * (1 - p))[:, None]).T @ x + strength * np.eye(x.shape[1])
        w -= np.linalg.solve(h, g)
    return w


def features(texts: Texts, scores, probe):
    """What the gate looks at, as far as it depends on what was fitted here: see Gate::FEATURES in engine/src/model/parameters.rs."""
    gate = texts.gate.astype(np.float64).copy()
    best = texts.best(scores)
    others = scores.copy()
    others[best] = -np.inf
    second = texts.most(others)
    gate[:, 4] = scores[best]
    gate[:, 5] = np.where(np.isfinite(second), np.minimum(scores[best] - second, 8), 8)
    gate[:, 6] = probe
    gate[:, 7] = texts.x[best, MARK]
    gate[:, 8] = texts.words[best] / 20
    return gate


def rewritten(texts: Texts):
    """Which texts are of the topics that the model rewrites well."""
    return np.array([meta["topic"] in REWRITTEN for meta in texts.meta])


def gate_weights(texts: Texts, gain):
    """Of texts: what is to be rewritten as heavy as all the rest, where a rewrite that is worse is heavier."""
    weights, packages = texts.weights(), rewritten(texts)
    weights = np.where(packages, weights / weights[packages].sum(), weights / weights[~packages].sum())
    return weights * np.where(~packages & (gain < 0), WORSE, 1)


def fit_gate(texts: Texts, scores):
    """Probe and gate."""
    gain = texts.rewritten - texts.y[texts.best(scores)]
    weights = gate_weights(texts, gain) * len(texts)
    topic = np.where(rewritten(texts), 1.0, -1.0)
    folds = np.arange(len(texts)) % 5
    seen = np.zeros(len(texts))
    for fold in range(5):
        others = folds != fold
        seen[~others] = texts.hidden[~others] @ ridge(texts.hidden[others], topic[others], weights[others], RIDGE)
    probe = ridge(texts.hidden, topic, weights, RIDGE)
    scale = max(seen.std(), 1e-6)
    found = features(texts, scores, seen / scale)
    found[:, COST] = 0  # what costs is rare, and never speaks for a rewrite
    centre, spread = found.mean(0), found.std(0) + 1e-6
    centre[0], spread[0] = 0, 1
    w = logistic((found - centre) / spread, gain > 0, weights * np.minimum(np.abs(gain), 40), 3e-3) / spread
    w[0] -= w[1:] @ centre[1:]
    return probe / scale, w


def set_bias(gate, texts: Texts, scores, probe) -> None:
    """The bias with which as little as possible is rewritten, and what is to be loses LOST at most."""
    mine = rewritten(texts)
    quote = texts.y[texts.best(scores)]
    margin = features(texts, scores, texts.hidden @ probe) @ gate
    for shift in np.linspace(-6, 6, 241):
        if np.where(margin + shift > 0, texts.rewritten, quote)[mine].mean() >= texts.rewritten[mine].mean() - LOST:
            gate[0] += shift
            return


def fit_confidence(texts: Texts, scores):
    best = texts.best(scores)
    x = np.column_stack([np.ones(len(texts)), scores[best]])
    return logistic(x, texts.y[best] >= GOOD, texts.weights(), 1e-6)


def table(title: str, texts: Texts, columns: dict, shares: dict | None = None) -> None:
    """Means of each kind, and of the kinds of at least 30 texts."""
    kinds = np.array([meta["kind"] for meta in texts.meta])
    print(f"{title:22} texts " + " ".join(f"{name:>9}" for name in (*columns, *(shares or {}))))
    rows = []
    for kind in sorted(set(kinds)):
        mine = kinds == kind
        values = [column[mine].mean() for column in (*columns.values(), *(shares or {}).values())]
        rows.append((mine.sum(), values))
        print(f"{kind:22} {mine.sum():5} " + " ".join(f"{value:9.2f}" for value in values))
    large = np.array([values for count, values in rows if count >= 30])
    print(f"{'mean of 30 or more':22} {len(large):5} " + " ".join(f"{value:9.2f}" for value in large.mean(0)), flush=True)


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("texts", type=Path, help="folder of quote_pairs.py, with the dumps")
    args.add_argument("out", type=Path, help="parameters for `jamlet tune`")
    args.add_argument("--ranking", type=Path, help="parameters of which the ranking is taken")
    args.add_argument("--mark", type=int, help="token that marks important sentences")
    args.add_argument("--likelihoods", type=int, default=0, help="sentences whose likelihood is computed")
    args = args.parse_args()
    read = lambda name: Texts(args.texts / f"{name}.jsonl", args.texts / f"{name}.signals")  # noqa: E731
    ranking = Ranking.read(args.ranking) if args.ranking else Ranking.fit(read("rank-train"))
    if (args.texts / "rank-val.signals").exists():
        texts = read("rank-val")
        scores = ranking.scores(texts.x)
        quote = texts.y[texts.best(scores)]
        table("without the model", texts, {"first": texts.first, "quote": quote, "best": texts.most(texts.y)})
    found = {"mark": args.mark, "likelihoods": args.likelihoods, "likelihood": [0.0, 0.0], "probe": []}
    if (args.texts / "gate-train.signals").exists():
        training, validation = read("gate-train"), read("gate-val")
        plain = validation.y[validation.best(ranking.scores(validation.x))]
        likelihood = add_model(ranking, training)
        most = args.likelihoods
        for other in sorted({0, 4, 6, 8, 24, most}):
            chosen = validation.y[validation.best(final_scores(ranking, likelihood, other, validation))]
            score, without = (found @ validation.weights() for found in (chosen, plain))
            print(f"likelihoods of {other:2} sentences: {score:.2f} (without the model {without:.2f})")
        scores = final_scores(ranking, likelihood, most, training)
        probe, gate = fit_gate(training, scores)
        confidence = fit_confidence(training, scores)
        scores = final_scores(ranking, likelihood, most, validation)
        set_bias(gate, validation, scores, probe)
        quote = validation.y[validation.best(scores)]
        rewrite = features(validation, scores, validation.hidden @ probe) @ gate > 0
        table("with it", validation, {
            "first": validation.first, "plain": plain, "quote": quote, "rewrite": validation.rewritten,
            "chosen": np.where(rewrite, validation.rewritten, quote), "better": np.maximum(validation.rewritten, quote),
        }, {"rewritten": rewrite, "worse": rewrite & (validation.rewritten < quote)})  # fmt: skip
        print(f"mark {ranking.linear[MARK]}, likelihood {likelihood}, gate {np.round(gate, 3)}, confidence {confidence}")
        found |= {"likelihood": likelihood, "probe": probe, "gate": gate, "confidence": confidence}
    elif (args.texts / "rank-val.signals").exists():
        found |= {"confidence": fit_confidence(texts, scores)}
    for name in ("mean", "inverse", "linear", "weights", "bias", "out"):
        found[name] = getattr(ranking, name)
    lists = {name: np.asarray(value, float).tolist() for name, value in found.items() if not isinstance(value, (int, type(None)))}
    args.out.write_text(json.dumps(found | lists) + "\n")


if __name__ == "__main__":
    main()
