"""Makes a model with experts of one without: every second MLP becomes as many copies of itself.

    upcycle.py FOLDER OUT --data DIR

After "Sparse Upcycling" (Komatsuzaki et al. 2023). A router's rows are the middles of as many clusters of the states that it will see, so
that from the first step on like tokens go to the same expert; they are short, so that a token's experts have shares that differ little, and
the copies' last matrices are scaled by what these shares leave of their sum: the model says at first what FOLDER's says.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

import export
from model import Experts, Jamba
from prune import inputs, sample
from train import MODELS

TEXTS = 200  # of each kind of data that states are taken from
ROUNDS = 12  # of k-means
SPREAD = 1.0  # standard deviation of the routers' logits


def parse() -> argparse.Namespace:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("folder", type=Path, help="Hugging Face folder of a model without experts")
    args.add_argument("out", type=Path, help="Hugging Face folder to write")
    args.add_argument("--data", type=Path, required=True, help="what split.py and mix.py wrote")
    args.add_argument("--model", choices=[name for name, c in MODELS.items() if c.experts > 1], default="mini")
    return args.parse_args()


def middles(states: torch.Tensor, count: int) -> torch.Tensor:
    """The directions (count, H) of clusters of states (n, H): k-means by angle."""
    states = F.normalize(states - states.mean(0), dim=-1)
    found = states[torch.randperm(len(states))[:count]]
    for _ in range(ROUNDS):
        nearest = (states @ found.T).argmax(-1)
        sums = torch.zeros_like(found).index_add(0, nearest, states)
        found = F.normalize(sums + 1e-3 * found, dim=-1)
    return found


@torch.no_grad()
def main() -> None:
    args = parse()
    torch.manual_seed(0)
    teacher = export.load(args.folder).eval()
    config = MODELS[args.model]
    if teacher.config != replace(config, experts=1, active=1):
        raise SystemExit(f"{args.folder}: {teacher.config} is not {args.model} without experts, {config}")
    tokenizer = args.folder / "tokenizer.json"
    batches = sample(args.data, tokenizer, TEXTS)
    model = Jamba(config)
    own = model.state_dict()
    for name, weight in teacher.state_dict().items():
        layer, _, part = name.partition(".feed_forward.")
        for copy in [name] if name in own else [f"{layer}.feed_forward.experts.{i}.{part}" for i in range(config.experts)]:
            own[copy].copy_(weight)
    for layer, before in zip(model.layers, teacher.layers):
        moe = layer.feed_forward
        if not isinstance(moe, Experts):
            continue
        states = inputs(teacher, before.feed_forward, batches)
        found = middles(states, config.experts)
        moe.router.weight.copy_(found * SPREAD / (states @ found.T).std())
        shares = moe.router(states).softmax(-1)
        kept, chosen = shares.topk(config.active, -1)
        for expert in moe.experts:
            expert.down_proj.weight /= kept.sum(-1).mean()
        asked = torch.bincount(chosen.flatten(), minlength=config.experts) / chosen.numel()
        print(f"shares of the best {config.active}: {kept.sum(-1).mean():.3f}, deviation {kept.sum(-1).std():.3f}; "
              f"an expert is asked {100 * asked.min():.1f} to {100 * asked.max():.1f} % of the time", flush=True)
    export.save(model, tokenizer, args.out)


if __name__ == "__main__":
    main()
