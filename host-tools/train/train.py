"""Trains a small Jamba to summarize, within a budget of wall-clock minutes.

    train.py MODEL OUT --data DIR --tokenizer FILE --minutes M [--init FOLDER]

Writes `OUT/hf` (a Hugging Face folder: the moving average of the weights) and `OUT/state.pt` every few minutes; run
again with the same arguments it resumes, and the schedule counts the minutes trained, not those passed.
"""

import argparse
import copy
import os
import random
import signal
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

import export
import quantize
from augment import Names
from batches import Batch, Encoder, Epoch, fixed, load
from model import Config, Jamba
from muon import Muon
from precision import fast

MODELS = {
    "nano": Config(vocab=2048, hidden=96, ffn=128, layers=5, heads=3),
    "pico": Config(vocab=4096, hidden=160, ffn=384, layers=8, heads=5),
    "mini": Config(vocab=4096, hidden=160, ffn=384, layers=8, heads=5, experts=16, active=2),
}
WARMUP_STEPS = 100
EMA_STEPS = 500  # the moving average looks about this far back
SAVE_SECONDS = 240
VALIDATION_PAIRS = 400


def parse() -> argparse.Namespace:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("model", choices=MODELS)
    args.add_argument("out", type=Path)
    args.add_argument("--data", type=Path, required=True, help="what split.py wrote")
    args.add_argument("--tokenizer", type=Path, required=True)
    args.add_argument("--minutes", type=float, required=True, help="the whole schedule, resumed runs included")
    args.add_argument("--init", type=Path, help="Hugging Face folder to start from instead of random weights")
    args.add_argument("--lr", type=float, default=2.4e-3)
    args.add_argument("--dropout", type=float, default=0.1)
    args.add_argument("--tokens", type=int, default=4096, help="tokens a batch, padding included")
    args.add_argument("--text-weight", type=float, default=0.5, help="loss on the text's tokens, a summary's being 1")
    args.add_argument("--text-share", type=float, default=0.25, help="share of the text's tokens that are predicted")
    args.add_argument("--rename", type=float, default=0.5, help="share of pairs with made-up names")
    args.add_argument("--bpe-dropout", type=float, default=0.3, help="share of texts tokenized with dropout")
    args.add_argument("--int8-from", type=float, default=1.0, help="from this part of the schedule on, simulate int8")
    args.add_argument("--group-size", type=int, default=32)
    args.add_argument("--threads", type=int, default=1)
    args.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args.add_argument("--eager", action="store_true", help="do not compile (starts at once, runs at half the speed)")
    return args.parse_args()


class Loss:
    """Cross-entropy in nats. The output matrix is applied only where a token is predicted."""

    def __init__(self, model: Jamba, device: str):
        self.model, self.device = model, device

    def at(self, tokens, chosen, model=None):
        """Loss of each chosen (bool, (B, T)) token, in order."""
        model = model or self.model
        with fast(self.device):
            states = model.hidden_states(tokens[:, :-1])
            logits = model.head(states[chosen[:, 1:]])
        return F.cross_entropy(logits, tokens[:, 1:][chosen[:, 1:]], reduction="none")

    def training(self, batch: Batch, text_weight: float, text_share: float):
        drawn = batch.text & (torch.rand(batch.text.shape) < text_share)
        chosen = drawn | batch.summary
        # A drawn token stands for all those that were not drawn.
        weight = torch.where(batch.summary, 1.0, text_weight / text_share)[:, 1:][chosen[:, 1:]].to(self.device)
        losses = self.at(batch.tokens.to(self.device), chosen.to(self.device))
        return (losses * weight).sum() / weight.sum()

    @torch.no_grad()
    def validation(self, batches: list[Batch], model: Jamba) -> tuple[float, float]:
        """Mean loss of (summaries, texts)."""
        model.eval()
        sums = torch.zeros(4)
        for batch in batches:
            chosen = batch.text | batch.summary
            losses = self.at(batch.tokens.to(self.device), chosen.to(self.device), model).cpu()
            summary = batch.summary[:, 1:][chosen[:, 1:]]
            sums += torch.tensor([losses[summary].sum(), summary.sum(), losses[~summary].sum(), (~summary).sum()])
        return (sums[0] / sums[1]).item(), (sums[2] / sums[3]).item()


def yield_core(_worker: int) -> None:
    """The process that prepares batches leaves the training's core alone, and takes what is left of the others."""
    os.sched_setaffinity(0, range(os.cpu_count()))
    os.nice(5)


