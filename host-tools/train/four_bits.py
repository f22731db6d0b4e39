"""Trains a model to say with weights of 4 bits what it says with all of them.

    four_bits.py FOLDER OUT --data DIR --minutes M [--start SMALLER]

The model is computed with its matrices rounded as `jamlet pack --bits 4` rounds them, and learns from the probabilities that FOLDER's has without
rounding (distillation), and from its hidden states, on which the choice between rewrite and quote rests; a little also from the texts
themselves. Gradients pass the rounding as if it weren't there (Bengio et al. 2013). Writes a folder whose weights lie on the
grid, every few minutes. What is printed of training is of weights that swing from one step of the grid to the next; their moving average,
which is saved, loses half of that.
"""

import argparse
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import export
from augment import Names
from batches import Batch, Encoder, Epoch, fixed, load
from general import cap
from keep import endless
from model import Jamba
from precision import fast
from quantize import nibble_scales, nibbles

WIDE = ("x_proj", "dt_proj", "A_log", "conv1d")  # stay as they are in an image of 4 bits
TEXT_SHARE = 0.3  # of the texts' tokens are asked about
STATE_WEIGHT = 0.3  # of the distance of hidden states, as a share of the teacher's
WARMUP_STEPS = 30
EMA_STEPS = 60
SCALE_STEPS = 25  # scales are searched anew so often
SAVE_SECONDS = 240
VALIDATED = 80  # texts of packages, and of general English


def parse() -> argparse.Namespace:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("folder", type=Path, help="Hugging Face folder, as the other scripts and unpack.py write")
    args.add_argument("out", type=Path)
    args.add_argument("--data", type=Path, required=True, help="what split.py and mix.py wrote")
    args.add_argument("--minutes", type=float, required=True)
    args.add_argument("--start", type=Path, help="a smaller folder that prune.py made of FOLDER, to start from")
    args.add_argument("--text-weight", type=float, default=0.2, help="of the cross-entropy of the texts' tokens")
    args.add_argument("--lr", type=float, default=4e-4)
    args.add_argument("--tokens", type=int, default=3072, help="tokens of a batch of packages, and of one of general English")
    args.add_argument("--threads", type=int, default=1)
    return args.parse_args()


class Capped(Epoch):
    """General English, of which no kind has more rows than `general.cap` says."""

    def drawn(self) -> list[dict]:
        rows, seen, out = list(self.rows), {}, []
        self.rng.shuffle(rows)
        for row in rows:
            seen[row["kind"]] = seen.get(row["kind"], 0) + 1
            if seen[row["kind"]] <= cap(row):
                out.append(row)
        return out


class Rounding:
    """A model's matrices that get 4 bits, and their scales."""

    def __init__(self, model: Jamba):
        self.weights = [w for name, w in model.named_parameters() if w.dim() == 2 and not any(part in name for part in WIDE)]
        self.search()

    def search(self) -> None:
        self.scales = [nibble_scales(weight.data) for weight in self.weights]

    def apply(self) -> list[torch.Tensor]:
        """Rounds the weights; returns what they were."""
        before = [weight.data for weight in self.weights]
        for weight, scales in zip(self.weights, self.scales):
            weight.data = nibbles(weight.data, scales)
        return before

    def undo(self, before: list[torch.Tensor]) -> None:
        for weight, data in zip(self.weights, before):
            weight.data = data


