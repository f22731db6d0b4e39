"""Fits what a summary is chosen by, for `jamlet tune`: which sentence is quoted, and when the model rewrites instead.

    jamlet score IMAGE --pairs T/gate-train.jsonl --signals T/gate-train.signals             (and gate-val)
    quote_fit.py T PARAMETERS.json --ranking RANKING.json [--mark TOKEN] [--likelihoods K]
    jamlet tune IMAGE -p PARAMETERS.json -o OUT

T is what quote_pairs.py wrote, the ranking what rank.py did. Without gate-train.signals nothing is rewritten.

1. *Mark and likelihood* are added to the ranking, three weights found listwise.
2. *Probe and gate*: whether a text is of the kind that the model rewrites well, from the hidden state alone (ridge regression); then
   whether the rewrite is better than the quote, from that and what else the gate looks at (logistic regression, each text as heavy as
   the difference).
3. *Confidence*: logistic regression of whether the quote has at least GOOD.

All is fitted on training splits but the gate's bias: on validation, what the model rewrites well may lose LOST by the gate.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from dumps import MARK, Texts

TAU = 8.0  # points of ROUGE-L that make a sentence e times as good
REWARD = 0.3  # share of the expected ROUGE-L in the loss
STEPS, RATE, DECAY = 400, 0.02, 3e-4
GOOD = 30.0  # points of ROUGE-L that make a good quote
# What the model rewrites well: half of the gate's weight. Of the rest, a rewrite that is worse than the quote weighs WORSE times as much.
REWRITTEN = ("package", "advisory", "advisories")
WORSE = 2.0
# What is never to be rewritten, whatever ROUGE-L says: of 29 rewrites of READMEs a reader found 19 wrong.
QUOTED, FAR_BETTER = ("readme",), 20.0
RIDGE = 1000.0
LOST = 1.5  # points of ROUGE-L that the gate may cost what is rewritten well
COST = 2  # of what the gate looks at


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


class Ranking:
    """What rank.py wrote."""

    def __init__(self, path: Path):
        self.found = json.loads(path.read_text())
        self.mean, self.inverse, self.linear, self.weights, self.bias, self.out = (
            np.array(self.found[name], np.float32) for name in ("mean", "inverse", "linear", "weights", "bias", "out")
        )
        self.linear[MARK] = 0
        self.weights[:, MARK] = 0
        self.words = np.array(self.found["words"]) * self.found["word_scale"]

    def scores(self, texts: Texts):
        z = np.clip((texts.x - self.mean) * self.inverse, -5, 5)
        so_far = np.concatenate([[0], np.cumsum(self.words[texts.words])])
        told = (so_far[texts.first_word + texts.count] - so_far[texts.first_word]) / np.sqrt(texts.count + 2)
        return z @ self.linear + np.maximum(z @ self.weights.T + self.bias, 0) @ self.out + told


def add_model(ranking: Ranking, texts: Texts):
    """Weights of the mark, which becomes a signal of the ranking, and of the likelihood's mean and end."""
    mark = texts.x[:, MARK]
    ranking.mean[MARK], ranking.inverse[MARK] = mark.mean(), 1 / (mark.std() + 1e-3)
    marked = np.clip((mark - ranking.mean[MARK]) * ranking.inverse[MARK], -5, 5)
    base = ranking.scores(texts)
    likely = np.nan_to_num(texts.likelihood, nan=-16.0)
    extra = np.column_stack([marked, likely])
    weights, mean, square = np.zeros(3), np.zeros(3), np.zeros(3)
    heavy = texts.spread(texts.weights())
    for step in range(STEPS):  # Adam (Kingma and Ba 2015)
        g = extra.T @ (pull(base + extra @ weights, texts.y, texts.spread, texts.start) * heavy) + DECAY * weights
        mean += 0.1 * (g - mean)
        square += 0.01 * (g * g - square)
        rate = RATE * min(1, (step + 1) / 50) * (1 - step / STEPS)
        weights -= rate * (mean / (1 - 0.9 ** (step + 1))) / (np.sqrt(square / (1 - 0.99 ** (step + 1))) + 1e-8)
    ranking.linear[MARK] = weights[0]
    return weights[1:]


def final_scores(ranking: Ranking, likelihood, most: int, texts: Texts):
    """As the engine has them: the likelihood counts for the best `most` sentences only."""
    scores = ranking.scores(texts)
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
    gate[:, 8] = texts.length[best] / 20
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
    gain[[meta["topic"] in QUOTED for meta in texts.meta]] = -FAR_BETTER
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
    args.add_argument("--ranking", type=Path, required=True, help="what rank.py wrote")
    args.add_argument("--mark", type=int, help="token that marks important sentences")
    args.add_argument("--likelihoods", type=int, default=0, help="sentences whose likelihood is computed")
    args = args.parse_args()
    read = lambda name: Texts(args.texts / f"{name}.jsonl", args.texts / f"{name}.signals")  # noqa: E731
    ranking, most = Ranking(args.ranking), args.likelihoods
    found = {"mark": args.mark, "likelihoods": most, "likelihood": [0.0, 0.0], "probe": []}
    if (args.texts / "gate-train.signals").exists():
        training, validation = read("gate-train"), read("gate-val")
        if args.mark is None:  # whatever the dump's image had
            training.x[:, MARK] = validation.x[:, MARK] = 0
        plain = validation.y[validation.best(ranking.scores(validation))]
        likelihood = add_model(ranking, training)
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
    else:
        texts = read("rank-val")
        found |= {"confidence": fit_confidence(texts, ranking.scores(texts))}
    for name in ("mean", "inverse", "linear", "weights", "bias", "out"):
        found[name] = getattr(ranking, name)
    lists = {name: np.asarray(value, float).tolist() for name, value in found.items() if not isinstance(value, (int, type(None)))}
    words = {name: ranking.found[name] for name in ("words", "word_scale")}
    args.out.write_text(json.dumps(found | lists | words) + "\n")


if __name__ == "__main__":
    main()