def optimizers(model: Jamba, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for the embedding and everything small."""
    matrices, embedding, small = [], [], []
    for name, weight in model.named_parameters():
        if name == "embed_tokens.weight":
            embedding.append(weight)
        elif weight.dim() == 2 and "A_log" not in name and "dt_proj" not in name:
            matrices.append(weight)
        else:
            small.append(weight)
    groups = [dict(params=embedding, weight_decay=0.1), dict(params=small, weight_decay=0.0)]
    return [
        torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95)),
        Muon(matrices, lr=lr),
    ]


class Run:
    """A training run: all that must survive a restart, and how it is saved."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        torch.manual_seed(0)
        model = export.load(args.init, args.dropout) if args.init else Jamba(MODELS[args.model], args.dropout)
        if model.config != MODELS[args.model]:
            raise SystemExit(f"{args.init}: {model.config} is not {args.model}, {MODELS[args.model]}")
        self.model = model.to(args.device)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizers = optimizers(self.model, args.lr)
        self.step = self.tokens = self.epoch = 0
        self.seconds = 0.0
        self.state = args.out / "state.pt"
        if self.state.exists():
            self.restore()

    def restore(self) -> None:
        state = torch.load(self.state, map_location=self.args.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        self.step, self.tokens, self.epoch = state["step"], state["tokens"], state["epoch"] + 1
        self.seconds = state["seconds"]
        print(f"resumed at step {self.step}, {self.seconds / 60:.1f} minutes", flush=True)

    def save(self) -> None:
        export.save(self.average, self.args.tokenizer, self.args.out / "hf")
        partial = self.state.with_suffix(".partial")
        torch.save(
            dict(
                model=self.model.state_dict(),
                average=self.average.state_dict(),
                optimizers=[optimizer.state_dict() for optimizer in self.optimizers],
                step=self.step,
                tokens=self.tokens,
                epoch=self.epoch,
                seconds=self.seconds,
            ),
            partial,
        )
        partial.rename(self.state)

    def update(self, progress: float) -> None:
        """One optimizer step: linear warm-up, then linear decay to nothing; then the moving average."""
        scale = min(1.0, (self.step + 1) / WARMUP_STEPS) * max(0.0, 1.0 - progress)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.args.lr * scale
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        keep = min(1 - 1 / EMA_STEPS, (self.step + 1) / (self.step + 10))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)
        self.step += 1


def main() -> None:
    args = parse()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    run = Run(args)
    print(f"{args.model}: {sum(p.numel() for p in run.model.parameters())} parameters", flush=True)
    rows = load(args.data / "train.jsonl")
    names = Names(rows)
    encoder = Encoder(args.tokenizer, bpe_dropout=0.1)
    validation = fixed(load(args.data / "debian-val.jsonl")[:VALIDATION_PAIRS], encoder, args.tokens)
    loss = Loss(run.model, args.device)
    if not args.eager:
        # Layers share their compiled parts; a whole model would take minutes to compile.
        for layer in run.model.layers:
            layer.compile_parts()

    def validate() -> None:
        summary, text = loss.validation(validation, run.average)
        print(f"step {run.step} validation: summary {summary:.3f}, text {text:.3f} nat", flush=True)

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    budget = args.minutes * 60
    clock = saved = time.monotonic()
    seconds_before, tokens_before = run.seconds, run.tokens
    while run.seconds < budget:
        epoch = Epoch(rows, encoder, names, tokens_per_batch=args.tokens, rename=args.rename,
                      bpe_dropout=args.bpe_dropout, seed=random.Random(run.epoch).randrange(2**32))
        for batch in DataLoader(epoch, batch_size=None, num_workers=1, prefetch_factor=64, worker_init_fn=yield_core):
            run.model.train()
            progress = run.seconds / budget
            quantize.group_size = args.group_size if progress >= args.int8_from else None
            value = loss.training(batch, args.text_weight, args.text_share)
            value.backward()
            run.update(progress)
            run.tokens += int((batch.text | batch.summary).sum())
            run.seconds = seconds_before + time.monotonic() - clock
            if run.step % 50 == 0:
                speed = (run.tokens - tokens_before) / (run.seconds - seconds_before)
                print(f"step {run.step} epoch {run.epoch} at {100 * progress:.1f} %: loss {value.item():.3f}, "
                      f"{run.tokens / 1e6:.2f} M tokens, {speed:.0f} tokens/s", flush=True)
            if time.monotonic() - saved > SAVE_SECONDS:
                run.save()
                validate()
                saved = time.monotonic()
            if stop or run.seconds >= budget:
                break
        if stop:
            break
        run.epoch += 1
    run.save()
    validate()


if __name__ == "__main__":
    main()