def outputs(model: Jamba, batch: Batch, chosen) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states of each chosen (bool, (B, T)) token, in order, and the log-probabilities of what follows."""
    with fast():
        states = model.hidden_states(batch.tokens[:, :-1])[chosen[:, 1:]]
        return states.float(), model.head(states).float().log_softmax(-1)


def loss(model: Jamba, teacher: Jamba, batch: Batch, text_weight: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Divergence from the teacher in nats, and all that is learnt from."""
    chosen = batch.summary | batch.text & (torch.rand(batch.text.shape) < TEXT_SHARE)
    with torch.no_grad():
        states, wanted = outputs(teacher, batch, chosen)
    own, found = outputs(model, batch, chosen)
    distance = (own - states).square().mean() / states.square().mean()
    divergence = F.kl_div(found, wanted, reduction="none", log_target=True).sum(-1)
    of_text = batch.text[chosen]
    # There are twenty times as many of the texts' tokens, and it is summaries that people see.
    half = (divergence[of_text].mean() + divergence[~of_text].mean()) / 2
    text = F.nll_loss(found[of_text], batch.tokens[chosen & batch.text])
    return divergence.mean(), half + STATE_WEIGHT * distance + text_weight * text


@torch.no_grad()
def compare(model: Jamba, teacher: Jamba, batches: list[Batch]) -> tuple[float, float]:
    """Divergence in nats and the ratio of perplexities, over all tokens."""
    divergence = more = count = 0.0
    for batch in batches:
        chosen = batch.summary | batch.text
        right = batch.tokens[:, 1:][chosen[:, 1:]][:, None]
        (_, wanted), (_, found) = outputs(teacher, batch, chosen), outputs(model, batch, chosen)
        divergence += F.kl_div(found, wanted, reduction="sum", log_target=True).item()
        more += (wanted.gather(1, right) - found.gather(1, right)).sum().item()
        count += len(right)
    return divergence / count, torch.tensor(more / count).exp().item()


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    teacher = export.load(args.folder).requires_grad_(False).eval()
    start = args.start or args.folder
    model, average = export.load(start), export.load(start).requires_grad_(False)
    tokenizer = args.folder / "tokenizer.json"
    encoder = Encoder(tokenizer, bpe_dropout=0.1)
    known, general = load(args.data / "train.jsonl"), load(args.data / "general-train.jsonl")
    names = Names(known)
    batches = [
        endless(rows, encoder, names, seed=1, epochs=epochs, tokens_per_batch=args.tokens, rename=rename, bpe_dropout=0.1)
        for rows, epochs, rename in ((known, Epoch, 0.5), (general, Capped, 0.2))
    ]
    validation = {
        name: fixed(random.Random(0).sample(load(args.data / f"{name}.jsonl"), VALIDATED), encoder, args.tokens)
        for name in ("debian-val", "general-val")
    }
    rounding, averaged = Rounding(model), Rounding(average)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0)
    for layer in (*model.layers, *teacher.layers, *average.layers):
        layer.compile_parts()

    def save(step: int) -> None:
        averaged.search()
        before = averaged.apply()
        for name, some in validation.items():
            divergence, ratio = compare(average, teacher, some)
            print(f"step {step}, {name}: divergence {divergence:.4f} nat, perplexity ratio {ratio:.4f}", flush=True)
        export.save(average, tokenizer, args.out)
        averaged.undo(before)

    save(0)
    means, step, budget = [0.0, 0.0], 0, 60 * args.minutes
    clock = saved = time.monotonic()
    while (passed := time.monotonic() - clock) < budget:
        model.train()
        if step % SCALE_STEPS == 0:
            rounding.search()
        before = rounding.apply()
        for i, some in enumerate(batches):
            divergence, value = loss(model, teacher, next(some), args.text_weight)
            value.backward()
            means[i] += (divergence.item() - means[i]) / min(step + 1, 50)
        rounding.undo(before)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1, (step + 1) / WARMUP_STEPS) * (1 - passed / budget)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), max(1 / EMA_STEPS, 2 / (step + 2)))
        if step in (3, 10) or step % 50 == 0:
            print(f"step {step} at {100 * passed / budget:.1f} %: packages {means[0]:.4f}, general {means[1]:.4f} nat; "
                  f"{passed / step:.2f} s a step", flush=True)  # fmt: skip
        if time.monotonic() - saved > SAVE_SECONDS:
            save(step)
            saved = time.monotonic()
    save(step)


if __name__ == "__main__":
    main()
