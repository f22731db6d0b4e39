"""Makes a smaller model of one: fewer units in each MLP, and fewer layers.

    prune.py FOLDER OUT --data DIR [--ffn N] [--drop LAYER ...]

Of each MLP those units stay that add most to the residual stream (the mean square of a unit's value times the square of what it is
weighed by, over texts of all kinds). Without training it says little that is right: `four_bits.py --start` makes it say what FOLDER does.
"""

import argparse
import random
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

import export
from batches import Batch, Encoder, fixed, load
from four_bits import compare
from model import MLP, Jamba

TEXTS = 150  # of packages, and of general English


def parse() -> argparse.Namespace:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("folder", type=Path, help="Hugging Face folder, as the other scripts and unpack.py write")
    args.add_argument("out", type=Path, help="Hugging Face folder to write")
    args.add_argument("--data", type=Path, required=True, help="what split.py and mix.py wrote")
    args.add_argument("--ffn", type=int, help="units of each MLP that stay")
    args.add_argument("--drop", type=int, nargs="*", default=[], help="layers to leave out, counted from 0")
    return args.parse_args()


def sample(data: Path, tokenizer: Path, count: int) -> list[Batch]:
    """The same `count` texts of packages, and of general English, for all that looks at states."""
    rng = random.Random(0)
    rows = [row for name in ("train", "general-train") for row in rng.sample(load(data / f"{name}.jsonl"), count)]
    return fixed(rows, Encoder(tokenizer), 4096)


@torch.no_grad()
def inputs(model: Jamba, mlp: MLP, batches: list[Batch]) -> torch.Tensor:
    """What one of the model's MLPs sees of the texts: states (n, H)."""
    seen = []
    hook = mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for batch in batches:
        model.hidden_states(batch.tokens)
    hook.remove()
    return torch.cat([some[batch.tokens != 0] for some, batch in zip(seen, batches)])


def worth(mlp: MLP, states: torch.Tensor) -> torch.Tensor:
    """What each unit (F) adds to the residual stream, of states (n, H)."""
    values = F.silu(mlp.gate_proj(states)) * mlp.up_proj(states)
    return values.square().mean(0) * mlp.down_proj.weight.square().sum(0)


@torch.no_grad()
def narrow(model: Jamba, batches: list[Batch], ffn: int) -> dict[str, torch.Tensor]:
    """The weights of a model whose MLPs have `ffn` units."""
    own = dict(model.state_dict())
    for i, layer in enumerate(model.layers):
        value = worth(layer.feed_forward, inputs(model, layer.feed_forward, batches))
        kept = value.argsort(descending=True)[:ffn].sort().values
        print(f"layer {i}: {100 * value[kept].sum() / value.sum():.1f} % of what the MLP adds stays", flush=True)
        for name in ("gate_proj", "up_proj", "down_proj"):
            key = f"layers.{i}.feed_forward.{name}.weight"
            own[key] = own[key][:, kept] if name == "down_proj" else own[key][kept]
    return own


def main() -> None:
    args = parse()
    model = export.load(args.folder).requires_grad_(False).eval()
    config, tokenizer = model.config, args.folder / "tokenizer.json"
    batches = sample(args.data, tokenizer, TEXTS)
    ffn = args.ffn or config.ffn
    own = narrow(model, batches, ffn) if args.ffn else dict(model.state_dict())
    kept = [i for i in range(config.layers) if i not in args.drop]
    attention = [new for new, old in enumerate(kept) if old % config.attn_period == config.attn_offset]
    small = replace(config, ffn=ffn, layers=len(kept), attn_offset=attention[0])
    if attention != [i for i in range(len(kept)) if i % small.attn_period == small.attn_offset]:
        raise SystemExit(f"attention would be at {attention}, which no period and offset of config.json say")
    out = Jamba(small)
    renamed = {}
    for name, weight in own.items():
        parts = name.split(".")
        if parts[0] == "layers":
            if int(parts[1]) in args.drop:
                continue
            parts[1] = str(kept.index(int(parts[1])))
        renamed[".".join(parts)] = weight
    out.load_state_dict(renamed)
    out.requires_grad_(False).eval()
    divergence, ratio = compare(out, model, batches[:: max(1, len(batches) // 8)])
    print(f"{sum(p.numel() for p in out.parameters())} parameters: divergence {divergence:.3f} nat, perplexity ratio {ratio:.3f}")
    export.save(out, tokenizer, args.out)


if __name__ == "__main__":
    main()
