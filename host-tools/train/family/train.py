"""Trains S4D, Mamba, Transformer, Jamba and Granite (Mamba-2) on recall tasks, seeded, and writes their Hugging Face folders and texts to
try them on: for `cargo xtask family` and `cargo xtask recall`.

    python -m family.train OUT               # all five
    python -m family.train OUT mamba         # one of them

(In `host-tools/train`; `family/run.sh` makes the environment as well.)
"""

import argparse
import json
import math
import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from family import models, tasks
from model import Attention, Jamba

ROWS = 16  # of each task in a batch
SHORTEST, LONGEST = 16, 192
#: Attention sees this many tokens, and the first ones, in three of four batches; in the others all. What the models learn
#: to do without the rest, they can do with a bounded cache.
WINDOW, SINKS = 32, 4


def batch(random: np.random.Generator, rows: int, length: int):
    """Texts of all tasks, padded behind; where their answers are, and what those are; how many each task has."""
    texts = [tasks.make(task, random, rows, length) for task in tasks.TASKS]
    width = max(t.tokens.shape[1] for t in texts)
    tokens = np.concatenate([np.pad(t.tokens, ((0, 0), (0, width - t.tokens.shape[1]))) for t in texts])
    row = np.concatenate([np.repeat(np.arange(rows) + i * rows, len(t.answers)) for i, t in enumerate(texts)])
    column = np.concatenate([np.tile(t.answers, rows) for t in texts])
    tokens, row, column = map(torch.from_numpy, (tokens, row, column))
    return tokens, row, column, tokens[row, column], [rows * len(t.answers) for t in texts]


def look_back(model: Jamba, window: int | None) -> None:
    """How far attention sees."""
    for part in model.modules():
        if isinstance(part, Attention):
            part.window = None if window is None else (window, SINKS)


@torch.no_grad()
def accuracy(model: Jamba, length: int, rows: int = 64) -> dict[str, float]:
    """Share of right answers in each task, in f32, with all in sight."""
    look_back(model, None)
    tokens, row, column, right, counts = batch(np.random.default_rng(7), rows, length)
    found = model.head(model.hidden_states(tokens[:, :-1])[row, column - 1]).argmax(-1)
    shares = [part.float().mean().item() for part in (found == right).split(counts)]
    return {task: round(share, 3) for task, share in zip(tasks.TASKS, shares)}


def train(name: str, out: Path, steps: int, rate: float, seed: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = models.build(name)
    still = ("A_log", "log_dt", "dt_proj", ".B", ".C")
    plain = [w for key, w in model.named_parameters() if w.dim() < 2 or any(part in key for part in still)]
    chosen = {id(weight) for weight in plain}
    rest = [weight for weight in model.parameters() if id(weight) not in chosen]
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": rest, "weight_decay": 0.01}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
    print(f"{name}: {models.parameters(model)} parameters", flush=True)
    start, losses = time.time(), []
    for step in range(steps):
        # Short texts first, so that there is something to learn from early on.
        longest = SHORTEST + (LONGEST - SHORTEST) * min(1.0, step / (0.6 * steps))
        length = int(random.integers(SHORTEST, int(longest) + 1))
        look_back(model, WINDOW if step % 4 else None)
        tokens, row, column, right, _ = batch(random, ROWS, length)
        warm, done = min(1.0, (step + 1) / 100), step / steps
        for group in optimizer.param_groups:
            group["lr"] = rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        loss = F.cross_entropy(model.head(model.hidden_states(tokens[:, :-1])[row, column - 1]), right)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 200 == 0 or step + 1 == steps:
            seen = " ".join(f"{length}: {list(accuracy(model, length).values())}" for length in (32, 128, 256))
            took = time.time() - start
            print(f"{name} {step + 1:5} {took:5.0f} s  loss {np.mean(losses[-200:]):.3f}  {seen}", flush=True)
    models.save(name, model, out)
    facts = {"parameters": models.parameters(model), "steps": steps, "rate": rate, "seed": seed}
    facts["seconds"] = round(time.time() - start)
    (out / "training.json").write_text(json.dumps(facts) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder in which a folder for each model is made")
    parser.add_argument("models", nargs="*", default=list(models.FAMILY), metavar="model", help=", ".join(models.FAMILY))
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="models trained at the same time, a core each")
    args = parser.parse_args()
    if unknown := set(args.models) - set(models.FAMILY):
        parser.error(f"no model {', '.join(unknown)}; there are {', '.join(models.FAMILY)}")
    args.out.mkdir(parents=True, exist_ok=True)
    tasks.write(args.out / "texts.jsonl", 50)
    jobs = [(name, args.out / name, args.steps, args.rate, args.seed) for name in args.models]
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        pool.starmap(train, jobs, chunksize=1)


if __name__ == "__main__":
    main()
